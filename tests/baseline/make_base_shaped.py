#!/usr/bin/env python3
"""Makes a Whisper with the shape and cost of `base` (English) and random weights, for timing only.

    make_base_shaped.py TOKENIZER_FOLDER OUT_FOLDER

A call costs what a call of the real `base` costs: the same layers, the same 51,864 tokens, int8. What it writes is
nonsense, but it must behave as a recogniser does, or the comparison would time something else: a window gives some
thirty tokens and ends, it is sure of itself so that no window is decoded again at a higher temperature, and its text
does not repeat. So the position decides the token: each of the 448 positions points to a word, and every 64th to the end. Of the
timestamps it writes only the first, so that a window is done with when it was read, as one is that ends in silence.

Needs numpy, ctranslate2. TOKENIZER_FOLDER holds a Whisper tokenizer.json, of which the words are taken.
"""

from __future__ import annotations

import json
import pathlib
import sys

import numpy as np
from ctranslate2.specs import whisper_spec

N_MELS, D, HEADS, LAYERS, FFN, N_TOKENS = 80, 512, 8, 6, 2048, 51_864
N_TIMESTAMPS = 1501
# One window ends at a multiple of this, so a text is between 1 and 64 tokens long and half of that on average.
PERIOD = 64
# How far the position outweighs the last token, and how sure the model is: about 0.9 for each token.
POSITION, SURE = 4.0, 0.6


def make_tokenizer(small: dict) -> dict:
    """The given tokenizer with fillers between its words and its special tokens, up to the size of `base`."""
    words = small["model"]["vocab"]
    special = small["added_tokens"]
    n_fillers = N_TOKENS - len(words) - len(special)
    for number in range(n_fillers):
        words[f"Ġfiller{number}"] = len(words)
    for number, token in enumerate(special):
        token["id"] = len(words) + number
    return small


class Weights:
    def __init__(self) -> None:
        self._random = np.random.RandomState(7)

    def normal(self, *shape: int, scale: float) -> np.ndarray:
        return np.ascontiguousarray(self._random.standard_normal(shape) * scale, dtype=np.float32)

    def linear(self, spec, n_out: int, n_in: int) -> None:
        spec.weight = self.normal(n_out, n_in, scale=0.1 / np.sqrt(n_in))
        spec.bias = np.zeros(n_out, dtype=np.float32)

    def norm(self, spec, gamma: float = 1.0) -> None:
        spec.gamma = np.full(D, gamma, dtype=np.float32)
        spec.beta = np.zeros(D, dtype=np.float32)

    def attention(self, spec, is_cross: bool) -> None:
        self.norm(spec.layer_norm)
        shapes = [D, 2 * D, D] if is_cross else [3 * D, D]
        for linear, n_out in zip(spec.linear, shapes):
            self.linear(linear, n_out, D)

    def feed_forward(self, spec) -> None:
        self.norm(spec.layer_norm)
        self.linear(spec.linear_0, FFN, D)
        self.linear(spec.linear_1, D, FFN)

    def pick(self, n: int, of: int) -> np.ndarray:
        return self._random.permutation(of)[:n]


def make_spec(tokenizer: dict, n_words: int) -> whisper_spec.WhisperSpec:
    weights = Weights()
    spec = whisper_spec.WhisperSpec(LAYERS, HEADS, LAYERS, HEADS)
    encoder, decoder = spec.encoder, spec.decoder
    encoder.conv1.weight = weights.normal(D, N_MELS, 3, scale=1 / np.sqrt(N_MELS * 3))
    encoder.conv1.bias = np.zeros(D, dtype=np.float32)
    encoder.conv2.weight = weights.normal(D, D, 3, scale=1 / np.sqrt(D * 3))
    encoder.conv2.bias = np.zeros(D, dtype=np.float32)
    encoder.position_encodings.encodings = weights.normal(1500, D, scale=0.1)
    for layer in encoder.layer:
        weights.attention(layer.self_attention, is_cross=False)
        weights.feed_forward(layer.ffn)
    weights.norm(encoder.layer_norm)

    special = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    embeddings = weights.normal(N_TOKENS, D, scale=1 / np.sqrt(D))
    decoder.embeddings.weight = embeddings
    decoder.projection.weight = embeddings.copy()
    decoder.projection.bias = np.zeros(N_TOKENS, dtype=np.float32)
    decoder.projection.bias[-N_TIMESTAMPS:] = -30.0
    # Skips the first tokens, which are single bytes: half a letter is no text.
    words = 256 + weights.pick(448, n_words - 256)
    points_to = np.where(np.arange(448) % PERIOD == PERIOD - 1, special["<|endoftext|>"], words)
    decoder.position_encodings.encodings = (POSITION * embeddings[points_to]).astype(np.float32)
    for layer in decoder.layer:
        weights.attention(layer.self_attention, is_cross=False)
        weights.attention(layer.attention, is_cross=True)
        weights.feed_forward(layer.ffn)
    weights.norm(decoder.layer_norm, SURE)

    spelled = {number: token for token, number in tokenizer["model"]["vocab"].items()}
    spelled |= {number: token for token, number in special.items()}
    spec.register_vocabulary([spelled[number] for number in range(N_TOKENS)])
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = [special["<|endoftext|>"]]
    spec.config.lang_ids = [special["<|en|>"]]
    spec.config.alignment_heads = [[0, 1], [1, 0], [1, 2]]
    spec.validate()
    spec.optimize(quantization="int8")
    return spec


def main() -> None:
    source, out = map(pathlib.Path, sys.argv[1:])
    tokenizer = json.loads((source / "tokenizer.json").read_text())
    n_words = len(tokenizer["model"]["vocab"])
    tokenizer = make_tokenizer(tokenizer)
    out.mkdir(parents=True, exist_ok=True)
    make_spec(tokenizer, n_words).save(str(out))
    (out / "tokenizer.json").write_text(json.dumps(tokenizer))
    (out / "preprocessor_config.json").write_text((source / "preprocessor_config.json").read_text())


if __name__ == "__main__":
    main()
