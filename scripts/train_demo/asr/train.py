"""Trains the built-in recogniser, from texts to a model folder with its report: see scripts/train_demo/README.md."""

from __future__ import annotations

import argparse
from typing import Any

from shared import command
from shared.runs import RunFolder


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = command.parser("asr", __doc__, going_on="the folder of another run, or of a model, whose weights to go on from")
    parser.add_argument("--shards", type=int, default=40, help="thousands of clips to synthesise (default 40)")
    parser.add_argument("--demo-shards", type=int, default=2, help="thousands of clips of the synthesiser's built-in voice (default 2)")
    parser.add_argument("--width", type=int, default=144, help="width of the model, a multiple of 16 (default 144; 256 is about 10 MB)")
    parser.add_argument("--layers", type=int, nargs=2, default=[4, 3], metavar=("ENCODER", "DECODER"), help="default 4 3")
    parser.add_argument("--rate", type=float, default=1.5e-3, help="learning rate at its highest (default 0.0015)")
    parser.add_argument("--batch", type=int, help="so many times the windows in a step (default 1, on a GPU 16)")
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
    return command.settle(run, given, settings_of, arguments(["--run", str(run.path)]), ("training", "export", "evaluation"))


def main() -> None:
    given = arguments()
    command.compute_on(given.device)
    from asr import stages

    run = RunFolder(given.run)
    stages.run_all(run, settle(run, given), given.processes)


if __name__ == "__main__":
    main()
