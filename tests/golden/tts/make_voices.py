#!/usr/bin/env python3
"""Makes the reference voices in `tests/fixtures/tts-voices` from the recordings in `tests/fixtures/speech`.

    make_voices.py

Needs numpy, scipy and soundfile. The outcome is committed: tests must not depend on how a platform resamples.
"""

import pathlib

import numpy as np
import soundfile
from scipy.signal import resample_poly

ROOT = pathlib.Path(__file__).resolve().parents[3]
SPEECH = ROOT / "tests/fixtures/speech"
OUT = ROOT / "tests/fixtures/tts-voices"
RATE = 24_000
PAUSE_S = 0.25
# One speaker each. `high` is as long as references should be, `higher` nearly as short as is sensible.
VOICES = {
    "high": ["seen_flite_014", "held_slt_hts_110"],
    "higher": ["held_espeak_080"],
}


def read(name: str) -> np.ndarray:
    samples, rate = soundfile.read(SPEECH / f"{name}.wav")
    assert rate * 3 == RATE * 2 and samples.ndim == 1
    return resample_poly(samples, 3, 2)


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    for voice, names in VOICES.items():
        parts = [read(names[0])]
        for name in names[1:]:
            parts += [np.zeros(int(PAUSE_S * RATE)), read(name)]
        samples = np.clip(np.concatenate(parts), -1, 1)
        soundfile.write(OUT / f"{voice}.wav", samples, RATE, subtype="PCM_16")
        print(f"{voice}: {len(samples)} samples, {len(samples) / RATE:.2f} s")


if __name__ == "__main__":
    main()
