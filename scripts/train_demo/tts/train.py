"""Trains the built-in voice, from texts to a model folder with its report: see scripts/train_demo/README.md."""

from __future__ import annotations

import argparse
import pathlib
from typing import Any

from shared import command
from shared.runs import RunFolder


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = command.parser("tts", __doc__)
    parser.add_argument("--shards", type=int, default=80, help="about 380 sentences each, to synthesise (default 80)")
    parser.add_argument("--recogniser", type=pathlib.Path, help="a model folder for the round trip (default: the built-in one)")
    return parser.parse_args(given)


def settings_of(given: argparse.Namespace) -> dict[str, Any]:
    """What is kept in the run's folder: asked for once, and the same when the run goes on."""
    return {
        "minutes": given.minutes,
        "seed": given.seed,
        "shards": 1 if given.small else given.shards,
        "small": given.small,
        "from": str(given.given) if given.given else None,
        "recogniser": str(given.recogniser) if given.recogniser else None,
    }


def settle(run: RunFolder, given: argparse.Namespace) -> dict[str, Any]:
    return command.settle(run, given, settings_of, arguments(["--run", str(run.path)]), ("decoder", "language", "export", "evaluation"))


def main() -> None:
    given = arguments()
    command.compute_on(given.device)
    from tts import stages

    run = RunFolder(given.run)
    stages.run_all(run, settle(run, given), given.processes)


if __name__ == "__main__":
    main()
