"""What a run looks like: curves of its progress, and what the trained model attends to in one clip."""

from __future__ import annotations

import pathlib
from typing import Any

import jax.numpy as jnp
import numpy as np
import soundfile
from tokenizers import Tokenizer

from asr import features, model
from asr.model import Shape, Tree
from asr.tokenizer import Special
from shared import plots
from shared.runs import RunFolder


def progress(run: RunFolder) -> None:
    """`progress.png`: losses and accuracy by minutes, and error rates of the development set where they were measured."""
    steps, checks = run.notes("step"), run.notes("development")
    if not steps:
        return
    minutes = [line["minutes"] for line in steps]
    panels = {
        "loss": {name: (minutes, [line[name] for line in steps]) for name in ("loss", "phone", "token", "guide")},
        "accuracy of the next token, with its history given": {"training": (minutes, [line["accuracy"] for line in steps])},
    }
    if checks:
        panels["word error on the development set"] = {
            group: ([line["minutes"] for line in checks], [line["groups"][group]["wer"] for line in checks]) for group in checks[0]["groups"]
        }
    plots.curves(run / "progress.png", panels, "minutes of training")


def error_rates(run: RunFolder, figures: dict[str, Any]) -> None:
    """`errors.png`: one bar for each group of the tests."""
    plots.bars(run / "errors.png", {name.replace("_", " "): 100 * rate["wer"] for name, rate in figures["groups"].items()}, "word error in %")


def attention(path: pathlib.Path, weights: Tree, shape: Shape, words: Tokenizer, wav: pathlib.Path, text: str) -> None:
    """A clip's spectrogram, and for each token of its text where the taught heads look."""
    samples, _ = soundfile.read(wav, dtype="float32")
    mel = features.scaled(features.raw_log_mel(samples))
    mel = mel[: len(mel) // 2 * 2]
    special, frames = Special.of(words), len(mel) // 2
    tokens = [special.start, special.no_timestamps, *words.encode(f" {text}").ids]
    positions = jnp.asarray(model.sinusoids(shape.audio_positions, shape.width))[None, :frames]
    heard = model.encode(weights, jnp.asarray(mel)[None], positions, shape.heads)
    order = jnp.arange(len(tokens))[None]
    _, scores = model.decode(weights, weights["emb"], jnp.asarray([tokens]), heard, order, shape.heads)
    taught = np.asarray(jnp.stack([layer[0, : model.TAUGHT_HEADS] for layer in scores]))
    shares = np.exp(taught - taught.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    # The row that writes a token is the one of the token before it.
    plots.images(path, {f"“{text}”: features": mel.T, "tokens, where the taught heads look": shares.mean((0, 1))[1:-1]}, "frames of 10 and of 20 ms")
