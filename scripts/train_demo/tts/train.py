"""Trains the built-in voice, from texts to a model folder with its report: see scripts/train_demo/README.md."""

import argparse
import os
import pathlib
import sys

from shared.runs import RunFolder

# Files that another run may be gone on from.
GIVEN = ("inventory.npz", "language_model.npz", "decoder.npz", "classifier.npz")


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/train_demo/tts/train.sh", description=__doc__.split(":")[0] + ".")
    parser.add_argument("--run", type=pathlib.Path, required=True, help="the folder of this run; one that was begun is gone on with")
    parser.add_argument("--minutes", type=float, default=240, help="how long to train, without the other stages (default 240)")
    parser.add_argument("--device", choices=["cpu", "gpu"], default="cpu", help="where to train (default cpu)")
    parser.add_argument("--seed", type=int, default=1, help="chance of texts and batches (default 1)")
    parser.add_argument("--from", dest="given", type=pathlib.Path, metavar="FOLDER", help="another run's folder whose weights to go on from")
    parser.add_argument("--resume", action="store_true", help="refuse to begin a new run")
    parser.add_argument("--shards", type=int, default=80, help="about 380 sentences each, to synthesise (default 80)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="processes that synthesise (default: all cores)")
    parser.add_argument("--recogniser", type=pathlib.Path, help="a model folder for the round trip (default: the built-in one)")
    parser.add_argument("--small", action="store_true", help="a handful of sentences and steps, to see that everything works")
    return parser.parse_args(given)


def settle(run: RunFolder, given: argparse.Namespace) -> dict:
    """The settings of the run: those it was begun with, but for the minutes, which may be more."""
    wanted = {
        "minutes": given.minutes, "seed": given.seed, "shards": 1 if given.small else given.shards, "small": given.small,
        "from": str(given.given) if given.given else None, "recogniser": str(given.recogniser) if given.recogniser else None,
    }  # fmt: skip
    if not (run / "settings.json").exists():
        if given.resume:
            sys.exit(f"error: there is no run in {run.path}")
        run.write_json("settings.json", wanted)
        return wanted
    settings = run.read_json("settings.json")
    if wanted["minutes"] > settings["minutes"]:
        run.redo("decoder", "language", "export", "evaluation")
        settings["minutes"] = wanted["minutes"]
        run.write_json("settings.json", settings)
    return settings


def main() -> None:
    given = arguments()
    # Before JAX is imported.
    os.environ["JAX_PLATFORMS"] = "cpu" if given.device == "cpu" else "cuda"
    from tts import stages

    run = RunFolder(given.run)
    stages.run_all(run, settle(run, given), given.processes)


if __name__ == "__main__":
    main()
