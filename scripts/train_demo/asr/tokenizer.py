"""Byte-level BPE made from this recipe's own sentences, with Whisper's special tokens behind it."""

from __future__ import annotations

import itertools
import pathlib
from dataclasses import dataclass

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from asr import sentences
from shared.runs import chance

SIZE = 1600
TIMESTAMPS = 1501
# No merges over several digits: a number that was never seen is written as well as one that was.
PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+"
SPECIAL = "endoftext startoftranscript en translate transcribe startoflm startofprev nospeech notimestamps".split()
ALONE = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789$'"


def train(seed: int, texts: int = 60_000, size: int = SIZE) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(PATTERN), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    # Whisper's decoders suppress a lone space, so every letter and digit needs a merge with the space before it.
    alone = [f" {char}" for char in ALONE] * 20_000
    r = chance(seed, "tokenizer")
    ours = (" " + sentences.written(sentences.some_sentence(r)) for _ in range(texts))
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(itertools.chain(alone, ours), trainer)
    missing = [char for char in ALONE if len(tokenizer.encode(f" {char}").ids) != 1]
    if tokenizer.get_vocab_size() != size or missing:
        raise RuntimeError(f"{tokenizer.get_vocab_size()} of {size} tokens; no token of their own: {missing}")
    special = [f"<|{name}|>" for name in SPECIAL] + [f"<|{i * 0.02:.2f}|>" for i in range(TIMESTAMPS)]
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in special])
    return tokenizer


@dataclass(frozen=True)
class Special:
    """Where Whisper's special tokens are."""

    end: int
    start: int
    english: int
    previous: int
    no_speech: int
    no_timestamps: int
    first_timestamp: int

    @staticmethod
    def of(tokenizer: Tokenizer) -> Special:
        names = ("endoftext", "startoftranscript", "en", "startofprev", "nospeech", "notimestamps", "0.00")
        return Special(*(tokenizer.token_to_id(f"<|{name}|>") for name in names))


def load(path: pathlib.Path) -> Tokenizer:
    return Tokenizer.from_file(str(path))
