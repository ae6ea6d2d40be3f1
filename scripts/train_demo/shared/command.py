"""What the two commands that train have in common: arguments, where JAX computes, and settings that stay those a run was begun with."""

from __future__ import annotations

import argparse
import os
import pathlib
import subprocess
import sys
from typing import Any

from shared.runs import RunFolder


def more_than_no(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("has to be more than 0")
    return value


def parser(name: str, description: str, going_on: str, needs: tuple[str, ...]) -> argparse.ArgumentParser:
    """With the arguments that both take; each adds its own. What is not asked for is None. `going_on` describes `--from`, whose folder has
    to hold one of the files in `needs`."""

    def earlier(text: str) -> pathlib.Path:
        folder = pathlib.Path(text).resolve()
        if not any((folder / file).is_file() for file in needs):
            raise argparse.ArgumentTypeError(f"{folder} holds no {' and no '.join(needs)}")
        return folder

    it = argparse.ArgumentParser(prog=f"scripts/train_demo/{name}/train.sh", description=description.split(":")[0] + ".")
    it.add_argument("--run", type=pathlib.Path, required=True, help="the folder of this run; one that was begun is gone on with")
    minutes = "how long to train, without the other stages (default 240); more than before trains on"
    it.add_argument("--minutes", type=more_than_no, help=minutes)
    it.add_argument("--device", choices=["cpu", "gpu"], default="cpu", help="where to train (default cpu)")
    it.add_argument("--seed", type=int, help="chance of texts, voices and batches (default 1)")
    it.add_argument("--from", dest="given", type=earlier, metavar="FOLDER", help=going_on)
    it.add_argument("--resume", action="store_true", help="refuse to begin a new run")
    it.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="processes that synthesise (default: all cores)")
    it.add_argument("--small", action="store_true", help="a tiny model from a handful of clips, to see that everything works")
    return it


def compute_on(device: str) -> None:
    """Has to be said before JAX is imported. A GPU is tried at once, not after an hour of synthesis."""
    os.environ["JAX_PLATFORMS"] = "cpu" if device == "cpu" else "cuda"
    # In a process of its own: this one makes others later, which may not share its GPU.
    if device == "gpu" and subprocess.run([sys.executable, "-c", "import jax; jax.numpy.zeros(1)"], capture_output=True, check=False).returncode:
        sys.exit("error: JAX finds no NVIDIA GPU here; `scripts/train_demo/setup.sh --gpu` installs what it needs beside the driver")


def settle(run: RunFolder, given: argparse.Namespace, asked: dict[str, Any], usual: dict[str, Any], trained: tuple[str, ...]) -> dict[str, Any]:
    """The settings of the run: those it was begun with, but for the minutes, which may be more.

    `asked` is what the command line says (None: nothing), `usual` what holds otherwise. What is asked for and yet not done is said. More
    minutes do the stages `trained` again.
    """
    wanted = {name: value for name, value in asked.items() if value is not None}
    if not (run / "settings.json").exists():
        if given.resume:
            sys.exit(f"error: there is no run in {run.path}")
        settings = usual | wanted
        run.write_json("settings.json", settings)
        return settings
    settings = run.read_json("settings.json")
    if wanted.get("minutes", 0) > settings["minutes"]:
        run.redo(*trained)
        settings["minutes"] = wanted["minutes"]
        run.write_json("settings.json", settings)
    for name, value in wanted.items():
        if value != settings[name]:
            print(f"{name} stays {settings[name]}: this run was begun with it", file=sys.stderr)
    return settings
