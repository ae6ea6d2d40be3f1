"""The stages of a run, in their order. Each is left out when it was done before."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shutil
from typing import Any

from asr import corpus, evaluate, export, learn, lexicon, pictures, report, testsets, tokenizer
from asr.model import Shape, Tree
from shared.runs import RunFolder, write_whole

SMALL_CLIPS, SMALL_TESTS, SMALL_TEXTS = 120, 0.05, 8000
# The development set is heard again and again: a part of a whole one.
DEVELOPMENT_SIZE = 0.5
DEMO_SHARD = 900
# The same tests for every run, so that runs can be compared.
TESTS_SEED = 1


def run_all(run: RunFolder, settings: dict[str, Any], processes: int) -> None:
    if not (run / "shape.json").exists():
        run.write_json("shape.json", begun_with(settings).as_json())
    # What was asked for of it is not told beside it: weights to go on from may have another.
    settings = {name: value for name, value in settings.items() if name not in ("width", "layers")} | {"shape": run.read_json("shape.json")}
    make_tokenizer(run, settings)
    make_corpus(run, settings, processes)
    make_tests(run, settings)
    train(run, settings)
    with run.stage("export") as todo:
        if todo:
            export.export(*export.weights_of(run / learn.STATE), run / "tokenizer.json", run / "model")
    with run.stage("evaluation") as todo:
        if todo:
            measure(run, settings)
    print((run / "report.md").read_text().split("## Everything")[0], f"The model is in {run / 'model'}, the report in {run / 'report.md'}.")


def begun_with(settings: dict[str, Any]) -> Shape:
    """The model's shape: as it is asked for, or that of the weights to go on from."""
    if settings["from"]:
        return learn.shape_of(pathlib.Path(settings["from"]))
    encoder, decoder = settings["layers"]
    return Shape(width=settings["width"], encoder_layers=encoder, decoder_layers=decoder)


def make_tokenizer(run: RunFolder, settings: dict[str, Any]) -> None:
    with run.stage("tokenizer") as todo:
        if todo and not (run / "tokenizer.json").exists():
            texts = SMALL_TEXTS if settings["small"] else 60_000
            tokenizer.train(settings["seed"], texts).save(str(run / "tokenizer.json"))


def make_corpus(run: RunFolder, settings: dict[str, Any], processes: int) -> None:
    with run.stage("corpus") as todo:
        if not todo:
            return
        clips = SMALL_CLIPS if settings["small"] else corpus.CLIPS_PER_SHARD
        hours = 0.0
        for n, (number, more) in enumerate(corpus.make(run / "corpus", settings["shards"], settings["seed"], processes, clips), 1):
            hours += more
            print(f"  shard {number}, {n} of {settings['shards']}: {hours:.1f} h of speech", flush=True)
        for number in range(DEMO_SHARD, DEMO_SHARD + settings["demo_shards"]):
            if not (run / "corpus" / f"clips_{number}.json").exists():
                more = corpus.make_demo_shard(run / "corpus", number, settings["seed"], clips)
                print(f"  the built-in voice: {more:.1f} h of speech", flush=True)


def make_tests(run: RunFolder, settings: dict[str, Any]) -> None:
    with run.stage("tests") as todo:
        if not todo:
            return
        size = SMALL_TESTS if settings["small"] else 1.0
        for split, share in (("development", DEVELOPMENT_SIZE), ("test", 1.0)):
            entries = testsets.make(run / split, split, TESTS_SEED, size * share)
            print(f"  {split}: {len(entries)} clips, {sum(entry['seconds'] for entry in entries) / 60:.1f} minutes", flush=True)


def train(run: RunFolder, settings: dict[str, Any]) -> None:
    with run.stage("training") as todo:
        if not todo:
            return
        source = pathlib.Path(settings["from"]) if settings["from"] else None
        # Needed only once: a run that goes on has its own weights.
        given = learn.Given.of(source) if source and not (run / learn.STATE).exists() else None
        plan = learn.Plan(settings["minutes"], settings["seed"], settings["rate"], batch=settings["batch"], warm_start=source is not None)
        if settings["small"]:
            plan = dataclasses.replace(plan, sizes=learn.SIZES[:2], checks=2, fewest_steps=150, tell_every=25, save_every_s=5)
        shape = Shape(**settings["shape"])

        def check(weights: Tree, n: int, minutes: float) -> None:
            """Hears the development set, so that there are error rates over time."""
            export.export(weights, shape, run / "tokenizer.json", run / "check")
            figures = evaluate.evaluate(run / "check", run / "development", quick=True)
            run.note("development", n=n, minutes=round(minutes, 2), groups=figures["groups"], nothing=figures.get("nothing"), pairs=figures.get("pairs"))
            pictures.progress(run)
            rates = ", ".join(f"{name} {100 * rate['wer']:.0f} %" for name, rate in figures["groups"].items())
            print(f"  development set: {rates}", flush=True)

        learn.train(run, plan, shape, given, check)
        shutil.rmtree(run / "check", ignore_errors=True)


def measure(run: RunFolder, settings: dict[str, Any]) -> None:
    """Hears the tests and writes report, model card and pictures."""
    figures = evaluate.evaluate(run / "model", run / "test", quick=settings["small"])
    figures["vocabulary"] = len(lexicon.vocabulary())
    run.write_json("report.json", {"settings": settings, **figures})
    write_whole(run / "report.md", report.report(run, figures, settings).encode())
    write_whole(run / "model/README.md", report.model_card(figures, settings).encode())
    pictures.progress(run)
    pictures.error_rates(run, figures)
    weights, shape = export.weights_of(run / learn.STATE)
    example = next(entry for entry in json.loads((run / "test/tests.json").read_text()) if entry["group"].startswith("held_"))
    words = tokenizer.load(run / "tokenizer.json")
    pictures.attention(run / "attention.png", weights, shape, words, run / "test" / example["file"], example["text"])
