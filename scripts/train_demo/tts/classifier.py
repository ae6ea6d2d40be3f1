"""A small classifier of phones, 50 a second of log-mel: `speech_encoder` says with it what the reference says."""

import jax

from tts import network, speakers
from tts.network import dense, linear, silu
from tts.tokens import PHONES

WIDTH = 96


def initial(key: jax.Array) -> dict:
    a, b, c = jax.random.split(key, 3)
    return {
        "first": dense(a, 5 * speakers.N_BANDS, WIDTH),
        "second": dense(b, 5 * WIDTH, WIDTH),
        "out": dense(c, WIDTH, len(PHONES)),
    }


def apply(p: dict, mels: jax.Array) -> jax.Array:
    """Scores of (rows, time, bands), which are relative to the speaker's mean and 0.3 of it."""
    x = silu(network.convolution(p["first"], mels, 5))
    return linear(p["out"], silu(network.convolution(p["second"], x, 5)))
