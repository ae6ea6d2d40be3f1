"""What the recogniser is trained for.

Beside the next token, the times that the synthesisers gave supervise everything: the phone in each frame, the token that is spoken and
the one before it, and where two heads of cross-attention look. Alignment need not be discovered then, which is most of the work.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from asr import model, optimiser
from asr.model import PHONE_SETS, TAUGHT_HEADS, Shape, Tree
from asr.windows import TOKEN_FRAME_STEP

Batch = dict[str, jax.Array]
# Weights of the guided attention and of the classifiers of tokens. The phones' weight falls while the model learns.
GUIDE, TOKENS = 0.15, 0.1


def _chosen(log_probabilities: jax.Array, labels: jax.Array) -> jax.Array:
    """The log probability of each label; those out of range count as the nearest."""
    inside = jnp.clip(labels, 0, log_probabilities.shape[-1] - 1)
    return jnp.take_along_axis(log_probabilities, inside[..., None], -1)[..., 0]


def _mean(values: jax.Array, counts: jax.Array) -> jax.Array:
    return (values * counts).sum() / jnp.maximum(counts.sum(), 1)


def loss(weights: Tree, batch: Batch, phone_weight: jax.Array, shape: Shape, pieces: np.ndarray) -> tuple[jax.Array, dict[str, jax.Array]]:
    frames = batch["mel"].shape[1] // 2
    sinusoids = jnp.asarray(model.sinusoids(shape.audio_positions, shape.width))
    heard = model.encode(weights, batch["mel"], sinusoids[batch["offset"][:, None] + jnp.arange(frames)], shape.heads)
    table = model.embeddings(weights, shape, pieces)
    logits, attention = model.decode(weights, table, batch["inputs"], heard, batch["positions"], shape.heads)
    targets, first = batch["targets"], shape.first_timestamp
    known = targets >= 0
    log_p = jax.nn.log_softmax(logits, -1)
    # A timestamp 20 ms off is nearly right.
    is_stamp = (targets > first) & (targets < shape.vocabulary - 1)
    near = 0.6 * _chosen(log_p, targets) + 0.2 * _chosen(log_p, targets - 1) + 0.2 * _chosen(log_p, targets + 1)
    text_loss = _mean(-jnp.where(is_stamp, near, _chosen(log_p, targets)), known)
    is_text = known & (targets < first)

    guide = batch["guide"]
    guide_loss = sum(
        -(jax.nn.log_softmax(scores[:, :TAUGHT_HEADS], -1) * guide[:, None]).sum() / (TAUGHT_HEADS * jnp.maximum(guide.sum(), 1))
        for scores in attention
    )

    phones, at, phone_sum, phone_count = model.linear(weights["phone"], heard), 0, 0.0, 0
    for i, room in enumerate(PHONE_SETS.values()):
        labels = batch["phones"][:, i]
        log_phone = jax.nn.log_softmax(phones[..., at : at + room], -1)
        phone_sum -= (_chosen(log_phone, labels) * (labels >= 0)).sum()
        phone_count += (labels >= 0).sum()
        at += room
    phone_loss = phone_sum / jnp.maximum(phone_count, 1)

    token_loss, some = 0.0, heard[:, ::TOKEN_FRAME_STEP]
    for i, name in enumerate(("tok_now", "tok_prev")):
        labels = batch["spoken"][:, i]
        log_token = jax.nn.log_softmax(model.linear(weights[name], some) @ table[:first].T, -1)
        token_loss += _mean(-_chosen(log_token, labels), labels >= 0)

    total = text_loss + GUIDE * guide_loss + phone_weight * phone_loss + (TOKENS + 0.5 * phone_weight) * token_loss
    measured = {
        "loss": text_loss,
        "guide": guide_loss / len(attention),
        "phone": phone_loss,
        "token": token_loss / 2,
        "accuracy": _mean(logits.argmax(-1) == targets, is_text),
    }
    return total, measured


def make_step(shape: Shape, pieces: np.ndarray) -> Any:
    """One step of training: (weights, optimiser, average, batch, rate, phone weight, decay of the average) → the three, and what was measured."""

    rule = optimiser.make()

    def step(weights: Tree, state: Any, average: Tree, batch: Batch, rate: float, phone_weight: float, decay: float) -> Any:
        (_, measured), gradient = jax.value_and_grad(loss, has_aux=True)(weights, batch, phone_weight, shape, pieces)
        update, state = rule.update(gradient, state, weights)
        weights = jax.tree.map(lambda w, u: w - rate * u, weights, update)
        average = jax.tree.map(lambda a, w: decay * a + (1 - decay) * w, average, weights)
        return weights, state, average, measured

    return jax.jit(step, donate_argnums=(0, 1, 2))


def stacked(windows: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.stack([window[name] for window in windows]) for name in windows[0]}
