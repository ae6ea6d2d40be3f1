"""What is heard, in frames of 10 ms: spectral envelope, periodicity in five bands, pitch. The decoder learns to make them of tokens.

A frame is centred in its 10 ms, so that token k owns frames 4 k to 4 k + 3.
"""

import numpy as np
import scipy.fft

from tts import teacher, tokens
from tts.speakers import hertz, mel

RATE, HOP = teacher.RATE, 160
N_BINS = 64
BANDS = ((0, 1000), (1000, 2000), (2000, 4000), (4000, 6000), (6000, 8000))
# Where the envelope is sampled.
PLACES = hertz(np.linspace(mel(50), mel(7900), N_BINS))
# Between which a voice without a track of pitch is searched, in hertz.
RANGES = {"slt": (110, 320), "rms": (55, 190), "awb": (75, 230), "kal16": (60, 180)}


def frames(samples: np.ndarray, n: int, width: int) -> np.ndarray:
    padded = np.pad(samples, (width // 2, width // 2 + HOP * 4))
    return padded[(np.arange(n) * HOP + HOP // 2)[:, None] + np.arange(width)[None]]


def find_pitch(samples: np.ndarray, low: float, high: float, rate: int = RATE) -> tuple[np.ndarray, np.ndarray]:
    """Hertz every 10 ms and where there is a voice: autocorrelation, and the smoothest way through its peaks."""
    n, width, n_fft = len(samples) // HOP, 800, 2048
    window = np.hanning(width)
    framed = frames(samples, n, width) * window
    energy = (framed**2).sum(1)
    power = np.abs(scipy.fft.rfft(framed, n_fft, axis=1)) ** 2
    power[:, np.arange(n_fft // 2 + 1) * rate / n_fft > 1500] *= 0.1
    shortest, longest = int(rate / high), int(rate / low)
    correlation = scipy.fft.irfft(power, axis=1)[:, : longest + 3]
    own = scipy.fft.irfft(np.abs(scipy.fft.rfft(window, n_fft)) ** 2)[: longest + 3]
    correlation = correlation / (correlation[:, :1] + 1e-9) / (own / own[0])
    lags = np.arange(shortest, longest + 1)
    score = correlation[:, shortest : longest + 1] - 0.0006 * lags * low / 60
    cost = 2.0 * np.abs(np.log(lags)[:, None] - np.log(lags)[None])
    best, came_from = np.zeros(len(lags)), np.zeros((n, len(lags)), np.int32)
    for at in range(n):
        if at:
            ways = best[None] - cost
            came_from[at] = ways.argmax(1)
            best = ways.max(1)
        best = best + score[at]
    path = np.zeros(n, int)
    path[-1] = best.argmax()
    for at in range(n - 1, 0, -1):
        path[at - 1] = came_from[at, path[at]]
    lag = np.clip(path + shortest, 1, correlation.shape[1] - 2)
    before, here, after = (correlation[np.arange(n), lag + it] for it in (-1, 0, 1))
    between = np.clip((before - after) / (2 * (before - 2 * here + after) - 1e-9), -0.5, 0.5)
    return rate / (lag + between), (here > 0.45) & (energy > 1e-4 * energy.max())


def envelope(samples: np.ndarray, pitch: np.ndarray, voiced: np.ndarray) -> np.ndarray:
    """Log amplitude at `PLACES`, without the harmonics: a window and a smoothing as wide as the pitch asks for."""
    n, width, n_fft = len(pitch), 720, 1024
    hz = np.where(voiced, pitch, 180.0)
    at = np.arange(width) - width // 2
    phase = at[None] * hz[:, None] / (1.5 * RATE)
    window = np.where(np.abs(phase) < 1, 0.5 + 0.5 * np.cos(np.pi * phase), 0)
    window /= np.sqrt((window**2).sum(1, keepdims=True))
    power = np.abs(scipy.fft.rfft(frames(samples, n, width) * window, n_fft, axis=1)) ** 2 + 1e-12
    # The mean over two thirds of the pitch, from sums of everything below.
    half = hz[:, None] * n_fft / RATE / 3
    mirrored = np.concatenate([power[:, 64:0:-1], power, power[:, -2:-66:-1]], 1)
    sums = np.concatenate([np.zeros((n, 1)), np.cumsum(mirrored, 1)], 1)

    def up_to(place: np.ndarray) -> np.ndarray:
        whole = np.floor(place + 64.5).astype(int)
        part = place + 64.5 - whole
        row = np.arange(n)[:, None]
        return sums[row, whole] * (1 - part) + sums[row, whole + 1] * part

    bins = np.arange(n_fft // 2 + 1)
    smooth = np.log((up_to(bins + half) - up_to(bins - half)) / (2 * half) + 1e-10)
    cepstrum = scipy.fft.irfft(smooth, axis=1)[:, : n_fft // 2 + 1]
    periods = hz[:, None] * (np.arange(n_fft // 2 + 1) / RATE)[None]
    cepstrum *= np.sinc(periods) * (1.18 - 0.18 * np.cos(2 * np.pi * periods))
    log_amplitude = 0.5 * scipy.fft.rfft(np.concatenate([cepstrum, cepstrum[:, -2:0:-1]], 1), axis=1).real
    place = PLACES * n_fft / RATE
    whole = np.floor(place).astype(int)
    return (log_amplitude[:, whole] * (1 - (place - whole)) + log_amplitude[:, whole + 1] * (place - whole)).astype(np.float32)


def periodicity(samples: np.ndarray, pitch: np.ndarray, voiced: np.ndarray) -> np.ndarray:
    """In each band, how alike two neighbouring periods are."""
    n, width = len(pitch), 320
    spectrum = scipy.fft.rfft(samples)
    at = np.arange(len(spectrum)) * RATE / len(samples)
    lag = np.round(RATE / pitch).astype(int)
    index = (np.arange(n) * HOP + HOP // 2 - (width + lag) // 2 + 800)[:, None] + np.arange(width)
    found = np.zeros((n, len(BANDS)), np.float32)
    for band, (low, high) in enumerate(BANDS):
        part = np.pad(scipy.fft.irfft(spectrum * ((at >= low) & (at < high)), len(samples)), (800, 1600))
        a, b = part[index], part[index + lag[:, None]]
        found[:, band] = (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1) + 1e-12)
    return np.clip(found, 0, 1) * voiced[:, None]


def analyse(spoken: teacher.Spoken, mean_pitch: float | None) -> dict[str, np.ndarray]:
    """All that is heard of a sentence, in whole tokens; `pitch` is log Hz, relative if the voice's mean is given."""
    n = len(spoken.samples) * 25 // RATE
    samples = spoken.samples[: n * 640].astype(np.float64) / 32768
    if spoken.pitch is None:
        pitch, voiced = find_pitch(samples, *RANGES[spoken.voice])
        log_pitch = np.log(pitch)
    else:
        log_pitch, voiced = tokens.track_of_10_ms(spoken.pitch, n * 4)
        known = np.flatnonzero(voiced)
        log_pitch = np.interp(np.arange(n * 4), known, log_pitch[known]) if len(known) else np.full(n * 4, np.log(120.0))
        pitch = np.exp(log_pitch)
    label, _ = tokens.labels(spoken, n * 2)
    return {
        "labels": label,
        "pitch": (log_pitch - (mean_pitch or 0.0)).astype(np.float32),
        "voiced": voiced,
        "envelope": envelope(samples, pitch, voiced).astype(np.float16),
        "periodicity": np.clip((periodicity(samples, pitch, voiced) - 0.3) / 0.6, 0, 1).astype(np.float16),
    }
