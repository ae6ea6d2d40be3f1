"""Speech tokens: one of 729 pairs of phones (20 ms each) with one of nine levels of pitch, 25 a second.

They are supervised and the same for all speakers: what is said and how high, relative to the speaker's own mean.
Code 0 is the rarest pair, because id 0 is also the end of the text and is never spoken.
"""

import collections
import pathlib

import numpy as np

from tts.teacher import Spoken

PHONES = (
    "pau aa ae ah ao aw ax ay b ch d dh eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t th uh uw v w y z zh"
).split()
PHONE_ID = {name: n for n, name in enumerate(PHONES)}
N_PAIRS, N_PITCHES = 729, 9
# A level of pitch in log Hz: about a semitone, so that the outer ones are 24 % from the mean.
PITCH_STEP = 0.06
SECONDS = 0.04


class Inventory:
    """Which pairs of phones have a code."""

    def __init__(self, table: np.ndarray) -> None:
        self.table = table.astype(np.int64)
        self._codes = {tuple(pair): code for code, pair in enumerate(self.table.tolist())}

    @staticmethod
    def load(path: pathlib.Path) -> "Inventory":
        return Inventory(np.load(path)["table"])

    def save(self, path: pathlib.Path) -> None:
        np.savez(path, table=self.table)

    @staticmethod
    def of(labels: list[np.ndarray]) -> "Inventory":
        """The most frequent pairs; a phone twice is always among them."""
        counts: collections.Counter = collections.Counter()
        for label in labels:
            counts.update(map(tuple, label[: len(label) // 2 * 2].reshape(-1, 2).tolist()))
        for n in range(len(PHONES)):
            counts[(n, n)] += 10**9
        pairs = [pair for pair, _ in sorted(counts.items(), key=lambda it: (-it[1], it[0]))[:N_PAIRS]]
        pairs += [(0, 0)] * (N_PAIRS - len(pairs))
        return Inventory(np.array(pairs[::-1]))

    def code(self, first: int, second: int) -> int:
        for pair in ((first, second), (second, second), (first, first)):
            if pair in self._codes:
                return self._codes[pair]
        raise KeyError((first, second))

    def codes(self, label: np.ndarray) -> np.ndarray:
        pairs = label[: len(label) // 2 * 2].reshape(-1, 2)
        return np.array([self.code(int(a), int(b)) for a, b in pairs], np.int32)

    def phones(self, tokens: np.ndarray) -> list[str]:
        """What is said by tokens: phones without pauses, each once."""
        said = self.table[np.asarray(tokens, int) // N_PITCHES].reshape(-1)
        return [PHONES[it] for n, it in enumerate(said) if it and (n == 0 or it != said[n - 1])]


def labels(spoken: Spoken, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The phone in the middle of each 20 ms, and which of the sentence's it is."""
    times = (np.arange(n) + 0.5) * SECONDS / 2
    which = np.searchsorted([it.end for it in spoken.phones], times, side="right")
    which = np.minimum(which, len(spoken.phones) - 1)
    ids = np.array([PHONE_ID[it.name] for it in spoken.phones], np.uint8)
    return ids[which], which


def characters(spoken: Spoken, n: int) -> np.ndarray:
    """The position in the text of what sounds in the middle of each token, spread evenly over the phones of a word."""
    spans = np.zeros((len(spoken.phones), 2))
    words = [it.word for it in spoken.phones]
    at, last = 0, 0.0
    while at < len(words):
        end = at
        while end < len(words) and words[end] == words[at]:
            end += 1
        if words[at] < 0:
            spans[at:end] = last
        else:
            edges = np.linspace(*spoken.spans[words[at]], end - at + 1)
            spans[at:end, 0], spans[at:end, 1] = edges[:-1], edges[1:]
            last = min(spoken.spans[words[at]][1], len(spoken.text) - 1)
        at = end
    ends = np.array([it.end for it in spoken.phones])
    starts = np.concatenate([[0.0], ends[:-1]])
    times = (np.arange(n) + 0.5) * SECONDS
    which = np.minimum(np.searchsorted(ends, times, side="right"), len(words) - 1)
    share = np.clip((times - starts[which]) / np.maximum(ends[which] - starts[which], 1e-3), 0, 1)
    return (spans[which, 0] + (spans[which, 1] - spans[which, 0]) * share).astype(np.float32)


def token_pitch(log_pitch: np.ndarray, voiced: np.ndarray) -> np.ndarray:
    """Means of a track of 10 ms over tokens, relative to the speaker's mean; straight through what has no voice."""
    n = len(log_pitch) // 4
    weights = voiced[: n * 4].astype(float).reshape(n, 4)
    sums = (np.where(voiced, log_pitch, 0.0)[: n * 4].reshape(n, 4) * weights).sum(1)
    counts = weights.sum(1)
    known = counts >= 2
    if not known.any():
        return np.zeros(n, np.float32)
    at = np.arange(n)
    return np.interp(at, at[known], sums[known] / counts[known]).astype(np.float32)


def levels(pitch: np.ndarray) -> np.ndarray:
    """Relative log pitch as a level of nine; the middle one is the speaker's mean."""
    return np.clip(np.round(pitch / PITCH_STEP) + N_PITCHES // 2, 0, N_PITCHES - 1).astype(int)


def track_of_10_ms(pitch: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """A track of 5 ms as log Hz and voicing at the middle of each 10 ms."""
    at = np.minimum(np.arange(n) * 2 + 1, len(pitch) - 1)
    voiced = pitch[at] > 0
    return np.log(np.where(voiced, pitch[at], 1.0)).astype(np.float32), voiced
