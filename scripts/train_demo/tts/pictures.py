"""Pictures of a run: losses over time, what the language model looks at, spectrograms."""

import json

import jax.numpy as jnp
import numpy as np
import soundfile
from scipy.signal import resample_poly

from shared import plots
from shared.runs import RunFolder
from tts import batches, language_model as lm, network, references, speakers, teacher, tokens
from tts.voice import Voice

TEXT = "The library opens at nine in the morning, and everybody can borrow up to six books."


def progress(run: RunFolder) -> None:
    panels: dict[str, dict] = {}
    notes = run.notes("language")
    for name in ("pair", "pitch", "look"):
        for which in (name, f"held_{name}"):
            known = [it for it in notes if which in it]
            panels.setdefault(f"language model: {name}", {})[which] = ([it["minutes"] for it in known], [it[which] for it in known])
    notes = run.notes("decoder")
    panels["decoder"] = {
        name: ([it["minutes"] for it in notes], [it[name] for it in notes]) for name in ("envelope", "over_frequency", "voicing")
    }
    plots.curves(run / "progress.png", panels, "minutes")


def attention(run: RunFolder) -> None:
    """A sentence that was never learned: rows are characters, columns tokens."""
    inventory = tokens.Inventory.load(run / "inventory.npz")
    sentences = sorted(batches.read(run / "speech", "development", inventory), key=lambda it: -len(it.text))
    one = next((it for it in sentences if len(it.text) < 110), sentences[-1])
    bucket = batches.Bucket(len(one.text) + 2, len(one.pairs) + 1, 1, 1.0)
    made = batches.make([one], batches.Voices.load(run / "voices.npz"), np.random.default_rng(0), bucket, noise=False)
    params = network.load(run / "language_model.npz")
    _, looks, _ = lm.forward(params, jnp.asarray(inventory.table), {name: jnp.asarray(it) for name, it in made.items()})
    queries, first = made["queries"][0], lm.FIRST_AT
    panels = {
        f"layer {layer + 1}, first head: {one.text}": np.asarray(look[0])[queries, first : first + len(one.text)].T
        for layer, look in zip(lm.FOLLOWING, looks)
    }
    plots.images(run / "attention.png", panels, "tokens")


def spectrograms(run: RunFolder) -> None:
    voice = Voice(run / "model")
    samples, _ = soundfile.read(run / "model/default_voice.wav", dtype="float32")
    heard = voice.hear(references.prepared(samples))
    ours = voice.decode(voice.tokens(TEXT, heard, most=400)[0], heard)
    theirs = resample_poly(teacher.speak(TEXT, "rms").samples / 32768.0, 3, 2)
    panels = {name: np.maximum(speakers.log_mel(it).T, -14) for name, it in (("teacher", theirs), ("voice", ours))}
    plots.images(run / "spectrogram.png", panels, "20 ms")


def draw(run: RunFolder) -> None:
    progress(run)
    attention(run)
    spectrograms(run)


def curve(run: RunFolder) -> list[dict]:
    """A few points of the loss on held-out sentences, for the report."""
    notes = [it for it in run.notes("language") if "held_pair" in it]
    chosen = [notes[round(n)] for n in np.linspace(0, len(notes) - 1, min(8, len(notes)))] if notes else []
    return json.loads(json.dumps(chosen))
