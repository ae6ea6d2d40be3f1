"""The few layers that the networks are made of, as functions over trees of arrays; and files of such trees."""

import dataclasses
import os
import pathlib
from typing import Any

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


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """What a training goes on from: weights, the optimiser's state, how many steps were made, and in how many minutes."""

    params: dict
    state: Any
    steps: int = 0
    minutes: float = 0.0

    @staticmethod
    def read(path: pathlib.Path, params: dict, state: Any) -> "Checkpoint":
        """That of the file, or where there is none one that begins with what is given."""
        steps, minutes = 0, 0.0
        if path.exists():
            kept = load(path)
            params, steps, minutes = kept["params"], int(kept["steps"]), float(kept["minutes"])
            state = jax.tree_util.tree_unflatten(jax.tree_util.tree_structure(state), [kept["state"][str(n)] for n in range(len(kept["state"]))])
        params, state = jax.tree_util.tree_map(jnp.asarray, (params, state))
        return Checkpoint(params, state, steps, minutes)

    def write(self, path: pathlib.Path) -> None:
        """Weights that are no numbers any more are never written over good ones."""
        if not all(np.isfinite(it).all() for it in jax.tree_util.tree_leaves(self.params)):
            raise FloatingPointError(f"the weights are no numbers any more at step {self.steps}")
        leaves = {str(n): it for n, it in enumerate(jax.tree_util.tree_leaves(self.state))}
        save(path, {"params": self.params, "state": leaves, "steps": np.array(self.steps), "minutes": np.array(self.minutes)})
