"""Trains the decoder and the classifier, for so many minutes; the decoder goes on where it was broken off."""

import pathlib
import time
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import optax

from shared.runs import Clock, RunFolder
from scipy.signal import resample_poly
from tts import acoustics, classifier, decoder, network, speakers, teacher, texts, tokens
from tts.speakers import mel

N_ROWS, N_TOKENS = 16, 64
PEAK, N_WARM = 2.5e-3, 100
# How often each voice is taken: kal16 sounds like no person, and a reference may not either.
SHARES = {"slt": 0.25, "rms": 0.3, "awb": 0.25, "kal16": 0.2}
# Steps between notes, and seconds between checkpoints.
NOTE_EVERY, SAVE_EVERY = 100, 60
N_CLASSIFIER_SENTENCES = 120


def analyse_voice(path: pathlib.Path, voice: str, seed: int, n: int, facts: dict) -> None:
    """Writes what is heard of `n` sentences of a voice, one after another."""
    mean = float(facts[f"pitch_{voice}"]) if voice in teacher.TRACKED else None
    parts = []
    for text in texts.sentences(seed, 0, 10**7):
        spoken = teacher.speak(text, voice)
        part = acoustics.analyse(spoken, mean)
        if len(part["labels"]) >= 16:
            part["samples"] = spoken.samples[: len(part["labels"]) * acoustics.RATE // 50]
            parts.append(part)
        if len(parts) == n:
            break
    if mean is None:
        mean = float(np.concatenate([it["pitch"][it["voiced"]] for it in parts]).mean())
        for it in parts:
            it["pitch"] = it["pitch"] - np.float32(mean)
    for it in parts:
        it["token_pitch"] = tokens.token_pitch(it["pitch"], it["voiced"])
    joined = {name: np.concatenate([it[name] for it in parts]) for name in parts[0]}
    half = path.with_suffix(".part.npz")
    np.savez_compressed(half, **joined)
    half.replace(path)


def read_voices(run: RunFolder, inventory: tokens.Inventory) -> dict[str, dict]:
    """As `batches` takes them: phones as the inventory can say them, levels of pitch, and references."""
    found = {}
    facts = np.load(run / "voices.npz")
    for voice in teacher.VOICES:
        with np.load(run / "acoustics" / f"{voice}.npz") as file:
            it = {name: file[name] for name in file.files if name != "samples"}
        n = len(it["labels"]) // 2
        it["phones"] = inventory.table[inventory.codes(it["labels"])].reshape(-1).astype(np.int32)
        it["token_pitch"] = ((tokens.levels(it["token_pitch"][:n]) - tokens.N_PITCHES // 2) * tokens.PITCH_STEP).astype(np.float32)
        it["level"], it["clips"] = 0.5 * float(facts[f"level_{voice}"]), facts[f"clips_{voice}"]
        found[voice] = it
    return found


def bent_throat(envelope: np.ndarray, speaker: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Both as a longer or shorter throat has them: all frequencies scaled."""
    scale = np.exp(random.uniform(-0.16, 0.16))
    at = np.interp(acoustics.PLACES / scale, acoustics.PLACES, np.arange(acoustics.N_BINS))
    whole = np.minimum(at.astype(int), acoustics.N_BINS - 2)
    part = (at - whole).astype(np.float32)
    envelope = envelope[:, whole] * (1 - part) + envelope[:, whole + 1] * part
    return envelope, np.interp(speakers.CENTRES / scale, speakers.CENTRES, speaker).astype(np.float32)


def bent_microphone(envelope: np.ndarray, speaker: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Both through another microphone: a gentle curve over frequency is added."""
    weights = random.normal(0, 0.25, 3)

    def curve(hertz: np.ndarray) -> np.ndarray:
        at = np.pi * mel(hertz) / mel(8000)
        return sum(weight * np.cos((n + 1) * at) for n, weight in enumerate(weights)).astype(np.float32)

    added = curve(speakers.CENTRES)
    return envelope + curve(acoustics.PLACES) - added.mean(), speaker + 2 * (added - added.mean())


def batches(voices: dict[str, dict], random: np.random.Generator) -> Iterator[dict]:
    """Cuts of the voices; most of them as another speaker's, in sound and reference alike."""
    names = list(voices)
    shares = np.array([SHARES[it] for it in names])
    while True:
        rows: dict[str, list] = {}
        for _ in range(N_ROWS):
            it = voices[names[random.choice(len(names), p=shares / shares.sum())]]
            n = min(N_TOKENS, len(it["token_pitch"]) - 1)
            at = random.integers(0, len(it["token_pitch"]) - n)
            fine = slice(4 * at, 4 * (at + n))
            envelope, speaker = it["envelope"][fine].astype(np.float32) - it["level"], it["clips"][random.integers(len(it["clips"]))]
            if random.random() < 0.7:
                envelope, speaker = bent_throat(envelope, speaker, random)
            if random.random() < 0.7:
                envelope, speaker = bent_microphone(envelope, speaker, random)
            row = {
                "phones": it["phones"][2 * at : 2 * (at + n)], "token_pitch": it["token_pitch"][at : at + n],
                "speaker": speaker - speaker.mean(), "envelope": envelope, "periodicity": it["periodicity"][fine].astype(np.float32),
                "voiced": it["voiced"][fine].astype(np.float32), "pitch": it["pitch"][fine],
            }  # fmt: skip
            for name, value in row.items():
                rows.setdefault(name, []).append(value)
        yield {name: np.stack(values).astype(np.int32 if name == "phones" else np.float32) for name, values in rows.items()}


def learn(run: RunFolder, minutes: float, seed: int, start: pathlib.Path | None = None) -> None:
    """Writes `decoder.npz`."""
    inventory = tokens.Inventory.load(run / "inventory.npz")
    path, state_path = run / "decoder.npz", run / "decoder_state.npz"
    params = network.load(start) if start else decoder.initial(jax.random.PRNGKey(seed))
    optimise = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1.0, weight_decay=1e-3))
    checkpoint = network.Checkpoint.read(state_path, params, optimise.init(params))
    params, state, steps = checkpoint.params, checkpoint.state, checkpoint.steps
    print(f"{network.size(params):,} weights, step {steps}", flush=True)

    @jax.jit
    def step(params, state, rate, batch):
        (_, measures), gradient = jax.value_and_grad(decoder.loss, has_aux=True)(params, batch)
        update, state = optimise.update(gradient, state, params)
        return optax.apply_updates(params, jax.tree_util.tree_map(lambda it: it * rate, update)), state, measures

    clock = Clock(minutes, checkpoint.minutes)
    mean, weight = np.zeros(len(decoder.MEASURES)), 0.0
    made = batches(read_voices(run, inventory), np.random.default_rng([seed, steps]))
    saved = time.monotonic()

    def save() -> None:
        network.Checkpoint(params, state, steps, clock.spent).write(state_path)
        network.save(path, params)

    while not clock.over:
        rate = PEAK * min(1, (steps + 1) / N_WARM) * (0.02 + 0.98 * (0.5 + 0.5 * np.cos(np.pi * clock.share)))
        params, state, measures = step(params, state, rate, next(made))
        mean, weight, steps = mean * 0.97 + np.asarray(measures) * 0.03, weight * 0.97 + 0.03, steps + 1
        if steps % NOTE_EVERY == 0:
            found = dict(zip(decoder.MEASURES, (mean / weight).round(4).tolist()))
            run.note("decoder", steps=steps, minutes=round(clock.spent, 2), **found)
            print(f"step {steps}, {clock.left()}: {found}", flush=True)
        if time.monotonic() - saved > SAVE_EVERY:
            save()
            saved = time.monotonic()
    save()


def learn_classifier(run: RunFolder, n_steps: int, seed: int) -> None:
    """Writes `classifier.npz`: it takes a minute."""
    mels, labels = [], []
    for voice in teacher.VOICES:
        with np.load(run / "acoustics" / f"{voice}.npz") as file:
            samples, label = file["samples"], file["labels"]
        most = N_CLASSIFIER_SENTENCES * 4 * 50
        found = speakers.log_mel(resample_poly(samples[: most * 320] / 32768.0, 3, 2))
        spectrum, level = speakers.statistics(found)
        n = min(len(found), len(label), most)
        mels.append(((found[:n] - spectrum - level) * 0.3).astype(np.float32))
        labels.append(label[:n].astype(np.int32))
    mels, labels = np.concatenate(mels), np.concatenate(labels)
    params = classifier.initial(jax.random.PRNGKey(seed))
    optimise = optax.adam(optax.cosine_decay_schedule(2e-3, n_steps))
    state = optimise.init(params)

    @jax.jit
    def step(params, state, x, y):
        def loss(params):
            scores = classifier.apply(params, x)
            return optax.softmax_cross_entropy_with_integer_labels(scores, y).mean(), (scores.argmax(-1) == y).mean()

        (_, right), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        update, state = optimise.update(gradient, state)
        return optax.apply_updates(params, update), state, right

    random = np.random.default_rng(seed)
    width = min(200, len(labels) - 1)
    for number in range(n_steps):
        at = random.integers(0, len(labels) - width, 16)
        x = np.stack([mels[it : it + width] for it in at]) + random.normal(0, 0.1, (16, 1, speakers.N_BANDS)).astype(np.float32)
        x = np.roll(x, random.integers(-2, 3), axis=2)
        params, state, right = step(params, state, x, np.stack([labels[it : it + width] for it in at]))
        if number % NOTE_EVERY == 0:
            run.note("classifier", steps=number, right=round(float(right), 4))
    network.save(run / "classifier.npz", params)
