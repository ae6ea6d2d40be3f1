"""Facts of the teacher's voices: mean pitch, level, and what references of each look like."""

import pathlib

import numpy as np
from scipy.signal import resample_poly

from tts import speakers, teacher, texts
from tts.spoken_sentences import mean_log_pitch

N_SENTENCES, N_CLIPS = 40, 48


def clips(voice: str, random: np.random.Generator) -> tuple[np.ndarray, float]:
    """Statistics of clips of 3 to 12 s, and the mean level."""
    said = [teacher.speak(text, voice).samples for text in texts.sentences(0, 100, 100 + N_SENTENCES)]
    samples = resample_poly(np.concatenate(said) / 32768.0, 3, 2)
    found = []
    for _ in range(N_CLIPS):
        length = int(random.uniform(3, 12) * speakers.RATE)
        start = random.integers(0, len(samples) - length)
        found.append(speakers.statistics(speakers.log_mel(samples[start : start + length])))
    return np.stack([it[0] for it in found]), float(np.mean([it[1] for it in found]))


def write(path: pathlib.Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    facts: dict[str, np.ndarray] = {}
    for voice in teacher.VOICES:
        facts[f"clips_{voice}"], level = clips(voice, random)
        facts[f"level_{voice}"] = np.float32(level)
        if voice in teacher.TRACKED:
            facts[f"pitch_{voice}"] = np.float32(mean_log_pitch(voice))
    np.savez(path, **facts)
