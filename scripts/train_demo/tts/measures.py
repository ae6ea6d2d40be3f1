"""What is measured of speech, as functions of phones, pitch and samples alone."""

import dataclasses
from collections.abc import Sequence

import numpy as np

# So many phones in a row that are not said (or said without need) are a clause, not a slip.
CLAUSE = 8


def alignment(said: Sequence, heard: Sequence) -> list[tuple[int | None, int | None]]:
    """Pairs of places that belong together with the fewest edits; None stands for what the other has not."""
    n, m = len(said), len(heard)
    cost = np.zeros((n + 1, m + 1), int)
    cost[:, 0], cost[0] = range(n + 1), range(m + 1)
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            cost[i, j] = min(cost[i - 1, j] + 1, cost[i, j - 1] + 1, cost[i - 1, j - 1] + (said[i - 1] != heard[j - 1]))
    pairs: list[tuple[int | None, int | None]] = []
    i, j = n, m
    while i or j:
        if i and j and cost[i, j] == cost[i - 1, j - 1] + (said[i - 1] != heard[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif i and cost[i, j] == cost[i - 1, j] + 1:
            i -= 1
            pairs.append((i, None))
        else:
            j -= 1
            pairs.append((None, j))
    return pairs[::-1]


@dataclasses.dataclass
class Phones:
    """Phones of a voice against those of the teacher, over sentences."""

    errors: int = 0
    phones: int = 0
    skipped: int = 0
    repeated: int = 0
    sentences: int = 0

    def add(self, said: Sequence[str], heard: Sequence[str]) -> None:
        pairs = alignment(said, heard)
        self.errors += sum(i is None or j is None or said[i] != heard[j] for i, j in pairs)
        self.phones += len(said)
        self.skipped += longest([j is None for _, j in pairs]) >= CLAUSE
        self.repeated += longest([i is None for i, _ in pairs]) >= CLAUSE
        self.sentences += 1

    def as_json(self) -> dict:
        rate = round(self.errors / max(1, self.phones), 4)
        return {"phone_errors": rate, "skipped_clauses": self.skipped, "repeated_clauses": self.repeated, "sentences": self.sentences}


def longest(flags: Sequence[bool]) -> int:
    """The longest run of true ones."""
    most = run = 0
    for it in flags:
        run = run + 1 if it else 0
        most = max(most, run)
    return most


def runs(values: Sequence[int]) -> list[tuple[int, int, int]]:
    """Each value that is repeated, with its first place and the one after its last."""
    found, first = [], 0
    for at in range(1, len(values) + 1):
        if at == len(values) or values[at] != values[first]:
            found.append((int(values[first]), first, at))
            first = at
    return found


def correlation(a: Sequence[float], b: Sequence[float]) -> float:
    a, b = np.asarray(a, float), np.asarray(b, float)
    if len(a) < 3 or a.std() == 0 or b.std() == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def clicks(samples: np.ndarray, rate: int) -> float:
    """How many times a second the samples jump as no voice does: the second difference against what is usual around it."""
    jump = np.abs(np.diff(samples, 2))
    width = rate // 50
    n = len(jump) // width
    if not n:
        return 0.0
    blocks = jump[: n * width].reshape(n, width)
    usual = np.sqrt((blocks**2).mean(1))
    around = np.maximum.reduce([np.roll(usual, it) for it in (-2, -1, 1, 2)])
    return float(((blocks.max(1) > 12 * around) & (blocks.max(1) > 0.02)).sum() / (len(samples) / rate))
