"""Trains the built-in voice, from texts to a model folder with its report: see scripts/train_demo/README.md."""

from __future__ import annotations

import argparse
import pathlib
from typing import Any

from shared import command
from shared.runs import RunFolder


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = command.parser("tts", __doc__, "another run's folder whose weights to go on from", needs=("inventory.npz",))
    parser.add_argument("--shards", type=int, help="about 380 sentences each, to synthesise (default 80)")
    parser.add_argument("--recogniser", type=pathlib.Path, help="a model folder for the round trip (default: the built-in one)")
    return parser.parse_args(given)


def settle(run: RunFolder, given: argparse.Namespace) -> dict[str, Any]:
    """What is kept in the run's folder: asked for once, and the same when the run goes on."""
    asked = {
        "minutes": given.minutes,
        "seed": given.seed,
        "shards": given.shards,
        "small": given.small or None,
        "from": str(given.given) if given.given else None,
        "recogniser": str(given.recogniser.resolve()) if given.recogniser else None,
    }
    usual = {"minutes": 240, "seed": 1, "shards": 1 if given.small else 80, "small": False, "from": None, "recogniser": None}
    return command.settle(run, given, asked, usual, ("decoder", "language", "export", "evaluation"))


def main() -> None:
    given = arguments()
    command.compute_on(given.device)
    from tts import stages

    with RunFolder(given.run).alone() as run:
        stages.run_all(run, settle(run, given), given.processes)


if __name__ == "__main__":
    main()
