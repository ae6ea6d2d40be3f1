"""A model folder heard as the servers hear: faster-whisper's algorithm, with windows as long as the audio."""

from __future__ import annotations

import pathlib
import time

import ctranslate2
import numpy as np
from faster_whisper import WhisperModel

from asr.scores import Heard

# As in services/asr/src/models/whisper/item.rs.
WIDTHS = (200, 300, 400, 500, 600, 800, 1000, 1300, 1700, 2200, 3000)
MARGIN = 20


def own_width(frames: int) -> int:
    """How many frames are encoded of a window with so many of its own."""
    return next((width for width in WIDTHS if frames + MARGIN <= width), WIDTHS[-1])


class _OwnLength(WhisperModel):
    full = False
    no_speech: list[float] = []

    def encode(self, features: np.ndarray) -> ctranslate2.StorageView:
        filled = np.flatnonzero(np.abs(features).max(0))
        frames = int(filled[-1]) + 1 if len(filled) else 0
        return super().encode(features if self.full else np.ascontiguousarray(features[:, : own_width(frames)]))

    def generate_with_fallback(self, *arguments: object, **named: object) -> tuple[object, float, float, float]:
        found = super().generate_with_fallback(*arguments, **named)
        self.no_speech.append(found[0].no_speech_prob)
        return found


class Recogniser:
    """`full` encodes 30 s for every window, as Whisper models do. `quick` tries each window once and stops early: for models that know
    little yet, whose nonsense would be tried again and again."""

    def __init__(self, folder: pathlib.Path, threads: int = 1, full: bool = False, quick: bool = False) -> None:
        self._model = _OwnLength(str(folder), device="cpu", compute_type="default", cpu_threads=threads)
        self._model.full = full
        self._options = {"temperature": 0.0, "beam_size": 1, "max_new_tokens": 60} if quick else {}

    def hear(self, samples: np.ndarray, words: bool = False) -> Heard:
        began = time.perf_counter()
        self._model.no_speech = []
        found, _ = self._model.transcribe(samples.astype(np.float32), language="en", word_timestamps=words, **self._options)
        segments = list(found)
        seconds = time.perf_counter() - began
        return Heard(
            "".join(segment.text for segment in segments).strip(),
            [(segment.start, segment.end) for segment in segments],
            [(word.start, word.end, word.word.strip()) for segment in segments for word in segment.words or []],
            min(self._model.no_speech, default=1.0),
            seconds,
        )
