"""Sounds that are no speech: for putting under speech, and for windows in which nothing is to be heard.

`KINDS` name makers of one sound of the given length. Training and tests use the same kinds with other chance and other settings.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

RATE = 16_000
Maker = Callable[[np.random.Generator, int], np.ndarray]


def coloured(r: np.random.Generator, n: int, slope: float | None = None) -> np.ndarray:
    """White noise (slope 0) to brown (1.2), perhaps swelling slowly."""
    spectrum = np.fft.rfft(r.standard_normal(n))
    frequencies = np.maximum(np.fft.rfftfreq(n, 1 / RATE), 30)
    sound = np.fft.irfft(spectrum / frequencies ** (r.uniform(0, 1.2) if slope is None else slope), n)
    if r.random() < 0.5:
        sound *= 1 + 0.8 * np.sin(2 * np.pi * r.uniform(0.3, 3) * np.arange(n) / RATE)
    return sound


def white(r: np.random.Generator, n: int) -> np.ndarray:
    return r.standard_normal(n)


def hum(r: np.random.Generator, n: int) -> np.ndarray:
    """Mains hum with its overtones and some hiss."""
    t, base = np.arange(n) / RATE, r.choice([50.0, 60.0])
    sound = sum(np.sin(2 * np.pi * base * k * t + k) / k for k in range(1, 12))
    return sound + r.uniform(0, 0.2) * r.standard_normal(n)


def chords(r: np.random.Generator, n: int) -> np.ndarray:
    """Like music: three notes with overtones, again and again."""
    sound, at = np.zeros(n), 0
    fade = r.uniform(0.5, 6)
    while at < n:
        t = np.arange(min(int(RATE * r.uniform(0.15, 0.8)), n - at)) / RATE
        for note in r.choice([0, 3, 4, 7, 9, 12, 16], 3):
            frequency = 110 * 2 ** ((note + r.integers(0, 24)) / 12)
            sound[at : at + len(t)] += sum(np.sin(2 * np.pi * frequency * k * t) / k**1.5 for k in range(1, 7)) * np.exp(-t * fade)
        at += len(t)
    return sound


def melody(r: np.random.Generator, n: int) -> np.ndarray:
    """One note after the other, with vibrato."""
    sound, at, step = np.zeros(n), 0, int(RATE * r.uniform(0.12, 0.5))
    while at < n:
        t = np.arange(min(step, n - at)) / RATE
        frequency = 220 * 2 ** (r.choice([0, 2, 4, 5, 7, 9, 11, 12]) / 12)
        turn = 2 * np.pi * frequency * t + 0.3 * np.sin(2 * np.pi * 5 * t)
        sound[at : at + len(t)] = (np.sin(turn) + 0.4 * np.sin(2 * turn) + 0.2 * np.sin(3 * turn)) * np.exp(-2 * t)
        at += len(t)
    return sound


def clicks(r: np.random.Generator, n: int) -> np.ndarray:
    """A keyboard, cutlery, a bad line."""
    hits = r.standard_normal(n) * (r.random(n) < r.uniform(0.0001, 0.001))
    ring = np.exp(-np.arange(400) / 60) * np.sin(np.arange(400) * r.uniform(0.1, 0.9))
    return np.convolve(hits, ring, "same") + 0.01 * r.standard_normal(n)


def beeps(r: np.random.Generator, n: int) -> np.ndarray:
    """Engaged tones and sirens: one tone that comes and goes, or wanders."""
    t = np.arange(n) / RATE
    frequency = r.uniform(300, 1200) + 200 * np.sign(np.sin(2 * np.pi * r.uniform(0.4, 2) * t))
    gate = np.sin(2 * np.pi * r.uniform(0.3, 1) * t) > 0
    return np.sin(2 * np.pi * np.cumsum(frequency) / RATE) * gate + 0.02 * r.standard_normal(n)


def tone(r: np.random.Generator, n: int) -> np.ndarray:
    return np.sin(2 * np.pi * r.uniform(80, 3000) * np.arange(n) / RATE) + 0.001 * r.standard_normal(n)


KINDS: dict[str, Maker] = {
    "coloured": coloured, "white": white, "hum": hum, "chords": chords, "melody": melody, "clicks": clicks, "beeps": beeps, "tone": tone,
}  # fmt: skip


def make(kind: str, r: np.random.Generator, seconds: float) -> np.ndarray:
    """One sound, its loudest sample at 0.3."""
    sound = KINDS[kind](r, int(RATE * seconds))
    return (sound / np.abs(sound).max() * 0.3).astype(np.float32)
