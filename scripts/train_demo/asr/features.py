"""Whisper's log-mel features, kept raw: the clamp and the scaling are done when a window is composed of several clips."""

from __future__ import annotations

import numpy as np
import scipy.fft
from faster_whisper.feature_extractor import FeatureExtractor

FRAMES_PER_SECOND = 100
MELS = 80
FLOOR = 1e-10
# Rows are frequencies of the transform, columns mel bands.
FILTERS = FeatureExtractor(feature_size=MELS).mel_filters.T.astype(np.float32)
_WINDOW = np.hanning(401)[:-1].astype(np.float32)
# The middle of each band in Hz.
CENTRES = (FILTERS * (np.arange(201) * 40.0)[:, None]).sum(0) / FILTERS.sum(0)


def raw_log_mel(samples: np.ndarray) -> np.ndarray:
    """Base-10 logarithm of the power in each band, (frames, bands): what faster-whisper has before it clamps."""
    padded = np.pad(np.pad(samples.astype(np.float32), (0, 160)), 200, mode="reflect")
    n = 1 + (len(padded) - 400) // 160
    frames = np.lib.stride_tricks.as_strided(padded, (n, 400), (160 * 4, 4)) * _WINDOW
    power = np.abs(scipy.fft.rfft(frames, axis=1)[:-1]) ** 2
    return np.log10(np.maximum(power @ FILTERS, FLOOR))


def scaled(log_mel: np.ndarray) -> np.ndarray:
    """What Whisper sees: 80 dB under the loudest are enough, and about between -1 and 1."""
    return ((np.maximum(log_mel, log_mel.max() - 8.0) + 4.0) / 4.0).astype(np.float32)
