"""Batches of sentences for the language model, with what training knows and speaking has to find out."""

import dataclasses
import pathlib

import numpy as np

from tts import language_model as lm
from tts import speakers, tokens
from tts.spoken_sentences import Sentence, read_shard


@dataclasses.dataclass(frozen=True)
class Bucket:
    """Rows of one size, and the share of batches that have it."""

    n_text: int
    n_speech: int
    n_rows: int
    share: float


BUCKETS = (Bucket(52, 104, 14, 0.25), Bucket(104, 192, 8, 0.3), Bucket(168, 330, 4, 0.25), Bucket(272, 500, 3, 0.2))


@dataclasses.dataclass
class Voices:
    """Speaker statistics by voice: what a reference of it may look like."""

    clips: dict[str, np.ndarray]

    @staticmethod
    def load(path: pathlib.Path) -> "Voices":
        with np.load(path) as file:
            return Voices({name.removeprefix("clips_"): file[name] for name in file.files if name.startswith("clips_")})

    def reference(self, voice: str, random: np.random.Generator) -> np.ndarray:
        """Of the voice, with another microphone and throat: references are of people that were never heard."""
        clips = self.clips[voice]
        bent = np.interp(np.arange(speakers.N_BANDS), np.linspace(0, speakers.N_BANDS - 1, 6), random.normal(0, 0.4, 6))
        found = clips[random.integers(len(clips))] + bent
        return found - found.mean()


def read(folder: pathlib.Path, of: str, inventory: tokens.Inventory) -> list[Sentence]:
    """All sentences of a set that are there so far."""
    return [it for path in sorted(folder.glob(f"{of}_*.npz")) if ".part" not in path.name for it in read_shard(path, inventory)]


def joined(sentences: list[Sentence], random: np.random.Generator, bucket: Bucket) -> Sentence | None:
    """A sentence of the bucket's size, or several of one voice after another."""
    text, voice, parts = "", "", []
    for _ in range(12):
        one = sentences[random.integers(len(sentences))]
        if voice and one.voice != voice:
            continue
        start = len(text) + 1 if text else 0
        n_speech = sum(len(it.pairs) for it in parts) + len(one.pairs)
        if start + len(one.text) + 2 > bucket.n_text or n_speech + 1 > bucket.n_speech:
            continue
        # A short one does not belong into a long bucket alone, nor much padding beside it.
        text = f"{text} {one.text}" if text else one.text
        voice = one.voice
        parts.append(dataclasses.replace(one, characters=one.characters + start))
        if len(text) > bucket.n_text * 0.75 or random.random() < 0.25:
            break
    if not parts:
        return None
    if random.random() < 0.15 and text[-1] in ".!":
        # It has to stop without a mark at the end, too.
        text = text[:-1]
    pairs, pitch, characters = (np.concatenate([getattr(it, name) for it in parts]) for name in ("pairs", "pitch", "characters"))
    return Sentence(text, voice, pairs, pitch, characters)


def reached_before(characters: np.ndarray, random: np.random.Generator, n_noise: float = 1.0) -> np.ndarray:
    """What will have been reached before each token, as far from the truth as the model's own idea of it will be."""
    n = len(characters)
    slow, drift = np.zeros(n), 0.0
    steps = random.normal(0, 0.3, n)
    for at in range(n):
        drift = 0.92 * drift + steps[at]
        slow[at] = drift
    scale = n_noise * (2.0 if random.random() < 0.15 else 1.0)
    seen = characters - 0.5 + scale * (slow + random.normal(0, 0.25, n))
    if random.random() < 0.7:
        seen = np.maximum.accumulate(seen)
    return np.concatenate([[0.0], np.maximum(seen, 0.0)])


def make(
    sentences: list[Sentence], voices: Voices, random: np.random.Generator, bucket: Bucket, noise: bool = True
) -> dict[str, np.ndarray]:
    """One batch; with `noise` some of the tokens that the model hears of itself are wrong, as they will be."""
    n, n_text, n_speech = bucket.n_rows, bucket.n_text, bucket.n_speech
    length = n_text + n_speech + lm.FIRST_AT + 1
    small, whole = np.float32, np.int32
    batch = {
        "voice": np.zeros((n, speakers.N_BANDS), small), "exaggeration": np.zeros(n, small), "text": np.zeros((n, n_text), whole),
        "is_text": np.zeros((n, n_text), small), "speech": np.zeros((n, n_speech), whole), "order": np.zeros((n, length), whole),
        "valid": np.zeros((n, length), bool), "reached": np.zeros((n, length), small), "queries": np.zeros((n, n_speech), whole),
        "pair": np.zeros((n, n_speech), whole), "pitch": np.zeros((n, n_speech), whole), "weight": np.zeros((n, n_speech), small),
        "character": np.zeros((n, n_speech), small),
    }  # fmt: skip
    for row in range(n):
        one = None
        while one is None:
            one = joined(sentences, random, bucket)
        _fill(batch, row, one, voices, random, noise, bucket)
    return batch


def _fill(batch: dict, row: int, one: Sentence, voices: Voices, random: np.random.Generator, noise: bool, bucket: Bucket) -> None:
    exaggeration = random.choice([0.5, random.uniform(0, 1.2)]) if noise else 0.5
    pitches = tokens.levels(one.pitch * (0.7 + 1.2 * exaggeration * 0.5))
    ids = lm.text_ids(one.text)
    n_text, n = len(ids), len(one.pairs)
    batch["voice"][row] = voices.reference(one.voice, random)
    batch["exaggeration"][row] = exaggeration
    batch["text"][row, :n_text] = ids
    batch["is_text"][row, :n_text] = 1
    heard, heard_pitch = one.pairs.copy(), pitches.copy()
    if noise:
        late = random.random(n) < 0.04
        heard[late] = np.roll(one.pairs, 1)[late]
        wrong = random.random(n) < 0.02
        heard[wrong] = random.integers(0, tokens.N_PAIRS, wrong.sum())
        off = random.random(n) < 0.15
        heard_pitch[off] = np.clip(heard_pitch[off] + random.integers(-1, 2, off.sum()), 0, tokens.N_PITCHES - 1)
    batch["speech"][row, :n] = heard * tokens.N_PITCHES + heard_pitch
    begins = lm.FIRST_AT - 1 + n_text
    first = lm.FIRST_AT - 1 + bucket.n_text
    order = [*range(begins), first, first + 1, *range(first + 2, first + 2 + n)]
    batch["order"][row, : len(order)] = order
    batch["valid"][row, : len(order)] = True
    # The second beginning predicts the first token, each token the next, the last one the end.
    queries = begins + 1 + np.arange(n + 1)
    batch["queries"][row, : n + 1] = queries
    batch["reached"][row, queries] = reached_before(one.characters, random, 1.0 if noise else 0.0)
    batch["pair"][row, : n + 1] = [*one.pairs, tokens.N_PAIRS]
    batch["pitch"][row, :n] = pitches
    batch["weight"][row, : n + 1] = 1
    batch["weight"][row, n] = 2
    batch["character"][row, :n] = one.characters
