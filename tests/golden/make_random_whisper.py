#!/usr/bin/env python3
"""Makes a multilingual Whisper with the whole vocabulary of large-v3 and random weights, for exactness tests.

What it writes is nonsense, but every rule around a real model applies to it: 51,866 tokens, 100 languages, 128 mel
bands, translation, timestamps, alignment heads. The weights are random but not arbitrary: what is heard decides what is
written, timestamps come in pairs every few words, texts end, and probabilities vary from sure to guessing, so that
segments, fallbacks and silences all occur.

    make_random_whisper.py multilingual.tiktoken OUT_FOLDER

`multilingual.tiktoken` is in the source distribution of PyPI's `openai-whisper` (MIT), folder `whisper/assets`:

    pip download openai-whisper==20250625 --no-deps --no-binary :all: && tar xzf openai_whisper-20250625.tar.gz

Needs numpy, ctranslate2 and tokenizers. The outcome is committed: tests must not depend on how a platform rounds.
"""

import base64
import json
import pathlib
import shutil
import sys

import numpy as np
from ctranslate2.specs import whisper_spec
from tokenizers import Tokenizer

N_MELS, D, HEADS, LAYERS, FFN = 128, 32, 4, 2, 64

# Found by trial; what each does is said where it is used. This seed gives one to five segments a window, texts that
# differ from clip to clip, a dozen languages, and silence probabilities from 0 to 1.
SEED = 11
POSITION = 0.3
TIMES_ALIKE, TIMES_APART, TIME, END, RHYTHM = 0.6, 0.7, 0.5, 1.4, 2.5
HUSH = 4.0
SHARPNESS, HEARD = 14.0, 6.0
SURE, TOKEN = 1.6, 0.3

LANGUAGES = (
    "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg lt la mi ml "
    "cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc ka be tg sd gu am "
    "yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su yue"
).split()
assert len(LANGUAGES) == 100


def bytes_to_unicode():
    """The printable character that stands for each byte in a byte-level vocabulary."""
    kept = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [b for b in range(256) if b not in kept]
    return {b: chr(b) for b in kept} | {b: chr(256 + i) for i, b in enumerate(others)}


def merge_of(token, ranks):
    """The two parts that byte-pair encoding joins last to make `token`."""
    parts = [bytes([b]) for b in token]
    while len(parts) > 2:
        joins = [ranks.get(a + b, 1 << 30) for a, b in zip(parts, parts[1:])]
        at = min(range(len(joins)), key=joins.__getitem__)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts


def make_tokenizer(tiktoken):
    ranks = {}
    for line in tiktoken.read_text().splitlines():
        # The empty token is written as `= 50256` by some versions.
        token, rank = line.split()
        ranks[base64.b64decode(token) if token != "=" else b""] = int(rank)
    spell = bytes_to_unicode()
    text = lambda token: "".join(spell[b] for b in token)
    by_rank = sorted(ranks, key=ranks.get)
    merges = [[text(part) for part in merge_of(token, ranks)] for token in by_rank if len(token) > 1]
    vocabulary = {text(token): ranks[token] for token in by_rank}
    steering = ["<|endoftext|>", "<|startoftranscript|>", *(f"<|{it}|>" for it in LANGUAGES)]
    steering += [f"<|{it}|>" for it in "translate transcribe startoflm startofprev nospeech notimestamps".split()]
    timestamps = [f"<|{i * 0.02:.2f}|>" for i in range(1501)]
    first = len(vocabulary)
    added = [
        {
            "id": first + i,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": token in steering,
        }
        for i, token in enumerate(steering + timestamps)
    ]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": level,
        "post_processor": None,
        "decoder": level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": merges,
        },
    }


class Weights:
    def __init__(self, seed):
        # RandomState's streams are frozen for ever; those of the newer generators are not.
        self.random = np.random.RandomState(seed)

    def normal(self, *shape, scale=1.0):
        return np.ascontiguousarray(self.random.standard_normal(shape) * scale, dtype=np.float32)

    def linear(self, spec, n_out, n_in, gain=1.0):
        spec.weight = self.normal(n_out, n_in, scale=gain / np.sqrt(n_in))
        spec.bias = self.normal(n_out, scale=0.02)

    def norm(self, spec, gamma=1.0):
        spec.gamma = np.full(D, gamma, dtype=np.float32)
        spec.beta = np.zeros(D, dtype=np.float32)

    def attention(self, spec, sharpness, gain, is_cross):
        """`sharpness` decides how few positions are attended to, `gain` how much what is found there counts."""
        self.norm(spec.layer_norm)
        query = self.normal(D, D, scale=np.sqrt(sharpness / D))
        key = self.normal(D, D, scale=np.sqrt(sharpness / D))
        value = self.normal(D, D, scale=1 / np.sqrt(D))
        parts = [[query], [key, value]] if is_cross else [[query, key, value]]
        for linear, rows in zip(spec.linear, parts):
            linear.weight = np.ascontiguousarray(np.concatenate(rows))
            linear.bias = np.zeros(len(linear.weight), dtype=np.float32)
        self.linear(spec.linear[-1], D, D, gain)

    def feed_forward(self, spec, gain):
        self.norm(spec.layer_norm)
        self.linear(spec.linear_0, FFN, D, 1.5)
        self.linear(spec.linear_1, D, FFN, gain)


def make_spec(tokenizer):
    weights = Weights(SEED)
    spec = whisper_spec.WhisperSpec(LAYERS, HEADS, LAYERS, HEADS)
    encoder, decoder = spec.encoder, spec.decoder

    encoder.conv1.weight = weights.normal(D, N_MELS, 3, scale=2.0 / np.sqrt(N_MELS * 3))
    encoder.conv1.bias = weights.normal(D, scale=0.1)
    encoder.conv2.weight = weights.normal(D, D, 3, scale=2.0 / np.sqrt(D * 3))
    encoder.conv2.bias = weights.normal(D, scale=0.1)
    encoder.position_encodings.encodings = weights.normal(1500, D, scale=POSITION)
    for layer in encoder.layer:
        weights.attention(layer.self_attention, 1.0, 0.5, is_cross=False)
        weights.feed_forward(layer.ffn, 0.5)
    weights.norm(encoder.layer_norm)

    special = {it["content"]: it["id"] for it in tokenizer["added_tokens"]}
    n_tokens = max(special.values()) + 1
    embeddings = weights.normal(n_tokens, D)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    timestamps = np.arange(special["<|0.00|>"], n_tokens)
    # Neighbouring times look alike, and together they are often likelier than any one word.
    angles = np.arange(len(timestamps))[:, None] / 1500 * np.linspace(0.5, 6, D // 2)[None, :] * np.pi
    waves = np.concatenate([np.sin(angles), np.cos(angles)], axis=1) @ weights.normal(D, D, scale=1 / np.sqrt(D))
    waves /= np.linalg.norm(waves, axis=1, keepdims=True)
    embeddings[timestamps] = (TIMES_ALIKE * waves + TIMES_APART * embeddings[timestamps]).astype(np.float32)
    # Every few steps a timestamp is likelier, and now and then the end; silence hangs on what is heard.
    time, end, hush = np.linalg.qr(weights.normal(D, 3))[0].T
    embeddings[timestamps] += TIME * time
    embeddings[special["<|endoftext|>"]] = END * end
    embeddings[special["<|nospeech|>"]] = HUSH * (0.6 * hush + 0.8 * embeddings[special["<|nospeech|>"]])
    # Small beside positions and audio, or the model would repeat the token it reads: input and output share them.
    embeddings *= np.sqrt(D) * TOKEN
    decoder.embeddings.weight = embeddings.copy()
    decoder.projection.weight = embeddings.copy()
    steps = np.arange(448)[:, None]
    rhythm = RHYTHM * hush + RHYTHM * (np.cos(2 * np.pi * steps / 7.3) * time + np.cos(2 * np.pi * steps / 23.7 + 1) * end)
    decoder.position_encodings.encodings = (weights.normal(448, D, scale=0.7) + rhythm).astype(np.float32)
    for layer in decoder.layer:
        weights.attention(layer.self_attention, 1.0, 0.7, is_cross=False)
        weights.attention(layer.attention, SHARPNESS, HEARD, is_cross=True)
        weights.feed_forward(layer.ffn, 0.7)
    weights.norm(decoder.layer_norm, SURE / TOKEN)

    spelled = {i: token for token, i in tokenizer["model"]["vocab"].items()} | {i: token for token, i in special.items()}
    spec.register_vocabulary([spelled[i] for i in range(n_tokens)])
    config = spec.config
    config.suppress_ids = sorted(special[f"<|{it}|>"] for it in "translate transcribe startoflm startofprev".split())
    config.suppress_ids_begin = [tokenizer["model"]["vocab"]["Ġ"], special["<|endoftext|>"]]
    config.lang_ids = [special[f"<|{it}|>"] for it in LANGUAGES]
    config.alignment_heads = [[0, 1], [1, 0], [1, 2]]
    spec.validate()
    spec.optimize(quantization="int8")
    return spec


def main():
    tiktoken, out = map(pathlib.Path, sys.argv[1:3])
    tokenizer = make_tokenizer(tiktoken)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    make_spec(tokenizer).save(str(out))
    compact = dict(ensure_ascii=False, separators=(",", ":"))
    (out / "tokenizer.json").write_text(json.dumps(tokenizer, **compact))
    vocabulary = json.loads((out / "vocabulary.json").read_text())
    (out / "vocabulary.json").write_text(json.dumps(vocabulary, **compact))
    preprocessor = {"chunk_length": 30, "feature_size": N_MELS, "hop_length": 160, "n_fft": 400, "sampling_rate": 16000}
    (out / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=2) + "\n")
    assert Tokenizer.from_file(str(out / "tokenizer.json")).encode(" Hello there").ids == [2425, 456]


if __name__ == "__main__":
    main()
