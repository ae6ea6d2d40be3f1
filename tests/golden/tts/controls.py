"""Mistakes that an engine could make, made on purpose: each must change what the contract models say."""

from __future__ import annotations

import copy
from typing import Callable

import numpy as np

import reference
from reference import Pack, Said, Settings, Voice

# Enough to see a difference, short enough to try them all.
TRIED = 8


def _one_start(pack: Pack) -> Pack:
    encode = pack.encode
    drop = 1 if pack.family != "turbo" else 0
    pack.encode = lambda *it: (lambda text, ids: (text, ids[: len(ids) - drop]))(*encode(*it))
    return pack


def _text_positions(pack: Pack) -> Pack:
    positions = pack.positions
    pack.positions = lambda ids: [it + 1 if it else 0 for it in positions(ids)]
    return pack


def _speech_positions(pack: Pack) -> Pack:
    embed = pack.embed
    pack.embed = lambda ids, at, strength: embed(ids, at - (1 if ids.shape[1] == 1 else 0), strength)
    return pack


def _model_positions(pack: Pack) -> Pack:
    step = pack.step
    pack.step = lambda x, mask, at, cache: step(x, mask, at + (1 if x.shape[1] == 1 else 0), cache)
    return pack


def _swapped_cache(pack: Pack) -> Pack:
    """Presents taken in the order of their names' letters, or one layer for the other."""
    step = pack.step

    def swapped(x, mask, at, cache):
        logits, cache = step(x, mask, at, cache)
        return logits, cache[2:4] + cache[:2] + cache[4:]

    pack.step = swapped
    return pack


def _unlimited_choice(logits: np.ndarray, said: list[int], settings: Settings) -> tuple[int, float]:
    scores = logits[0]
    return int(scores.argmax()), 0.0


def changed(pack: Pack, voices: dict[str, Voice], rows: list[dict], spoil: Callable[[Pack], Pack]) -> str:
    """How many of the cases come out otherwise."""
    spoilt = spoil(copy.copy(pack))
    n = 0
    for row in rows:
        settings = Settings(**{it: row[it] for it in vars(Settings())})
        _, ids = spoilt.encode(row["text"], row["language"])
        try:
            said = spoilt.say(voices[row["voice"]], ids, settings)
        except Exception:  # noqa: BLE001 - an error is a difference too
            said = Said([], "error", 0.0)
        n += said.tokens != row["tokens"]
    return f"{n} of {len(rows)}"


def try_all(pack: Pack, voices: dict[str, Voice], rows: list[dict]) -> dict[str, str]:
    rows = [it for it in rows if len(it["tokens"]) > 20 and it["cfg_weight"] == 0][:TRIED]
    mistakes: dict[str, Callable[[Pack], Pack]] = {"layers_swapped": _swapped_cache}
    if pack.family != "turbo":
        mistakes |= {"one_start": _one_start, "text_positions": _text_positions, "speech_positions": _speech_positions}
    if pack.has_positions:
        mistakes["model_positions"] = _model_positions
    found = {name: changed(pack, voices, rows, spoil) for name, spoil in mistakes.items()}
    other = {name: voices["long" if name != "long" else "high"] for name in voices}
    found["another_voice"] = changed(pack, other, rows, lambda it: it)
    choose = reference.choose
    try:
        reference.choose = _unlimited_choice
        found["nothing_forbidden"] = changed(pack, voices, rows, lambda it: it)
    finally:
        reference.choose = choose
    without = [it | {"repetition_penalty": 1.0} for it in rows]
    found["no_penalty"] = changed(pack, voices, without, lambda it: it)
    return found
