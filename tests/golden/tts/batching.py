"""Which ways of running requests of different lengths together are exact for a model: tried, not guessed.

- `right_ragged`: every row is compact. New keys go to the row's own end, the mask is as wide as the longest row needs.
- `hole_mask`: rows are padded to a common length, the padding is masked, and new keys go to the common end.
- `left_padding`: the padding is in front, and it was there when the prompt was run: a row can join only while the batch is as
  long as its prompt at least.
- `left_merge`: the padding is in front, but the prompt was run alone and without it: a row can join at any time.
- `equal_length`: only rows of one length together.
"""

from __future__ import annotations

import numpy as np

from reference import CODES, STOP, Pack, next_inputs

STEPS = 24
# A wrong scheme is off by more than 0.1; the stop's logit is a steep function and judged by its sign.
TOLERANCE = {np.float32: 1e-2, np.float16: 5e-2}
SCHEMES = ("right_ragged", "hole_mask", "left_merge", "left_padding", "equal_length")


class Row:
    def __init__(self, pack: Pack, prompt: np.ndarray, exaggeration: float, in_front: int = 0) -> None:
        """The prompt is run alone, with `in_front` positions of padding."""
        self.exaggeration, self.length = exaggeration, prompt.shape[1]
        pad = np.zeros((1, in_front, prompt.shape[2]), np.float32)
        mask = np.concatenate([np.zeros((1, in_front), np.int64), np.ones((1, self.length), np.int64)], axis=1)
        positions = np.maximum(np.arange(in_front + self.length, dtype=np.int64) - in_front, 0)[None]
        embeds = np.concatenate([pad, prompt], axis=1)
        logits, self.cache = pack.step(embeds, mask, positions, pack.empty_cache(1))
        self.first = logits[:, -1]


def alone(pack: Pack, row: Row) -> list[np.ndarray]:
    return together(pack, [row], "equal_length")[0]


def together(pack: Pack, rows: list[Row], scheme: str) -> list[list[np.ndarray]]:
    """Logits of each row at each step, greedy. Every row begins with what it had alone."""
    longest = max(it.length for it in rows)
    cache = _merge(rows, longest, scheme)
    chosen = [[it.first[0]] for it in rows]
    for step in range(1, STEPS):
        tokens = [int(it[-1][:CODES].argmax()) for it in chosen]
        embeds = pack.embed(*next_inputs(tokens, [step] * len(rows), [it.exaggeration for it in rows]))
        mask = np.stack([_mask(it.length, longest, step, scheme) for it in rows])
        positions = np.array([[it.length + step - 1] for it in rows], np.int64)
        logits, cache = pack.step(embeds, mask, positions, cache)
        for at, kept in enumerate(chosen):
            kept.append(logits[at, -1])
    return chosen


def _merge(rows: list[Row], longest: int, scheme: str) -> list[np.ndarray]:
    """What is padded holds garbage, as memory that was used before does."""
    garbage = np.random.RandomState(0)
    merged = []
    for parts in zip(*(it.cache for it in rows)):
        shape = (len(rows), parts[0].shape[1], longest, parts[0].shape[3])
        whole = garbage.standard_normal(shape).astype(parts[0].dtype)
        for at, part in enumerate(parts):
            first = longest - part.shape[2] if scheme.startswith("left") else 0
            whole[at, :, first : first + part.shape[2]] = part[0]
        merged.append(whole)
    return merged


def _mask(length: int, longest: int, step: int, scheme: str) -> np.ndarray:
    ones, zeros = np.ones(length, np.int64), np.zeros(longest - length, np.int64)
    new = np.ones(step, np.int64)
    parts = {
        "right_ragged": (ones, new, zeros),
        "hole_mask": (ones, zeros, new),
        "left_merge": (zeros, ones, new),
        "left_padding": (zeros, ones, new),
        "equal_length": (ones, new),
    }
    return np.concatenate(parts[scheme])


def far(pack: Pack, expected: list[list[np.ndarray]], found: list[list[np.ndarray]]) -> float:
    """The largest difference of a code's logit, or infinity where a stop is not the same."""
    worst = 0.0
    for row, other in zip(expected, found):
        for a, b in zip(row, other):
            if (a[STOP] > a[:CODES].max()) != (b[STOP] > b[:CODES].max()) or not np.isfinite(b).all():
                return float("inf")
            # What nobody may say, or what is as good as impossible, may differ.
            likely = a[:CODES] > a[:CODES].max() - 50
            worst = max(worst, float(np.abs(a - b)[:CODES][likely].max()))
    return worst


def try_all(pack: Pack, prompts: list[tuple[np.ndarray, float]]) -> dict:
    rows = [Row(pack, *it) for it in prompts]
    expected = [alone(pack, it) for it in rows]
    tolerance = TOLERANCE[pack.cache_type]
    results = {}
    for scheme in SCHEMES:
        if scheme == "equal_length":
            # The first prompt twice with other settings for the second.
            voice = prompts[0][0].copy()
            voice[:, 0] *= 0.5
            equal = [rows[0], Row(pack, voice, prompts[0][1] + 0.25)]
            difference = far(pack, [alone(pack, it) for it in equal], together(pack, equal, scheme))
        else:
            try:
                longest = max(it.length for it in rows) if scheme == "left_padding" else 0
                given = [Row(pack, *it, max(longest - it[0].shape[1], 0)) for it in prompts]
                difference = far(pack, expected, together(pack, given, scheme))
            except Exception as error:  # noqa: BLE001 - a graph that refuses a scheme does not offer it
                results[scheme] = {"exact": False, "error": str(error).splitlines()[0][:120]}
                continue
        is_exact = difference < tolerance
        results[scheme] = {"exact": is_exact} if is_exact else {"exact": False, "off_by": _short(difference)}
        print(f"  {scheme}: {'exact' if is_exact else 'wrong'}, {difference:.2g}")
    return results


def _short(value: float):
    return float(f"{value:.2g}") if np.isfinite(value) else "another stop"
