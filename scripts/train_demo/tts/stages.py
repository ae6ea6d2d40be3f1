"""The stages of a run, in their order. Each is left out when it was done before."""

import concurrent.futures
import json
import multiprocessing
import pathlib
import shutil

import numpy as np

from shared.runs import RunFolder
from tts import (
    batches, default_voice, evaluate, export_decoder, export_encoder, export_language, learn_decoder, learn_language, network, pictures,
    references, report, round_trip, spoken_sentences, teacher, text_tokenizer, tokens, voices,
)  # fmt: skip
from tts.voice import Voice

# Of the minutes: the decoder's part.
DECODER_SHARE = 0.25
# Sentences of each voice for the decoder, and steps of the classifier.
N_ACOUSTIC, N_CLASSIFIER = 600, 1500
# In a small run.
SMALL_SENTENCES, SMALL_ACOUSTIC, SMALL_CLASSIFIER = 60, 6, 20
SMALL_BUCKETS = (batches.Bucket(104, 192, 2, 1.0),)


def run_all(run: RunFolder, settings: dict, processes: int) -> None:
    begin(run, settings)
    speech(run, settings, processes)
    inventory(run)
    acoustics(run, settings, processes)
    train(run, settings)
    with run.stage("export") as todo:
        if todo:
            export(run, run / "model")
    with run.stage("evaluation") as todo:
        if todo:
            measure(run, settings)
    print((run / "report.md").read_text().split("## The language model")[0])
    print(f"The model is in {run / 'model'}, the report in {run / 'report.md'}.")


def begin(run: RunFolder, settings: dict) -> None:
    """The inventory of another run has to stay: its weights mean its codes."""
    if settings["from"] and not (run / "inventory.npz").exists():
        shutil.copyfile(pathlib.Path(settings["from"]) / "inventory.npz", run / "inventory.npz")


def given(settings: dict, name: str) -> pathlib.Path | None:
    path = pathlib.Path(settings["from"]) / name if settings["from"] else None
    return path if path and path.exists() else None


def _pool(processes: int) -> concurrent.futures.ProcessPoolExecutor:
    return concurrent.futures.ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"))


def speech(run: RunFolder, settings: dict, processes: int) -> None:
    with run.stage("speech") as todo:
        if not todo:
            return
        voices.write(run / "voices.npz", settings["seed"])
        with np.load(run / "voices.npz") as facts:
            means = {voice: float(facts[f"pitch_{voice}"]) for voice in teacher.TRACKED}
        folder = run / "speech"
        folder.mkdir(exist_ok=True)
        (folder / "means.json").write_text(json.dumps(means))
        shards = [("train", n) for n in range(settings["shards"])] + [("development", 0)]
        most = {"train": SMALL_SENTENCES, "development": 20 * SMALL_SENTENCES} if settings["small"] else spoken_sentences.PER_SHARD
        with _pool(processes) as pool:
            jobs = [
                pool.submit(spoken_sentences.write_shard, folder, settings["seed"], n, of, means, most[of]) for of, n in shards
            ]
            for n, job in enumerate(concurrent.futures.as_completed(jobs), 1):
                print(f"  shard {n} of {len(jobs)}: {job.result()} sentences", flush=True)


def inventory(run: RunFolder) -> None:
    with run.stage("inventory") as todo:
        if todo and not (run / "inventory.npz").exists():
            labels = [spoken_sentences.labels_of(it) for it in sorted((run / "speech").glob("train_*.npz"))]
            tokens.Inventory.of(labels).save(run / "inventory.npz")


def acoustics(run: RunFolder, settings: dict, processes: int) -> None:
    with run.stage("acoustics") as todo:
        if not todo:
            return
        (run / "acoustics").mkdir(exist_ok=True)
        with np.load(run / "voices.npz") as file:
            facts = dict(file)
        n = SMALL_ACOUSTIC if settings["small"] else N_ACOUSTIC
        missing = [it for it in teacher.VOICES if not (run / "acoustics" / f"{it}.npz").exists()]
        with _pool(processes) as pool:
            jobs = {
                pool.submit(learn_decoder.analyse_voice, run / "acoustics" / f"{voice}.npz", voice, settings["seed"], n, facts): voice
                for voice in missing
            }
            for job in concurrent.futures.as_completed(jobs):
                job.result()
                print(f"  {jobs[job]}", flush=True)


def train(run: RunFolder, settings: dict) -> None:
    minutes, seed = settings["minutes"], settings["seed"]
    with run.stage("classifier") as todo:
        if todo and (path := given(settings, "classifier.npz")):
            shutil.copyfile(path, run / "classifier.npz")
        elif todo:
            learn_decoder.learn_classifier(run, SMALL_CLASSIFIER if settings["small"] else N_CLASSIFIER, seed)
    with run.stage("decoder") as todo:
        if todo:
            learn_decoder.learn(run, minutes * DECODER_SHARE, seed, given(settings, "decoder.npz"))
    with run.stage("language") as todo:
        if todo:
            start = given(settings, "language_model.npz")
            buckets = SMALL_BUCKETS if settings["small"] else batches.BUCKETS
            learn_language.learn(run, minutes * (1 - DECODER_SHARE), seed, start, buckets)


def export(run: RunFolder, folder: pathlib.Path) -> None:
    """Writes the model folder, twice: the second time with what the first one's pitch was off."""
    folder.mkdir(exist_ok=True)
    inventory = tokens.Inventory.load(run / "inventory.npz")
    language, decoder, classifier = (network.load(run / f"{it}.npz") for it in ("language_model", "decoder", "classifier"))
    export_language.write_embeddings(folder / "embed_tokens.onnx", language, inventory)
    export_language.write_language_model(folder / "language_model.onnx", language)
    export_encoder.write(folder / "speech_encoder.onnx", language, classifier, inventory)
    text_tokenizer.write(folder / "tokenizer.json")
    default_voice.write(folder / "default_voice.wav")
    export_decoder.write(folder / "conditional_decoder.onnx", decoder, inventory)
    bias = references.pitch_bias(Voice(folder))
    run.note("pitch_bias", log_hertz=round(bias, 4))
    export_decoder.write(folder / "conditional_decoder.onnx", decoder, inventory, bias)


def measure(run: RunFolder, settings: dict) -> None:
    small = settings["small"]
    limit, n_stops = (1, 2) if small else (None, evaluate.N_STOPS)
    figures = evaluate.evaluate(run / "model", run.path, evaluate.ALL, n_stops, limit)
    recogniser = pathlib.Path(settings["recogniser"]) if settings["recogniser"] else round_trip.DEFAULT_RECOGNISER
    figures["round_trip"] = round_trip.measure(Voice(run / "model"), recogniser, 2 if small else round_trip.N_SENTENCES)
    run.write_json("report.json", figures)
    sentences = run.notes("language_data")[-1]["sentences"]
    told = settings | {"sentences": sentences}
    pictures.draw(run)
    report.write(run.path, figures, told, pictures.curve(run))
    (run / "model/README.md").write_text(report.card(figures, told))
