"""Trains the built-in recogniser, from texts to a model folder with its report: see scripts/train_demo/README.md."""

from __future__ import annotations

import argparse
import os
import pathlib
import sys
from typing import Any

from shared.runs import RunFolder


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/train_demo/asr/train.sh", description=__doc__.split(":")[0] + ".")
    parser.add_argument("--run", type=pathlib.Path, required=True, help="the folder of this run; one that was begun is gone on with")
    parser.add_argument("--minutes", type=float, default=240, help="how long to train, without the other stages (default 240)")
    parser.add_argument("--device", choices=["cpu", "gpu"], default="cpu", help="where to train (default cpu)")
    parser.add_argument("--seed", type=int, default=1, help="chance of texts, voices and batches (default 1)")
    parser.add_argument("--from", dest="given", type=pathlib.Path, metavar="FOLDER", help="another run's folder, whose training.pkl and tokenizer.json to go on from")
    parser.add_argument("--resume", action="store_true", help="refuse to begin a new run")
    parser.add_argument("--shards", type=int, default=40, help="thousands of clips to synthesise (default 40)")
    parser.add_argument("--demo-shards", type=int, default=2, help="thousands of clips of the synthesiser's built-in voice (default 2)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="processes that synthesise (default: all cores)")
    parser.add_argument("--width", type=int, default=144, help="width of the model, a multiple of 16 (default 144; 256 is about 10 MB)")
    parser.add_argument("--layers", type=int, nargs=2, default=[4, 3], metavar=("ENCODER", "DECODER"), help="default 4 3")
    parser.add_argument("--rate", type=float, default=1.5e-3, help="learning rate at its highest (default 0.0015)")
    parser.add_argument("--batch", type=int, help="so many times the windows in a step (default 1, on a GPU 16)")
    parser.add_argument("--small", action="store_true", help="a tiny model from a handful of clips, to see that everything works")
    return parser.parse_args(given)


def settings_of(given: argparse.Namespace) -> dict[str, Any]:
    """What is kept in the run's folder: asked for once, and the same when the run goes on."""
    shape = {"width": given.width, "encoder_layers": given.layers[0], "decoder_layers": given.layers[1]}
    if given.small:
        shape = {"width": 48, "encoder_layers": 2, "decoder_layers": 2}
    return {
        "minutes": given.minutes,
        "seed": given.seed,
        "shards": 1 if given.small else given.shards,
        "demo_shards": 0 if given.small else given.demo_shards,
        "small": given.small,
        "rate": given.rate,
        "batch": given.batch or (16 if given.device == "gpu" else 1),
        "from": str(given.given) if given.given else None,
        "shape": shape,
    }


def settle(run: RunFolder, given: argparse.Namespace) -> dict[str, Any]:
    """The settings of the run: those it was begun with, but for the minutes, which may be more."""
    wanted = settings_of(given)
    if not (run / "settings.json").exists():
        if given.resume:
            sys.exit(f"error: there is no run in {run.path}")
        run.write_json("settings.json", wanted)
        return wanted
    settings = run.read_json("settings.json")
    if wanted["minutes"] > settings["minutes"]:
        run.redo("training", "export", "evaluation")
        settings["minutes"] = wanted["minutes"]
        run.write_json("settings.json", settings)
    return settings


def main() -> None:
    given = arguments()
    # Before JAX is imported.
    os.environ["JAX_PLATFORMS"] = "cpu" if given.device == "cpu" else "cuda"
    from asr import stages

    run = RunFolder(given.run)
    settings = settle(run, given)
    stages.run_all(run, settings, given.processes)


if __name__ == "__main__":
    main()
