"""The Whisper architecture in JAX (float32): two convolutions, sinusoidal positions of the encoder, blocks that normalise first, and
one matrix for reading and writing tokens.

Some of it is only for training and is dropped or folded in when the model is exported: classifiers of phones and tokens on the
encoder's frames, and embeddings: a timestamp's is `sinusoids @ ts_w + rest`, so that it starts as the position it names, and that of a token
of text `pieces @ piece_w + rest`, so that it starts as what it sounds like (see `asr/pieces.py`).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Tree = dict[str, Any]


@dataclass(frozen=True)
class Shape:
    """How large a model is. What is not here is as in every Whisper."""

    width: int = 144
    heads: int = 4
    encoder_layers: int = 4
    decoder_layers: int = 3
    mels: int = 80
    audio_positions: int = 1500
    text_positions: int = 448
    vocabulary: int = 3110
    first_timestamp: int = 1609

    def as_json(self) -> dict[str, int]:
        return dataclasses.asdict(self)


# Names of phones that the classifiers have room for, in each set of phones.
PHONE_SETS = {"espeak": 96, "cmu": 64}
# Heads whose cross-attention is taught where a word is spoken: the first two of every decoder layer but the first.
TAUGHT_HEADS = 2
# Where the heads of an encoder layer start to look, in frames of 20 ms.
LOOKS = ((-4, -1.5, 1.5, 4), (-8, -3, 3, 8), (-12, -4, 4, 12), (-16, -5, 5, 16))
DECODER_LOOKS = (-1, -2, None, None)


def sinusoids(n: int, width: int) -> np.ndarray:
    step = np.log(10_000.0) / (width // 2 - 1)
    angles = np.arange(n)[:, None] * np.exp(-step * np.arange(width // 2))[None]
    return np.concatenate([np.sin(angles), np.cos(angles)], 1).astype(np.float32)


# --- weights at the start ---


class _Maker:
    def __init__(self, shape: Shape, seed: int) -> None:
        self.shape, self.r = shape, np.random.default_rng(seed)

    def linear(self, rows: int, columns: int, scale: float = 1.0) -> Tree:
        weights = self.r.standard_normal((rows, columns)) * scale / np.sqrt(rows)
        return {"w": weights.astype(np.float32), "b": np.zeros(columns, np.float32)}

    def norm(self) -> Tree:
        return {"g": np.ones(self.shape.width, np.float32), "b": np.zeros(self.shape.width, np.float32)}

    def attention(self) -> Tree:
        d = self.shape.width
        return {"q": self.linear(d, d), "k": {"w": self.linear(d, d)["w"]}, "v": self.linear(d, d), "o": self.linear(d, d, 0.5)}

    def local_attention(self, looks: tuple[float | None, ...], gain: float = 1.3) -> Tree:
        """Heads that look so many positions away at the start: queries and keys are the fastest sinusoids, turned by that much."""
        d = self.shape.width
        per_head = d // self.shape.heads
        made = self.attention()
        q, k = 0.3 * made["q"]["w"], 0.3 * made["k"]["w"]
        speed = np.exp(-np.log(10_000.0) / (d // 2 - 1) * np.arange(per_head // 2))
        for head in range(self.shape.heads):
            look = looks[head % len(looks)]
            if look is None:
                continue
            for i, angle in enumerate(speed * look):
                column = head * per_head + 2 * i
                q[i, column] += gain
                q[d // 2 + i, column + 1] += gain
                k[i, column] += gain * np.cos(angle)
                k[d // 2 + i, column] -= gain * np.sin(angle)
                k[d // 2 + i, column + 1] += gain * np.cos(angle)
                k[i, column + 1] += gain * np.sin(angle)
        made["q"]["w"], made["k"]["w"] = q.astype(np.float32), k.astype(np.float32)
        return made

    def feed_forward(self) -> Tree:
        d = self.shape.width
        return {"fc1": self.linear(d, 4 * d), "fc2": self.linear(4 * d, d, 0.5)}

    def convolution(self, channels: int) -> Tree:
        d = self.shape.width
        # Twice as large as usual, or what is heard would drown in the positions.
        weights = self.r.standard_normal((3, channels, d)) * 2 / np.sqrt(3 * channels)
        return {"w": weights.astype(np.float32), "b": np.zeros(d, np.float32)}


def start(shape: Shape, seed: int, pieces: int) -> Tree:
    """Weights before any training; `pieces` is how many numbers tell what a token is made of."""
    make, d = _Maker(shape, seed), shape.width
    encoder = [
        {"ln1": make.norm(), "att": make.local_attention(LOOKS[i % len(LOOKS)]), "ln2": make.norm(), **make.feed_forward()}
        for i in range(shape.encoder_layers)
    ]
    decoder = [
        {"ln1": make.norm(), "att": make.local_attention(DECODER_LOOKS), "lnx": make.norm(), "xatt": make.attention(), "ln2": make.norm()}
        | make.feed_forward()
        for _ in range(shape.decoder_layers)
    ]
    return {
        "conv1": make.convolution(shape.mels),
        "conv2": make.convolution(d),
        "enc": encoder,
        "enc_ln": make.norm(),
        "emb": (make.r.standard_normal((shape.vocabulary, d)) * 0.05).astype(np.float32),
        "piece_w": (make.r.standard_normal((pieces, d)) * 0.02).astype(np.float32),
        "ts_w": (np.eye(d) * 0.05).astype(np.float32),
        "pos": sinusoids(shape.text_positions, d) * np.float32(0.05),
        "dec": decoder,
        "dec_ln": make.norm(),
        "phone": make.linear(d, sum(PHONE_SETS.values())),
        "tok_now": make.linear(d, d),
        "tok_prev": make.linear(d, d),
    }


# --- the graph ---


def layer_norm(weights: Tree, x: jax.Array) -> jax.Array:
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + 1e-5) * weights["g"] + weights["b"]


def linear(weights: Tree, x: jax.Array) -> jax.Array:
    y = x @ weights["w"]
    return y + weights["b"] if "b" in weights else y


def gelu(x: jax.Array) -> jax.Array:
    return jax.nn.gelu(x, approximate=False)


def attention(weights: Tree, x: jax.Array, source: jax.Array, heads: int, mask: jax.Array | float = 0.0) -> tuple[jax.Array, jax.Array]:
    """What was attended to, and the scores (batch, heads, queries, keys) before the softmax."""
    batch, queries, d = x.shape
    keys, per_head = source.shape[1], d // heads
    q = linear(weights["q"], x).reshape(batch, queries, heads, per_head) * per_head**-0.5
    k = linear(weights["k"], source).reshape(batch, keys, heads, per_head)
    v = linear(weights["v"], source).reshape(batch, keys, heads, per_head)
    scores = jnp.einsum("bthe,bshe->bhts", q, k) + mask
    mixed = jnp.einsum("bhts,bshe->bthe", jax.nn.softmax(scores, -1), v)
    return linear(weights["o"], mixed.reshape(batch, queries, d)), scores


def convolution(weights: Tree, x: jax.Array, stride: int) -> jax.Array:
    """Three frames wide, as one product of matrices: the gradient of XLA's convolution is slow on CPUs."""
    frames = x.shape[1] // stride
    padded = jnp.pad(x, ((0, 0), (1, 1), (0, 0)))
    columns = jnp.concatenate([padded[:, i : i + stride * (frames - 1) + 1 : stride] for i in range(3)], -1)
    return gelu(columns @ weights["w"].reshape(-1, weights["w"].shape[-1]) + weights["b"])


def feed_forward(layer: Tree, x: jax.Array) -> jax.Array:
    return linear(layer["fc2"], gelu(linear(layer["fc1"], layer_norm(layer["ln2"], x))))


def encode(weights: Tree, mel: jax.Array, positions: jax.Array, heads: int) -> jax.Array:
    """mel (batch, 2 frames, bands), positions (batch, frames, width): where in the 30 s each window lies."""
    x = convolution(weights["conv2"], convolution(weights["conv1"], mel, 1), 2) + positions
    for layer in weights["enc"]:
        normal = layer_norm(layer["ln1"], x)
        x = x + attention(layer["att"], normal, normal, heads)[0]
        x = x + feed_forward(layer, x)
    return layer_norm(weights["enc_ln"], x)


def embeddings(weights: Tree, shape: Shape, pieces: np.ndarray) -> jax.Array:
    """One row for each token, with what it is made of folded in: positions for timestamps, `pieces` (tokens of text, numbers) for text."""
    table = jnp.asarray(sinusoids(shape.audio_positions, shape.width))
    stamps = shape.vocabulary - shape.first_timestamp
    at = table[np.minimum(np.arange(stamps), shape.audio_positions - 1)] @ weights["ts_w"]
    text, rest = weights["emb"][: shape.first_timestamp], weights["emb"][shape.first_timestamp :]
    return jnp.concatenate([text + pieces @ weights["piece_w"], rest + at], 0)


def folded(weights: Tree, shape: Shape, pieces: np.ndarray) -> Tree:
    """The weights with every embedding as it is used, without what it is made of."""
    rest = {name: value for name, value in weights.items() if name not in ("piece_w", "ts_w")}
    return rest | {"emb": embeddings(weights, shape, pieces)}


def decode(weights: Tree, table: jax.Array, tokens: jax.Array, heard: jax.Array, positions: jax.Array, heads: int) -> tuple[jax.Array, list[jax.Array]]:
    """tokens and positions (batch, length) → logits, and the scores of cross-attention of every layer but the first."""
    x = table[tokens] + weights["pos"][positions]
    length = tokens.shape[1]
    causal = jnp.where(np.tri(length, dtype=bool), 0.0, -1e9)
    all_scores = []
    for layer in weights["dec"]:
        normal = layer_norm(layer["ln1"], x)
        x = x + attention(layer["att"], normal, normal, heads, causal)[0]
        found, scores = attention(layer["xatt"], layer_norm(layer["lnx"], x), heard, heads)
        all_scores.append(scores)
        x = x + found
        x = x + feed_forward(layer, x)
    return layer_norm(weights["dec_ln"], x) @ table.T, all_scores[1:]
