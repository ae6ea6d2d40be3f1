#!/usr/bin/env python3
"""Writes the log-mel golden files of the `audio` crate.

They come from faster-whisper's own extractor.

    python -m pip install faster-whisper==1.2.1 numpy==2.4.6
    python tests/golden/features.py

Inputs are made of integers by rules that `services/libs/audio/tests/features.rs` repeats, or are fixtures. A file holds
little-endian float32: for every band, the frames that `picked` names.
"""

import wave
from pathlib import Path

import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "services/libs/audio/tests/golden"
SPEECH = ROOT / "tests/fixtures/speech/held_ked_136.wav"
PICKED_FRAMES = 16


def speech():
    with wave.open(str(SPEECH)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def noise(count, shift):
    """The upper half of a linear congruential generator, `shift` bits quieter than full scale."""
    state, out = 1, np.empty(count, np.int16)
    for i in range(count):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        out[i] = ((state >> 16) - 32768) >> shift
    return out


def chirp(count):
    """A triangle wave whose frequency rises from 0 to 4 kHz."""
    phase, step, out = 0, 0, np.empty(count, np.int16)
    for i in range(count):
        phase = (phase + step) & 0xFFFFFFFF
        step += (1 << 30) // count
        ramp = phase >> 15
        out[i] = (ramp if ramp < 65536 else 131071 - ramp) - 32768
    return out


def impulse(count, at):
    out = np.zeros(count, np.int16)
    out[at] = 32767
    return out


INPUTS = {
    "speech": speech(),
    "noise": noise(24_000, 0),
    "quiet": noise(8_000, 8),
    "chirp": chirp(32_000),
    "impulse": impulse(4_000, 1_234),
    "silence": np.zeros(8_000, np.int16),
    "empty": np.zeros(0, np.int16),
    "one": noise(1, 1),
    "ragged": noise(777, 2),
}


def picked(n_frames):
    step = max(1, n_frames // PICKED_FRAMES)
    return sorted({*range(0, n_frames, step), n_frames - 1})


def write(name, features):
    chosen = features[:, picked(features.shape[1])]
    (OUT / f"{name}.f32").write_bytes(np.ascontiguousarray(chosen, "<f4").tobytes())


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for n_mels in (80, 128):
        extractor = FeatureExtractor(feature_size=n_mels)
        for name, samples in INPUTS.items():
            write(f"whisper-{n_mels}-{name}", extractor(samples.astype(np.float32) / 32768.0))


if __name__ == "__main__":
    main()
