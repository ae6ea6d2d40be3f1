"""The training loop: goes on where it ended, and tells how it does.

The state is kept in `training.pkl` (weights, their running average, the optimiser's moments, what tokens are made of, steps and minutes).
How strongly windows are changed and how long they are follows the share of the time that is gone; beside it each batch hangs only on the seed
and the number of its step.
"""

from __future__ import annotations

import collections
import pathlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from tokenizers import Tokenizer

from asr import loss, model, model_folder, optimiser, pieces, tokenizer
from asr.clips import Clips
from asr.windows import Composer, Kind
from shared.runs import Clock, RunFolder, seed_of

STATE = "training.pkl"
SILENT = 0.07


@dataclass(frozen=True)
class Size:
    """A length of windows, how many make a batch, and how often it is drawn at the start and at the end of training."""

    frames: int
    windows: int
    tokens: int
    at_start: float
    at_end: float


SIZES = (
    Size(160, 8, 16, 1.0, 0.5),
    Size(288, 6, 28, 1.0, 1.0),
    Size(512, 4, 48, 0.1, 0.5),
    Size(800, 3, 64, 0.0, 0.3),
    Size(1200, 2, 80, 0.0, 0.15),
    Size(3000, 1, 128, 0.0, 0.02),
)


@dataclass(frozen=True)
class Plan:
    """What can be chosen about the training. `warm_start`: from weights that can hear already, so that the long windows come at once.
    `checks`: how often on the way the weights are handed to whoever measures them. `fewest_steps`: a machine that is too slow for as many
    takes longer than the minutes."""

    minutes: float
    seed: int
    rate: float = 1.5e-3
    strength: float = 0.5
    wrong_history: float = 0.5
    batch: int = 1
    warm_start: bool = False
    sizes: tuple[Size, ...] = SIZES
    checks: int = 8
    fewest_steps: int = 0
    tell_every: int = 100
    save_every_s: float = 60

    def share(self, clock: Clock, step: int) -> float:
        """How much of the training is behind it: 0 to 1."""
        return min(clock.share, step / self.fewest_steps if self.fewest_steps else 1.0)


def rate_at(plan: Plan, share: float) -> float:
    """A short rise, then a half cosine down to a fiftieth."""
    return plan.rate * min(1.0, share / 0.02 + 0.01) * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * share)))


def kind_at(plan: Plan, share: float, step: int) -> tuple[Kind, int]:
    """The windows of one step, and how many."""
    r = np.random.default_rng(seed_of(plan.seed, "kind", step))
    along = 1.0 if plan.warm_start else min(1.0, 1.5 * share)
    odds = np.array([size.at_start + (size.at_end - size.at_start) * along for size in plan.sizes])
    size = plan.sizes[r.choice(len(plan.sizes), p=odds / odds.sum())]
    strength = plan.strength * (1.0 if plan.warm_start else min(1.0, 0.3 + 1.4 * share))
    return Kind(size.frames, size.tokens, strength, plan.wrong_history), size.windows * plan.batch


def batch_of(composer: Composer, plan: Plan, share: float, step: int) -> dict[str, np.ndarray]:
    kind, n = kind_at(plan, share, step)
    r = np.random.default_rng(seed_of(plan.seed, "batch", step))
    return loss.stacked([composer.window(r, kind, bool(r.random() < SILENT)) for _ in range(n)])


def prefetched(composer: Composer, plan: Plan, clock: Clock, step: int, ahead: int) -> Iterator[dict[str, np.ndarray]]:
    """Batches made by other threads while the last one is learned from."""
    with ThreadPoolExecutor(max(1, ahead)) as pool:
        waiting: collections.deque[Future[dict[str, np.ndarray]]] = collections.deque()
        while True:
            while len(waiting) <= ahead:
                waiting.append(pool.submit(batch_of, composer, plan, plan.share(clock, step), step))
                step += 1
            yield waiting.popleft().result()


@dataclass(frozen=True)
class Given:
    """Weights to go on from, folded, with the tokens and the numbers of phones that they mean (None: classifiers begin anew)."""

    weights: model.Tree
    shape: model.Shape
    words: Tokenizer
    phone_names: list[dict[str, int]] | None

    @staticmethod
    def of(folder: pathlib.Path) -> Given:
        """`folder`: that of a run, or a model as the server loads it."""
        words = tokenizer.load(folder / "tokenizer.json")
        if (folder / STATE).exists():
            state = RunFolder(folder).load(STATE)
            shape = model.Shape(**state["shape"])
            return Given(model.folded(state["average"], shape, state["pieces"]), shape, words, state["phone_names"])
        return Given(*model_folder.read(folder), words, None)


def shape_of(folder: pathlib.Path) -> model.Shape:
    """The shape of the model that `Given.of` would read."""
    if (folder / STATE).exists():
        return model.Shape(**RunFolder(folder).load(STATE)["shape"])
    return model_folder.read(folder)[1]


def start(plan: Plan, shape: model.Shape, clips: Clips, words: Tokenizer, given: Given | None) -> dict[str, Any]:
    """The state before the first step. Another vocabulary is taken over token by token."""
    table = pieces.rows(clips, words, shape.first_timestamp)
    weights = model.start(shape, plan.seed, table.shape[1])
    if given:
        text, stamps = np.split(np.asarray(given.weights["emb"]), [given.shape.first_timestamp])
        weights |= {name: value for name, value in given.weights.items() if name != "emb"}
        own, weights["piece_w"] = pieces.taken_over(text, given.words, words, table)
        positions = model.embeddings(weights | {"emb": np.zeros_like(weights["emb"])}, shape, table)[shape.first_timestamp :]
        weights["emb"] = np.concatenate([own, stamps - positions])
    weights = jax.tree.map(np.asarray, weights)
    return {"weights": weights, "average": weights, "optimiser": None, "step": 0, "minutes": 0.0, "pieces": table}


Check = Callable[[model.Tree, int, float], None]


def train(run: RunFolder, plan: Plan, shape: model.Shape, given: Given | None = None, check: Check | None = None) -> None:
    """Trains until the minutes are over; writes `training.pkl`, and a line for every `tell_every` steps. `check` gets the
    averaged weights (folded), the steps and the minutes."""
    # Six lengths of windows are six programs: a run that goes on need not wait for them again.
    jax.config.update("jax_compilation_cache_dir", str(run / "compiled"))
    words = tokenizer.load(run / "tokenizer.json")
    begun = run.load(STATE) if (run / STATE).exists() else None
    clips = Clips(run / "corpus", words, begun["phone_names"] if begun else given.phone_names if given else None)
    state = begun or start(plan, shape, clips, words, given)
    composer = Composer(clips, tokenizer.Special.of(words), plan.seed)
    weights, average = (jax.tree.map(jax.numpy.array, state[name]) for name in ("weights", "average"))
    moments = optimiser.make().init(weights) if state["optimiser"] is None else jax.tree.map(jax.numpy.array, state["optimiser"])
    table, n = state["pieces"], state["step"]
    step = loss.make_step(shape, table)
    clock = Clock(plan.minutes, state["minutes"])
    print(f"{sum(w.size for w in jax.tree.leaves(weights)) / 1e6:.2f} million weights, {len(clips)} clips, from step {n}", flush=True)

    def save() -> None:
        kept = jax.tree.map(np.asarray, {"weights": weights, "average": average, "optimiser": moments})
        # Never over weights that are still good.
        if not all(np.isfinite(it).all() for it in jax.tree.leaves(kept["weights"])):
            raise FloatingPointError(f"the weights are no numbers any more at step {n}: begin another run --from this one, with a smaller --rate")
        kept |= {"step": n, "minutes": clock.spent}
        run.save(STATE, kept | {"shape": shape.as_json(), "phone_names": clips.phone_names, "pieces": table})

    recent: list[dict[str, jax.Array]] = []
    saved, next_check = time.monotonic(), (int(plan.share(clock, n) * plan.checks) + 1) / plan.checks
    ahead = 1 if jax.default_backend() == "cpu" else 12
    for batch in prefetched(composer, plan, clock, n, ahead):
        share = plan.share(clock, n)
        phone_weight = 0.1 + 0.6 * (1 - share) * (0.5 if plan.warm_start else 1.0)
        decay = min(0.998, n / (n + 20))
        weights, moments, average, measured = step(weights, moments, average, batch, rate_at(plan, share), phone_weight, decay)
        recent.append(measured)
        n += 1
        if n % plan.tell_every == 0:
            means = {name: round(float(np.mean([one[name] for one in recent])), 4) for name in measured}
            run.note("step", n=n, minutes=round(clock.spent, 2), **means)
            print(f"  step {n}: " + ", ".join(f"{name} {value:.3f}" for name, value in means.items()) + f"; {clock.left()}", flush=True)
            recent = []
        share = plan.share(clock, n)
        if share >= 1:
            break
        if check and share >= next_check:
            check(model.folded(average, shape, table), n, clock.spent)
            next_check = (int(share * plan.checks) + 1) / plan.checks
        if time.monotonic() - saved > plan.save_every_s:
            save()
            saved = time.monotonic()
    save()
