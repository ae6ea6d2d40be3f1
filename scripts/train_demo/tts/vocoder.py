"""Constants of the vocoder inside `conditional_decoder`: pulses and noise, filtered 100 times a second.

    pulses (closed form, band-limited) ─┐
                                        ├─ by periodicity ─► minimum-phase filter of the envelope ─► overlap and add
    noise (always the same second) ─────┘
"""

import numpy as np

from tts.acoustics import BANDS, N_BINS, PLACES

RATE, HOP, N_FFT, WINDOW = 24_000, 240, 1024, 960
N_FREQUENCIES = N_FFT // 2 + 1
FREQUENCIES = np.arange(N_FREQUENCIES) * RATE / N_FFT
# The teacher is silent above 7.4 kHz: from here on the envelope goes on with a gentle slope.
HIGHEST = 6900.0
HANN = (0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(WINDOW) + 0.5) / WINDOW)).astype(np.float32)
ROOT_HANN = np.sqrt(HANN)
NOISE = np.random.default_rng(1).standard_normal(RATE).astype(np.float32)


def _between(places: np.ndarray, at: float) -> tuple[int, float]:
    n = int(np.clip(np.searchsorted(places, at) - 1, 0, len(places) - 2))
    return n, float(np.clip((at - places[n]) / (places[n + 1] - places[n]), 0, 1))


def envelope_matrix() -> tuple[np.ndarray, np.ndarray]:
    """From the envelope's places to log magnitudes at all frequencies, and what is added."""
    matrix, added = np.zeros((N_BINS, N_FREQUENCIES), np.float32), np.zeros(N_FREQUENCIES, np.float32)
    for k, at in enumerate(FREQUENCIES):
        n, share = _between(PLACES, min(at, HIGHEST))
        matrix[n, k] += 1 - share
        matrix[n + 1, k] += share
        if at > HIGHEST:
            added[k] = -(at - HIGHEST) / 1000 * 0.7
        if at < PLACES[0]:
            added[k] = -(PLACES[0] - at) / 50 * 1.5
    return matrix, added


def minimum_phase_matrix() -> np.ndarray:
    """From log magnitudes to the phase of the filter that is heard soonest; linear."""
    cepstrum = np.fft.irfft(np.eye(N_FREQUENCIES), N_FFT, axis=1)
    fold = np.zeros(N_FFT)
    fold[1 : N_FFT // 2], fold[N_FFT // 2 + 1 :] = 1, -1
    return np.fft.fft(cepstrum * fold, axis=1)[:, :N_FREQUENCIES].imag.astype(np.float32)


def band_matrix() -> np.ndarray:
    """From bands to all frequencies."""
    matrix = np.zeros((len(BANDS), N_FREQUENCIES), np.float32)
    centres = np.array([(low + high) / 2 for low, high in BANDS])
    centres[0] = 300
    for k, at in enumerate(FREQUENCIES):
        n, share = _between(centres, at)
        matrix[n, k] += 1 - share
        matrix[n + 1, k] += share
    return matrix


ENVELOPE, ENVELOPE_ADDED = envelope_matrix()
_PHASE = minimum_phase_matrix()
PHASE, PHASE_ADDED = (ENVELOPE @ _PHASE).astype(np.float32), (ENVELOPE_ADDED @ _PHASE).astype(np.float32)
BANDS_TO_FREQUENCIES = band_matrix()
