"""Sentences that the teacher has spoken, as the language model learns them: tokens, pitch and alignment in shards."""

import dataclasses
import pathlib

import numpy as np

from tts import teacher, texts, tokens

# Who says which share of the sentences: rms is the one that recognisers understand best.
SPEAKERS = ("rms", "slt", "rms", "awb", "rms", "slt")
# How many sentences are looked at for one shard: few of them are for development or tests.
PER_SHARD = {"train": 400, "development": 8000, "test": 8000}


@dataclasses.dataclass
class Sentence:
    text: str
    voice: str
    # Pairs of phones, relative log pitch and position in the text, one of each for each token.
    pairs: np.ndarray
    pitch: np.ndarray
    characters: np.ndarray


def mean_log_pitch(voice: str) -> float:
    """Of a voice with a track, over sentences that are always the same."""
    values = [teacher.speak(text, voice).pitch for text in texts.sentences(0, 0, 60)]
    track = np.concatenate(values)
    return float(np.log(track[track > 0]).mean())


def analyse(text: str, voice: str, mean: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Phones of 20 ms, relative pitch and positions of a sentence."""
    spoken = teacher.speak(text, voice)
    n = len(spoken.samples) * 25 // teacher.RATE
    label, _ = tokens.labels(spoken, n * 2)
    track, voiced = tokens.track_of_10_ms(spoken.pitch, n * 4)
    return label, tokens.token_pitch(track - mean, voiced), tokens.characters(spoken, n)


def shard_path(folder: pathlib.Path, seed: int, n: int, of: str) -> pathlib.Path:
    return folder / f"{of}_{seed}_{n:04d}.npz"


def write_shard(folder: pathlib.Path, seed: int, n: int, of: str, means: dict[str, float], size: int) -> int:
    """Speaks one shard, of `size` sentences before those of other sets are left out, unless it is there. Answers with how many it holds."""
    path = shard_path(folder, seed, n, of)
    if path.exists():
        return 0
    kept, voices, parts = [], [], []
    for at, text in enumerate(texts.sentences(seed, n * size, (n + 1) * size, of)):
        voice = SPEAKERS[(n + at) % len(SPEAKERS)]
        part = analyse(text, voice, means[voice])
        if len(part[1]) >= 8:
            kept.append(text)
            voices.append(voice)
            parts.append(part)
    folder.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".part.npz")
    np.savez_compressed(
        half,
        texts=np.array(kept),
        voices=np.array(voices),
        lengths=np.array([len(it[1]) for it in parts]),
        labels=np.concatenate([it[0] for it in parts]),
        pitch=np.concatenate([it[1] for it in parts]).astype(np.float16),
        characters=np.concatenate([it[2] for it in parts]),
    )
    half.replace(path)
    return len(kept)


def labels_of(path: pathlib.Path) -> np.ndarray:
    """All phones of a shard, for the inventory."""
    return np.load(path)["labels"]


def read_shard(path: pathlib.Path, inventory: tokens.Inventory) -> list[Sentence]:
    with np.load(path) as shard:
        ends = np.cumsum(shard["lengths"])
        pairs = inventory.codes(shard["labels"])
        pitch = shard["pitch"].astype(np.float32)
        characters = shard["characters"]
        rows = zip(shard["texts"], shard["voices"], ends - shard["lengths"], ends)
        return [Sentence(str(t), str(v), pairs[a:b], pitch[a:b], characters[a:b]) for t, v, a, b in rows]
