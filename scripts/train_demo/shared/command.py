"""What the two commands that train have in common: arguments, where JAX computes, and settings that stay those a run was begun with."""

from __future__ import annotations

import argparse
import os
import pathlib
import sys
from collections.abc import Callable
from typing import Any

from shared.runs import RunFolder


def parser(name: str, description: str, going_on: str = "another run's folder whose weights to go on from") -> argparse.ArgumentParser:
    """With the arguments that both take; each adds its own."""
    it = argparse.ArgumentParser(prog=f"scripts/train_demo/{name}/train.sh", description=description.split(":")[0] + ".")
    it.add_argument("--run", type=pathlib.Path, required=True, help="the folder of this run; one that was begun is gone on with")
    it.add_argument("--minutes", type=float, default=240, help="how long to train, without the other stages (default 240)")
    it.add_argument("--device", choices=["cpu", "gpu"], default="cpu", help="where to train (default cpu)")
    it.add_argument("--seed", type=int, default=1, help="chance of texts, voices and batches (default 1)")
    it.add_argument("--from", dest="given", type=pathlib.Path, metavar="FOLDER", help=going_on)
    it.add_argument("--resume", action="store_true", help="refuse to begin a new run")
    it.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="processes that synthesise (default: all cores)")
    it.add_argument("--small", action="store_true", help="a tiny model from a handful of clips, to see that everything works")
    return it


def compute_on(device: str) -> None:
    """Has to be said before JAX is imported."""
    os.environ["JAX_PLATFORMS"] = "cpu" if device == "cpu" else "cuda"


def settle(
    run: RunFolder,
    given: argparse.Namespace,
    settings_of: Callable[[argparse.Namespace], dict[str, Any]],
    usual: argparse.Namespace,
    trained: tuple[str, ...],
) -> dict[str, Any]:
    """The settings of the run: those it was begun with, but for the minutes, which may be more.

    What is asked for and not `usual`, and yet not done, is said. More minutes do the stages `trained` again.
    """
    wanted = settings_of(given)
    if not (run / "settings.json").exists():
        if given.resume:
            sys.exit(f"error: there is no run in {run.path}")
        run.write_json("settings.json", wanted)
        return wanted
    settings = run.read_json("settings.json")
    if wanted["minutes"] > settings["minutes"]:
        run.redo(*trained)
        settings["minutes"] = wanted["minutes"]
        run.write_json("settings.json", settings)
    for name, value in settings_of(usual).items():
        if wanted[name] not in (value, settings[name]):
            print(f"{name} stays {settings[name]}: this run was begun with it", file=sys.stderr)
    return settings
