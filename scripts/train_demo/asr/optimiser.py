"""How gradients become steps: Muon for the matrices of encoder and decoder, Adam for everything else.

Muon (Keller Jordan and others, 2024, https://kellerjordan.github.io/posts/muon/) gives all directions of a matrix's momentum the same length. With the scale of
Moonlight (Liu and others, 2025, https://arxiv.org/abs/2502.16982) its steps are as large as Adam's, so that both follow the same rate.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from asr.model import Tree

MOMENTUM = 0.95
# Three odd polynomials that together bring singular values from 0.02 to 1 within 0.1 of 1; found by minimising the largest difference.
POLYNOMIALS = ((7.5315, -21.2096, 15.3812), (3.1808, -2.4576, 0.5259), (2.2859, -1.7377, 0.4726))


def orthogonal(matrix: jax.Array) -> jax.Array:
    """Nearly the nearest matrix whose rows (or columns, if they are fewer) are orthogonal and 1 long."""
    turned = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if turned else matrix
    x = x / (jnp.linalg.norm(x) + 1e-12)
    for a, b, c in POLYNOMIALS:
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if turned else x


def muon() -> optax.GradientTransformation:
    def start(weights: Tree) -> Any:
        return jax.tree.map(jnp.zeros_like, weights)

    def step(gradient: Tree, momentum: Any, _: Tree | None = None) -> tuple[Tree, Any]:
        momentum = jax.tree.map(lambda m, g: MOMENTUM * m + (1 - MOMENTUM) * g, momentum, gradient)
        ahead = jax.tree.map(lambda m, g: MOMENTUM * m + (1 - MOMENTUM) * g, momentum, gradient)
        return jax.tree.map(lambda m: orthogonal(m) * (0.2 * max(m.shape) ** 0.5), ahead), momentum

    return optax.GradientTransformation(start, step)


def _kind(path: tuple[Any, ...], weights: jax.Array) -> str:
    return "muon" if path[0].key in ("enc", "dec") and weights.ndim == 2 else "adam"


def _decayed(weights: Tree) -> Any:
    return jax.tree.map(lambda w: w.ndim > 1, weights)


def make() -> optax.GradientTransformation:
    return optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.multi_transform({"muon": muon(), "adam": optax.scale_by_adam(b2=0.98)}, lambda tree: jax.tree_util.tree_map_with_path(_kind, tree)),
        optax.add_decayed_weights(0.01, mask=_decayed),
    )  # fmt: skip
