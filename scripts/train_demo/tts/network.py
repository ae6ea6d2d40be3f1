"""The few layers that the networks are made of, as functions over trees of arrays; and files of such trees."""

import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

silu = jax.nn.silu


def dense(key: jax.Array, n_in: int, n_out: int, scale: float = 1.0) -> dict:
    """Weights of a linear layer, or of a convolution if `n_in` is width times channels."""
    return {"w": jax.random.normal(key, (n_in, n_out)) * scale / np.sqrt(n_in), "b": jnp.zeros(n_out)}


def linear(p: dict, x: jax.Array) -> jax.Array:
    return x @ p["w"] + p["b"]


def convolution(p: dict, x: jax.Array, width: int, dilation: int = 1) -> jax.Array:
    """As long as its input (rows, time, channels): one product with copies of it that are shifted."""
    half = (width - 1) // 2 * dilation
    padded = jnp.pad(x, ((0, 0), (half, half), (0, 0)))
    n = x.shape[1]
    return linear(p, jnp.concatenate([padded[:, at * dilation : at * dilation + n] for at in range(width)], -1))


def rms_norm(gain: jax.Array, x: jax.Array) -> jax.Array:
    return x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-5) * gain


def size(tree: dict) -> int:
    return sum(it.size for it in jax.tree_util.tree_leaves(tree))


def save(path: pathlib.Path, tree: dict) -> None:
    """Each array by its path in the tree. The file is there wholly or not at all."""
    flat, _ = jax.tree_util.tree_flatten_with_path(tree)
    named = {"/".join(str(getattr(key, "key", getattr(key, "idx", key))) for key in path): value for path, value in flat}
    part = path.with_suffix(".part.npz")
    np.savez(part, **{name: np.asarray(value) for name, value in named.items()})
    os.replace(part, path)


def load(path: pathlib.Path) -> dict:
    tree: dict = {}
    with np.load(path) as file:
        for name in file.files:
            *branches, leaf = name.split("/")
            at = tree
            for branch in branches:
                at = at.setdefault(branch, {})
            at[leaf] = file[name]
    return tree
