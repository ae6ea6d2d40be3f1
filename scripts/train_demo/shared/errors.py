"""Error rates: how far what was heard is from what was said."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass


def plain_words(text: str) -> list[str]:
    """What counts as a word: no case, no punctuation, and hours and minutes apart (7.30 and 7:30 are the same two)."""
    text = re.sub(r"(\d)[.:](\d)", r"\1 \2", text.lower())
    return re.sub(r"[^a-z0-9%$' ]", " ", text).split()


def edits(said: Sequence[object], heard: Sequence[object]) -> int:
    """The fewest insertions, deletions and replacements that make one of the other."""
    row = list(range(len(heard) + 1))
    for i, ours in enumerate(said, 1):
        above_left, row[0] = row[0], i
        for j, theirs in enumerate(heard, 1):
            above_left, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above_left + (ours != theirs))
    return row[-1]


@dataclass
class ErrorRate:
    """Errors counted over many clips, as the rate of their sums: a long clip weighs more than a short one."""

    errors: int = 0
    words: int = 0
    exact: int = 0
    clips: int = 0

    def add(self, said: str, heard: str) -> int:
        """Counts one clip and returns its errors."""
        wanted, got = plain_words(said), plain_words(heard)
        errors = edits(wanted, got)
        self.errors += errors
        self.words += len(wanted)
        self.exact += errors == 0
        self.clips += 1
        return errors

    @property
    def rate(self) -> float:
        """Between 0 and 1, or above where more was heard than was said."""
        return self.errors / max(1, self.words)

    def as_json(self) -> dict[str, float | int]:
        return {"wer": round(self.rate, 4), "words": self.words, "exact": self.exact, "clips": self.clips}


def percentile(values: Sequence[float], share: float) -> float:
    """The value under which this share of the values lies: 0.5 is the median."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]
