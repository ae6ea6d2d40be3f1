"""The decoder's network: tokens and the speaker's mean spectrum to envelope, periodicity, voicing and pitch, 100 times a second."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from tts import network, speakers
from tts.acoustics import BANDS, N_BINS, PLACES
from tts.network import dense, linear, silu
from tts.tokens import PHONES

WIDTH, FINE_WIDTH, SPEAKER_WIDTH = 160, 128, 32
# Layers at 50 and at 100 frames a second, by how far apart their taps are.
DILATIONS, FINE_DILATIONS = (1, 2, 4), (1, 2)
N_BANDS = len(BANDS)
# The speaker's spectrum, as the envelope would have it.
BASE = np.stack(
    [np.interp(speakers.mel(PLACES), speakers.mel(speakers.CENTRES), row) for row in np.eye(speakers.N_BANDS)]
).astype(np.float32) * 0.5  # fmt: skip
MOST_PITCH_CHANGE = 0.15
MEASURES = ("envelope", "over_time", "over_frequency", "periodicity", "voicing", "pitch")


def initial(key: jax.Array) -> dict:
    keys = iter(jax.random.split(key, 40))
    p = {
        "phones": jax.random.normal(next(keys), (len(PHONES), WIDTH)) * 0.5,
        "pitch": jax.random.normal(next(keys), (1, WIDTH)) * 0.5,
        "fine_pitch": jax.random.normal(next(keys), (1, FINE_WIDTH)) * 0.5,
        "speaker": dense(next(keys), speakers.N_BANDS, SPEAKER_WIDTH),
        "finer": dense(next(keys), WIDTH, 2 * FINE_WIDTH),
        "out": dense(next(keys), FINE_WIDTH, N_BINS + N_BANDS + 2, 0.3),
    }
    for n in range(len(DILATIONS)):
        p[f"layer{n}"] = dense(next(keys), 5 * WIDTH, WIDTH)
        p[f"by_speaker{n}"] = dense(next(keys), SPEAKER_WIDTH, 2 * WIDTH, 0.1)
    for n in range(len(FINE_DILATIONS)):
        p[f"fine_layer{n}"] = dense(next(keys), 5 * FINE_WIDTH, FINE_WIDTH)
        p[f"fine_by_speaker{n}"] = dense(next(keys), SPEAKER_WIDTH, 2 * FINE_WIDTH, 0.1)
    return p


def four_times(x: jax.Array) -> jax.Array:
    """(rows, time) to four values each, straight between the middles of tokens."""
    x = jnp.concatenate([x[:, :1], x, x[:, -1:]], 1)
    a, b, c = x[:, :-2], x[:, 1:-1], x[:, 2:]
    parts = [a * 0.375 + b * 0.625, a * 0.125 + b * 0.875, b * 0.875 + c * 0.125, b * 0.625 + c * 0.375]
    return jnp.stack(parts, -1).reshape(len(x), -1)


def apply(p: dict, phones: jax.Array, pitch: jax.Array, speaker: jax.Array) -> tuple[jax.Array, ...]:
    """`phones` at 50 a second, relative log `pitch` at 25, the `speaker`'s mean spectrum around zero."""
    fine_pitch = four_times(pitch)
    middle_pitch = fine_pitch.reshape(len(pitch), -1, 2).mean(-1)
    known = jnp.tanh(linear(p["speaker"], speaker * 0.5))

    def stack(x, layers, by_speaker, dilations):
        for n, dilation in enumerate(dilations):
            gain, shift = jnp.split(linear(p[f"{by_speaker}{n}"], known)[:, None], 2, -1)
            x = x + silu(network.convolution(p[f"{layers}{n}"], x, 5, dilation) * (1 + gain) + shift)
        return x

    x = jnp.take(p["phones"], phones, axis=0) + middle_pitch[..., None] * 10 * p["pitch"]
    x = stack(x, "layer", "by_speaker", DILATIONS)
    x = linear(p["finer"], x).reshape(len(x), -1, FINE_WIDTH) + fine_pitch[..., None] * 10 * p["fine_pitch"]
    out = linear(p["out"], stack(x, "fine_layer", "fine_by_speaker", FINE_DILATIONS))
    envelope = out[..., :N_BINS] * 1.5 - 1.0 + (speaker @ BASE)[:, None]
    periodicity = jax.nn.sigmoid(out[..., N_BINS : N_BINS + N_BANDS])
    return envelope, periodicity, out[..., -2], fine_pitch + MOST_PITCH_CHANGE * jnp.tanh(out[..., -1])


def loss(p: dict, batch: dict) -> tuple[jax.Array, jax.Array]:
    """What is to become small, and `MEASURES`. Slopes over time and frequency keep it from becoming a blur."""
    envelope, periodicity, voicing, pitch = apply(p, batch["phones"], batch["token_pitch"], batch["speaker"])
    wanted, voiced = batch["envelope"], batch["voiced"]
    loud = 1 + 0.5 * (wanted.mean(-1, keepdims=True) > -3.5)
    measures = (
        (jnp.abs(envelope - wanted) * loud).mean(),
        jnp.abs(jnp.diff(envelope, axis=1) - jnp.diff(wanted, axis=1)).mean(),
        jnp.abs(jnp.diff(envelope) - jnp.diff(wanted)).mean(),
        (jnp.abs(periodicity - batch["periodicity"]).mean(-1) * voiced).mean(),
        optax.sigmoid_binary_cross_entropy(voicing, voiced).mean(),
        (jnp.abs(pitch - batch["pitch"]) * voiced).mean(),
    )
    return sum(it * weight for it, weight in zip(measures, (1, 1, 2, 1, 0.5, 3))), jnp.stack(measures)
