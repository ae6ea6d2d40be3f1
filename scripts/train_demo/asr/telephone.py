"""A telephone, for samples (the tests) and for features (training windows, whose samples are gone)."""

from __future__ import annotations

import numpy as np
from scipy.signal import butter, resample_poly, sosfilt

from asr import features

RATE = 16_000
# The band whose image a short filter leaves in each: frequencies mirror at 4 kHz.
_MIRRORED = np.round(np.interp(8000 - features.CENTRES, features.CENTRES, np.arange(features.MELS))).astype(int)


def samples_through(samples: np.ndarray) -> np.ndarray:
    """8 kHz, no bass, and 8-bit mu-law as G.711 has it; 16 kHz again."""
    narrow = resample_poly(sosfilt(butter(4, 250, "highpass", fs=RATE, output="sos"), samples), 1, 2)
    narrow = np.clip(narrow, -1, 1)
    curve = np.sign(narrow) * np.log1p(255 * np.abs(narrow)) / np.log(256)
    steps = np.round(curve * 127) / 127
    decoded = np.sign(steps) * (256 ** np.abs(steps) - 1) / 255
    return resample_poly(decoded, 2, 1)


def features_through(r: np.random.Generator, log_mel: np.ndarray) -> np.ndarray:
    """What raw log-mel features (frames, bands) become on some telephone: its filters, and how they leak, are chance."""
    hz, power = features.CENTRES, 10**log_mel
    # Mu-law's steps are noise, some 37 dB below the speech and spread evenly over 4 kHz.
    steps = (power * np.gradient(hz)).sum(1, keepdims=True) / 4000
    heard = np.log10(power + steps * 10 ** -r.uniform(3.4, 4.2))
    order, bass = r.choice([2, 4]), r.uniform(120, 350)
    heard -= np.minimum(np.log10(1 + (bass / np.maximum(hz, 20)) ** (2 * order)), r.uniform(2, 5))
    narrow = heard - np.maximum(0, hz - r.uniform(3400, 4000)) / 1000 * r.uniform(3, 12)
    if r.random() < 0.6:
        image = heard[:, _MIRRORED] - r.uniform(0.5, 3) - np.maximum(0, hz - 4000) / 1000 * r.uniform(2, 8)
        narrow = np.where(hz > 4000, np.maximum(narrow, image), narrow)
    return np.maximum(narrow, np.log10(features.FLOOR))
