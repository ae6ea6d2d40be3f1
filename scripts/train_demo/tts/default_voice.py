"""`default_voice.wav`: a reference that no person has spoken. It is the teacher's `rms`, with sentences written for it."""

import pathlib

import numpy as np
import soundfile

from tts import references

TEXT = (
    "Hello, this is the voice that speaks when no other was chosen. It was made by a machine, and it reads whatever you write. "
    "If you would like another one, give it a few seconds of clear speech."
)
SECONDS = 6


def write(path: pathlib.Path) -> None:
    samples = references.taught("rms", TEXT)[: SECONDS * references.RATE]
    # It ends in silence, not within a word.
    fade = references.RATE // 20
    samples[-fade:] *= np.linspace(1, 0, fade)
    soundfile.write(path, references.prepared(samples), references.RATE, subtype="PCM_16")
