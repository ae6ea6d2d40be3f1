"""What is known of a speaker from a clip: the twin, in numpy, of what `speech_encoder` computes."""

import numpy as np

RATE, N_FFT, WINDOW, HOP, N_BANDS = 24_000, 1024, 960, 480, 80
LOWEST, HIGHEST = 50.0, 7950.0
HANN = (0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(WINDOW) + 0.5) / WINDOW)).astype(np.float32)
HANN /= np.sqrt((HANN**2).sum())


def mel(hertz):
    return 1127 * np.log1p(np.asarray(hertz) / 700.0)


def hertz(mels):
    return 700 * (np.exp(np.asarray(mels) / 1127) - 1)


EDGES = hertz(np.linspace(mel(LOWEST), mel(HIGHEST), N_BANDS + 2))
CENTRES = EDGES[1:-1]


def filters() -> np.ndarray:
    """From power at each frequency to the mean power of each band."""
    at = np.arange(N_FFT // 2 + 1) * RATE / N_FFT
    found = np.zeros((len(at), N_BANDS), np.float32)
    for n in range(N_BANDS):
        low, centre, high = EDGES[n : n + 3]
        weights = np.maximum(0, np.minimum((at - low) / (centre - low), (high - at) / (high - centre)))
        if weights.sum() < 0.5:
            nearest = np.argmin(abs(at - centre))
            weights[nearest] = max(weights[nearest], 1)
        found[:, n] = weights / weights.sum()
    return found


FILTERS = filters()


def log_mel(samples: np.ndarray) -> np.ndarray:
    """50 frames a second of 24 kHz audio."""
    n, pad = len(samples) // HOP, (WINDOW - HOP) // 2
    padded = np.pad(samples, (pad, pad + HOP))
    frames = padded[np.arange(n)[:, None] * HOP + np.arange(WINDOW)] * HANN
    return np.log((np.abs(np.fft.rfft(frames, N_FFT, axis=1)) ** 2) @ FILTERS + 1e-7).astype(np.float32)


def statistics(mels: np.ndarray) -> tuple[np.ndarray, float]:
    """The mean spectrum of the loud frames around zero, and its level."""
    loudness = mels.mean(1)
    weights = 1 / (1 + np.exp(-2 * (loudness - (loudness.max() - 5))))
    mean = (mels * (weights / weights.sum())[:, None]).sum(0)
    return (mean - mean.mean()).astype(np.float32), float(mean.mean())
