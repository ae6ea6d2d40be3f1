"""Trains the language model, for so many minutes, from nothing or from an earlier one; goes on where it was broken off."""

import pathlib
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax

from shared.runs import Clock, RunFolder
from tts import batches, language_model as lm, network, tokens

PEAK, PEAK_FROM = 2.5e-3, 1.0e-3
N_WARM = 150
# Seconds between checkpoints, and steps between notes.
SAVE_EVERY, NOTE_EVERY, MEASURE_EVERY = 90, 50, 200
READ_EVERY = 300


def optimiser() -> optax.GradientTransformation:
    """Without a learning rate: that follows the clock."""
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1.0, b2=0.98, weight_decay=0.02))


def rate(step: int, share: float, peak: float) -> float:
    return peak * min(1, (step + 1) / N_WARM) * (0.02 + 0.98 * (0.5 + 0.5 * np.cos(np.pi * share)))


def learn(
    run: RunFolder, minutes: float, seed: int, start: pathlib.Path | None = None, buckets: tuple[batches.Bucket, ...] = batches.BUCKETS
) -> None:
    """Writes `language_model.npz`. Sentences that appear in `speech/` while it trains are learned as well."""
    # A run that goes on does not compile everything again.
    jax.config.update("jax_compilation_cache_dir", str(run / "compiled"))
    inventory = tokens.Inventory.load(run / "inventory.npz")
    voices = batches.Voices.load(run / "voices.npz")
    table = jnp.asarray(inventory.table)
    held_out = batches.read(run / "speech", "development", inventory)
    path, state_path = run / "language_model.npz", run / "language_state.npz"
    params = network.load(start) if start else lm.initial(jax.random.PRNGKey(seed))
    optimise = optimiser()
    checkpoint = network.Checkpoint.read(state_path, params, optimise.init(params))
    params, state, steps = checkpoint.params, checkpoint.state, checkpoint.steps
    print(f"{network.size(params):,} weights, step {steps}", flush=True)

    @jax.jit
    def step(params, state, look_weight, rate, batch):
        (_, measures), gradient = jax.value_and_grad(lm.loss, has_aux=True)(params, table, look_weight, batch)
        update, state = optimise.update(gradient, state, params)
        return optax.apply_updates(params, jax.tree_util.tree_map(lambda it: it * rate, update)), state, measures

    measure = jax.jit(lambda params, batch: lm.loss(params, table, 0.0, batch)[1])
    fixed = np.random.default_rng(5)
    judged = [batches.make(held_out, voices, fixed, bucket, noise=False) for bucket in buckets[:3]] if held_out else []
    random = np.random.default_rng([seed, steps])
    shares = np.array([it.share for it in buckets])
    clock = Clock(minutes, checkpoint.minutes)
    sentences: list = []
    mean, weight = np.zeros(len(lm.MEASURES)), 0.0
    saved = read = -np.inf

    def save() -> None:
        network.Checkpoint(params, state, steps, clock.spent).write(state_path)
        network.save(path, params)

    while not clock.over:
        if time.monotonic() - read > READ_EVERY:
            sentences = batches.read(run / "speech", "train", inventory)
            read = time.monotonic()
            run.note("language_data", sentences=len(sentences), tokens=sum(len(it.pairs) for it in sentences))
        # The first steps are short ones: the heads find the text sooner.
        bucket = buckets[random.choice(len(shares), p=shares) if start or steps > 300 else random.choice(min(2, len(buckets)))]
        look_weight = 0.4 if clock.share < 0.4 else 0.15
        speed = rate(steps, clock.share, PEAK_FROM if start else PEAK)
        params, state, measures = step(params, state, look_weight, speed, batches.make(sentences, voices, random, bucket))
        mean, weight, steps = mean * 0.97 + np.asarray(measures) * 0.03, weight * 0.97 + 0.03, steps + 1
        if steps % NOTE_EVERY == 0:
            found = dict(zip(lm.MEASURES, (mean / weight).round(4).tolist()))
            if steps % MEASURE_EVERY == 0 and judged:
                found_held = np.mean([np.asarray(measure(params, it)) for it in judged], 0)
                found |= {f"held_{name}": round(float(it), 4) for name, it in zip(lm.MEASURES, found_held)}
            run.note("language", steps=steps, minutes=round(clock.spent, 2), **found)
            print(f"step {steps}, {clock.left()}: {found}", flush=True)
        if time.monotonic() - saved > SAVE_EVERY:
            save()
            saved = time.monotonic()
    save()
