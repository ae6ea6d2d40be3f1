"""Trains the built-in recogniser, from texts to a model folder with its report: see scripts/train_demo/README.md."""

from __future__ import annotations

import argparse
from typing import Any

from shared import command
from shared.runs import RunFolder


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    going_on = "the folder of another run, or of a model, whose weights to go on from"
    parser = command.parser("asr", __doc__, going_on, needs=("training.pkl", "model.bin"))
    parser.add_argument("--shards", type=int, help="thousands of clips to synthesise (default 40)")
    parser.add_argument("--demo-shards", type=int, help="thousands of clips of the synthesiser's built-in voice (default 2)")
    parser.add_argument("--width", type=int, help="width of the model, a multiple of 16 (default 144; 256 is about 10 MB)")
    parser.add_argument("--layers", type=int, nargs=2, metavar=("ENCODER", "DECODER"), help="default 4 3")
    parser.add_argument("--rate", type=command.more_than_no, help="learning rate at its highest (default 0.0015)")
    parser.add_argument("--batch", type=int, help="so many times the windows in a step (default 1, on a GPU 16)")
    it = parser.parse_args(given)
    if (it.width or it.layers) and (it.given or it.small):
        parser.error(f"{'--from' if it.given else '--small'} has its own --width and --layers")
    if it.width is not None and (it.width < 16 or it.width % 16):
        parser.error("--width has to be a multiple of 16")
    # Heads of the second decoder layer tell word times.
    if it.layers and (it.layers[0] < 1 or it.layers[1] < 2):
        parser.error("--layers: at least 1 and 2")
    return it


def settle(run: RunFolder, given: argparse.Namespace) -> dict[str, Any]:
    """What is kept in the run's folder: asked for once, and the same when the run goes on."""
    asked = {
        "minutes": given.minutes,
        "seed": given.seed,
        "shards": given.shards,
        "demo_shards": given.demo_shards,
        "small": given.small or None,
        "rate": given.rate,
        "batch": given.batch,
        "from": str(given.given) if given.given else None,
        "width": given.width,
        "layers": given.layers,
    }
    usual = {
        "minutes": 240, "seed": 1, "shards": 40, "demo_shards": 2, "small": False, "rate": 1.5e-3, "batch": None, "from": None,
        "width": 144, "layers": [4, 3],
    }  # fmt: skip
    if given.small:
        usual |= {"shards": 1, "demo_shards": 0, "width": 48, "layers": [2, 2]}
    settings = command.settle(run, given, asked, usual, ("training", "export", "evaluation"))
    # A run may be begun on one device and gone on with on another.
    return settings | {"batch": settings["batch"] or (16 if given.device == "gpu" else 1)}


def main() -> None:
    given = arguments()
    command.compute_on(given.device)
    from asr import stages

    with RunFolder(given.run).alone() as run:
        stages.run_all(run, settle(run, given), given.processes)


if __name__ == "__main__":
    main()
