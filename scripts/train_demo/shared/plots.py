"""Pictures of a run, as PNG files. Matplotlib draws without a screen."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402 - the backend has to be chosen before
import numpy as np  # noqa: E402

Curve = tuple[Sequence[float], Sequence[float]]


def curves(path: pathlib.Path, panels: Mapping[str, Mapping[str, Curve]], across: str) -> None:
    """One panel for each name, its curves as (x, y) by their names."""
    figure, axes = plt.subplots(1, len(panels), figsize=(5 * len(panels), 3.6), squeeze=False)
    for axis, (title, lines) in zip(axes[0], panels.items()):
        for name, (x, y) in lines.items():
            axis.plot(x, y, label=name, marker="." if len(x) < 30 else None)
        axis.set_title(title)
        axis.set_xlabel(across)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        if lines:
            axis.legend(fontsize=8)
    _save(figure, path)


def images(path: pathlib.Path, panels: Mapping[str, np.ndarray], across: str = "frames") -> None:
    """Matrices below one another, each (rows, columns) with row 0 at the bottom: spectrograms, attention."""
    figure, axes = plt.subplots(len(panels), 1, figsize=(9, 2.4 * len(panels)), squeeze=False)
    for axis, (title, image) in zip(axes[:, 0], panels.items()):
        axis.imshow(image, origin="lower", aspect="auto", interpolation="nearest", cmap="magma")
        axis.set_title(title, fontsize=9)
        axis.set_xlabel(across)
    _save(figure, path)


def bars(path: pathlib.Path, values: Mapping[str, float], title: str) -> None:
    """One bar for each name."""
    figure, axis = plt.subplots(figsize=(7, 0.35 * len(values) + 1.2))
    axis.barh(list(values)[::-1], list(values.values())[::-1])
    axis.set_title(title)
    axis.grid(axis="x", alpha=0.3)
    _save(figure, path)


def _save(figure: plt.Figure, path: pathlib.Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plt.close(figure)
