"""Speech with known times, from the synthesisers of the distribution.

A synthesiser tells when each word and each phone is spoken. Those times are what the built-in recogniser learns its timestamps
from, and the built-in voice its durations. `espeak.Espeak`, `flite.Flite` and `festival.Festival` all return a `Speech`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from scipy.signal import resample

SILENCE = "sil"


@dataclass(frozen=True)
class Span:
    """A word or a phone and when it is spoken, in seconds."""

    start: float
    end: float
    name: str


@dataclass(frozen=True)
class Speech:
    """Samples between -1 and 1, and what is spoken when. `words` is None where the engine divides the text in another way."""

    samples: np.ndarray
    rate: int
    words: list[Span] | None
    phones: list[Span]

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate

    def at(self, rate: int, faster: float = 1.0) -> Speech:
        """The same at another sample rate. `faster` above 1 shortens it and raises pitch and formants alike, as a smaller head would."""
        n = round(len(self.samples) * rate / self.rate / faster)
        samples = self.samples if n == len(self.samples) else resample(self.samples, n)

        def scaled(spans: list[Span]) -> list[Span]:
            return [Span(span.start / faster, span.end / faster, span.name) for span in spans]

        return dataclasses.replace(
            self,
            samples=samples.astype(np.float32),
            rate=rate,
            words=None if self.words is None else scaled(self.words),
            phones=scaled(self.phones),
        )


def plain(word: str) -> str:
    """A word without case and punctuation, for comparing what was asked for with what an engine made of it."""
    return "".join(char for char in word.lower() if char.isalnum())


def glue(asked: list[str], found: list[Span]) -> list[Span] | None:
    """The spans of the words that were asked for, from those of an engine that may split a word (`I` and `'m`).

    None where the engine says something else, so that no word is given another's time.
    """
    spans, next_found = [], 0
    for word in asked:
        wanted = plain(word)
        if next_found >= len(found):
            return None
        first = found[next_found]
        got, end = plain(first.name), first.end
        next_found += 1
        while got != wanted and next_found < len(found) and wanted.startswith(got + plain(found[next_found].name)):
            got += plain(found[next_found].name)
            end = found[next_found].end
            next_found += 1
        if got != wanted:
            return None
        spans.append(Span(first.start, end, word))
    return spans if next_found == len(found) else None
