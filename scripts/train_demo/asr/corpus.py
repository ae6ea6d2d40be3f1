"""Training clips: sentences spoken by chance voices, stored as features with the times of words and phones.

A shard is `features_N.npy` (the raw log-mel features of all its clips below one another, float16) and `clips_N.json` (one entry for each
clip). Half a shard is never left behind: the JSON file is written last.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import pathlib
import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

import numpy as np
from scipy.signal import fftconvolve

from asr import demo_voice, features, sentences, voices
from shared.runs import chance, write_whole
from shared.speech import Speech
from shared.splits import split_of

CLIPS_PER_SHARD = 1000
LONGEST_S = 9.0


def training_sentences(r: random.Random, n: int) -> list[sentences.Sentence]:
    """Sentences of which none is held out."""
    found: list[sentences.Sentence] = []
    while len(found) < n:
        sentence = sentences.some_sentence(r)
        if split_of(sentences.written(sentence)) == "train":
            found.append(sentence)
    return found


def reverberant(samples: np.ndarray, r: random.Random) -> np.ndarray:
    """As in a room: an echo that fades within 0.1 to 0.4 s."""
    n = int(voices.RATE * r.uniform(0.08, 0.4))
    decay = 10 ** (-3 * np.linspace(0, 1, n))
    echo = np.random.default_rng(r.randrange(1 << 30)).standard_normal(n) * decay * r.uniform(0.01, 0.05)
    echo[0] = 1
    return fftconvolve(samples, echo)[: len(samples) + n // 2].astype(np.float32)


def word_times(sentence: sentences.Sentence, clip: voices.Clip) -> list[list[Any]] | None:
    """[written, start, end] for each word; a word may be said with several (`25`). None where the engine said something else."""
    spans, at, found = clip.speech.words, 0, []
    if spans is None:
        return None
    for word in sentence:
        n = len(word.said.split())
        found.append([word.written, spans[at].start, spans[at + n - 1].end])
        at += n
    for this, following in zip(found, found[1:]):
        this[2] = min(this[2], max(following[1], this[1] + 0.02))
    return found


def cut(words: list[list[Any]], clip: voices.Clip, r: random.Random) -> tuple[np.ndarray, dict[str, Any]] | None:
    """A clip's features and its entry, cut close around the speech. None where hardly anything is said, or too much."""
    if words[-1][2] - words[0][1] < 0.05:
        return None
    begin = max(0.0, words[0][1] - r.uniform(0.02, 0.12))
    end = min(clip.speech.seconds, words[-1][2] + r.uniform(0.04, 0.15))
    if end - begin > LONGEST_S:
        return None
    samples = clip.speech.samples[int(begin * voices.RATE) : int(end * voices.RATE)]
    level = np.sqrt(np.mean(samples**2)) + 1e-6
    samples = samples * (0.1 * 10 ** r.uniform(-0.3, 0.3) / level)
    if r.random() < 0.35:
        samples = reverberant(samples, r)
    log_mel = features.raw_log_mel(samples).astype(np.float16)
    entry = {
        "voice": clip.voice,
        "phone_set": clip.phone_set,
        "frames": len(log_mel),
        "words": [[word, round(a - begin, 3), round(b - begin, 3)] for word, a, b in words],
        "phones": [
            [round(phone.start - begin, 3), round(phone.end - begin, 3), phone.name]
            for phone in clip.speech.phones
            if phone.end > begin and phone.start < end
        ],
    }
    return log_mel, entry


def make_shard(folder: pathlib.Path, number: int, seed: int, n: int) -> float:
    """Writes one shard and returns the hours of speech in it."""
    r = chance(seed, "corpus", number)
    speakers = voices.speakers()
    wanted = training_sentences(r, n)
    clips = speakers.say_all([sentences.said(sentence) for sentence in wanted], r)
    timed = [(words, clip) for sentence, clip in zip(wanted, clips) if (words := word_times(sentence, clip))]
    made = [kept for words, clip in timed if (kept := cut(words, clip, r))]
    return _write_shard(folder, number, made)


def untimed(sentence: sentences.Sentence, speech: Speech) -> list[list[Any]] | None:
    """Words of a speaker who tells no times: between begin and end by their letters, which is good for the ends of the whole only."""
    bounds = demo_voice.speech_bounds(speech.samples, speech.rate)
    if bounds is None:
        return None
    letters = np.cumsum([0] + [len(word.said) for word in sentence])
    edges = bounds[0] + (bounds[1] - bounds[0]) * letters / letters[-1]
    return [[word.written, a, b] for word, a, b in zip(sentence, edges.tolist(), edges[1:].tolist())]


def make_demo_shard(folder: pathlib.Path, number: int, seed: int, n: int) -> float:
    """A shard of the built-in voice, with every reference but the one that is held out."""
    r = chance(seed, "demo corpus", number)
    speaker = demo_voice.DemoVoice()
    speaker.add_references(r)
    references = [name for name in speaker.references if name != voices.HELD_OUT_REFERENCE]
    made = []
    for sentence in training_sentences(r, n):
        text = sentences.said(sentence)
        if len(text) <= demo_voice.LONGEST_TEXT:
            reference = "default" if r.random() < 0.4 else r.choice(references)
            speech = speaker.say(text, reference).at(voices.RATE, r.uniform(0.92, 1.1))
            words = untimed(sentence, speech)
            kept = words and cut(words, voices.Clip(f"demo-{reference}", "none", speech), r)
            if kept:
                made.append((kept[0], kept[1] | {"timed": False}))
    return _write_shard(folder, number, made)


def _write_shard(folder: pathlib.Path, number: int, made: list[tuple[np.ndarray, dict[str, Any]]]) -> float:
    folder.mkdir(parents=True, exist_ok=True)
    log_mels = np.concatenate([log_mel for log_mel, _ in made])
    path = folder / f"features_{number:03d}.npy"
    part = folder / f".{path.stem}.{os.getpid()}.npy"
    np.save(part, log_mels)
    part.replace(path)
    write_whole(folder / f"clips_{number:03d}.json", json.dumps([entry for _, entry in made]).encode())
    return len(log_mels) / features.FRAMES_PER_SECOND / 3600


def make(folder: pathlib.Path, shards: int, seed: int, processes: int, clips_per_shard: int = CLIPS_PER_SHARD) -> Iterator[tuple[int, float]]:
    """Makes the shards that are missing, and yields each one's number and hours as it is done."""
    missing = [number for number in range(shards) if not (folder / f"clips_{number:03d}.json").exists()]
    # Not forked: JAX has threads by then, and a child that outlived this process would hold the folder's lock.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        futures = {pool.submit(make_shard, folder, number, seed, clips_per_shard): number for number in missing}
        for future in as_completed(futures):
            yield futures[future], future.result()
