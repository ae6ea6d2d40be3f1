"""The built-in voice of the synthesiser as one more speaker, so that what it says is understood.

It is run by the plain loop that the synthesiser's own tests compare with (tests/golden/tts/reference.py). It tells no times of words:
only where speech begins and ends is known of its clips.
"""

from __future__ import annotations

import functools
import pathlib
import random
import sys
from typing import Any

import numpy as np

from asr import voices
from shared.flite import VOICES
from shared.speech import Speech

ROOT = pathlib.Path(__file__).resolve().parents[3]
VOICE = ROOT / "services/tts/models/demo"
OTHER_REFERENCES = ROOT / "tests/fixtures/tts-voices"
RATE = 24_000
# Longer texts are split before they reach the voice.
LONGEST_TEXT = 100
REFERENCE_TEXT = "The quick brown fox jumps over the lazy dog, and then it walks slowly home along the river to its family."


@functools.cache
def _reference_loop() -> Any:
    sys.path.insert(0, str(ROOT / "tests/golden/tts"))
    import reference

    return reference


class DemoVoice:
    """`say` speaks with one of `references`: recordings whose pitch and timbre it follows."""

    def __init__(self, folder: pathlib.Path = VOICE) -> None:
        loop = _reference_loop()
        self._pack = loop.Pack(folder)
        self._settings = loop.Settings()
        self._default = loop.read_wav(folder / "default_voice.wav")
        self.references = {"default": self._pack.listen(self._default)}
        for name in ("high", voices.HELD_OUT_REFERENCE):
            self.references[name] = self._pack.listen(loop.read_wav(OTHER_REFERENCES / f"{name}.wav"))

    def add_references(self, r: random.Random) -> None:
        """More to speak like: the default voice higher and lower, and speakers of flite."""
        for i in range(6):
            shifted = Speech(self._default, RATE, None, []).at(RATE, r.uniform(0.85, 1.2)).samples
            self.references[f"shifted-{i}"] = self._pack.listen(shifted)
        for name in VOICES:
            spoken = voices.speakers().flite.say(REFERENCE_TEXT, name).at(RATE).samples
            self.references[name] = self._pack.listen(spoken[: 6 * RATE])

    def say(self, text: str, reference: str) -> Speech:
        voice = self.references[reference]
        said = self._pack.say(voice, self._pack.encode(text)[1], self._settings)
        return Speech(self._pack.decode(voice, said.tokens), RATE, None, [])


def speech_bounds(samples: np.ndarray, rate: int, under_loudest_db: float = 35.0) -> tuple[float, float] | None:
    """When speech begins and ends: the first and last 20 ms that are not so much quieter than the loudest."""
    size = rate // 50
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    power = (frames**2).mean(1)
    if not len(power) or power.max() <= 0:
        return None
    loud = np.flatnonzero(power > power.max() * 10 ** (-under_loudest_db / 10))
    return loud[0] * size / rate, (loud[-1] + 1) * size / rate
