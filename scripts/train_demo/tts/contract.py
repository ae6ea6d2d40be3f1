"""Whether the exported graphs say what the trained network says, and whether rows in company say what they say alone."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import soundfile

from tts import batches, language_model as lm, network, references, tokens
from tts.export_language import HERE, PATIENCE, PUSH, SHARP_PAIRS, SHARP_PITCHES
from tts.voice import Voice

# Logits so far below the best are as good as impossible.
LIKELY = -20.0
N_STEPS = 24


def prompt(voice: Voice, text: str, heard: list[np.ndarray], exaggeration: float = 0.5) -> np.ndarray:
    ids = np.array([voice.tokenizer.encode(text).ids], np.int64)
    at = np.where(ids >= lm.BEGIN_SPEECH, 0, np.arange(ids.shape[1])[None] - 1)
    return np.concatenate([heard[0], voice.embed(ids, at, exaggeration)], 1)


def looked_from(reached: list[np.ndarray], rows: int) -> np.ndarray:
    """Around which place of the text the next token looks, by what each token before it has reached: further on if it stays there."""
    if not reached:
        return np.zeros(rows)
    each = np.stack(reached, 1)
    furthest = each.max(1)
    place = np.maximum(furthest - HERE, 0.25)
    n_here = np.where(furthest >= place, each.shape[1] - (each >= place[:, None]).argmax(1), 0)
    return furthest + np.maximum(n_here - PATIENCE, 0) * PUSH


def follow(voice: Voice, x: np.ndarray, mask: np.ndarray, said: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits before each of the tokens (rows, time) and after the last, and around which place of the text each looks."""
    rows = len(x)
    past = {name: np.zeros((rows, heads, 0, width), np.float32) for name, (heads, width) in voice.cache.items()}
    reaching = list(past).index(f"past_key_values.{lm.REACHING}.value")
    logits, reached, looks = [], [], []
    for step in range(said.shape[1] + 1):
        looks.append(looked_from(reached, rows))
        found, *present = voice.language.run(None, {"inputs_embeds": x, "attention_mask": mask, **past})
        past = dict(zip(past, present))
        logits.append(found[:, -1])
        if step > 0:
            reached.append(present[reaching][:, 0, -1, lm.PLACE_REACHED])
        if step < said.shape[1]:
            x = voice.embed(said[:, step : step + 1], np.full((rows, 1), step + 1), 0.5)
            mask = np.concatenate([mask, np.ones((rows, 1), np.int64)], 1)
    return np.stack(logits, 1), np.stack(looks, 1)


def logits_off(voice: Voice, run: pathlib.Path) -> float:
    """The largest difference to the network's own logits, over a held-out sentence that is given token by token."""
    inventory = tokens.Inventory.load(run / "inventory.npz")
    one = min(batches.read(run / "speech", "development", inventory), key=lambda it: len(it.text))
    bucket = batches.Bucket(len(one.text) + 2, len(one.pairs) + 1, 1, 1.0)
    random = np.random.default_rng(0)
    batch = batches.make([one], batches.Voices.load(run / "voices.npz"), random, bucket, noise=False)
    params = network.load(run / "language_model.npz")
    n = len(one.pairs)
    rows = (batch["voice"] * 0.3 @ params["voice"]["w"] + params["voice"]["b"]).reshape(1, lm.N_VOICE_ROWS, lm.WIDTH)
    heard = [np.concatenate([rows, np.zeros((1, lm.N_VOICE_ROWS, 2))], 2).astype(np.float32)]
    text = one.text if one.text[-1] in ".!?" else f"{one.text}."
    x = prompt(voice, text, heard)
    found, looks = follow(voice, x, np.ones(x.shape[:2], np.int64), batch["speech"][:, :n].astype(np.int64))
    queries = batch["queries"][0, : n + 1]
    batch["reached"][0, queries] = looks[0]
    arrays = {name: jnp.asarray(it) for name, it in batch.items()}
    states, _, _ = lm.forward(jax.tree_util.tree_map(jnp.asarray, params), jnp.asarray(inventory.table), arrays)
    states = states[0, queries]
    bias = np.array(params["pairs"]["b"])
    bias[0] -= 100
    pairs = jax.nn.log_softmax(states @ params["pairs"]["w"] + bias)[:, :-1] * SHARP_PAIRS
    pitches = jax.nn.log_softmax(states @ params["pitches"]["w"] + params["pitches"]["b"]) * SHARP_PITCHES
    wanted = np.asarray((pairs[:, :, None] + pitches[:, None, :]).reshape(n + 1, -1))
    found = found[0, :, : wanted.shape[1]]
    wanted, found = (it - it.max(1, keepdims=True) for it in (wanted, found))
    return float(np.abs(wanted - found)[wanted > LIKELY].max())


def together_off(voice: Voice, heard: list[np.ndarray]) -> float:
    """The largest difference of a row that is padded at the left, with garbage, and beside another, to itself alone."""
    first, second = (prompt(voice, it, heard) for it in ("Hello there, how are you?", "The weather is nice today and the sun is shining."))
    said = np.random.default_rng(0).integers(1, tokens.N_PAIRS * tokens.N_PITCHES, (2, N_STEPS))
    n = max(first.shape[1], second.shape[1])
    x = np.random.default_rng(1).standard_normal((2, n, first.shape[2])).astype(np.float32)
    mask = np.zeros((2, n), np.int64)
    for row, it in enumerate((first, second)):
        x[row, n - it.shape[1] :] = it[0]
        mask[row, n - it.shape[1] :] = 1
    both, _ = follow(voice, x, mask, said)
    worst = 0.0
    for row, it in enumerate((first, second)):
        alone, _ = follow(voice, it, np.ones(it.shape[:2], np.int64), said[row : row + 1])
        likely = alone[0] > LIKELY
        worst = max(worst, float(np.abs(both[row] - alone[0])[likely].max()))
    return worst


def check(folder: pathlib.Path, run: pathlib.Path) -> dict:
    voice = Voice(folder)
    samples, _ = soundfile.read(folder / "default_voice.wav", dtype="float32")
    heard = voice.hear(references.prepared(samples))
    audio = voice.decode(np.arange(100, 150), heard)
    return {
        "logits_off": logits_off(voice, run),
        "together_off": together_off(voice, heard),
        "samples_per_token": len(audio) / 50,
    }


if __name__ == "__main__":
    import sys

    print(json.dumps(check(*map(pathlib.Path, sys.argv[1:3]))))
