"""Measures a model folder on a set of `testsets.py`.

    python -m asr.evaluate MODEL TESTS [--full] [--out FILE]

Prints a table and writes JSON: what was heard in each clip, and the figures of each group.
"""

from __future__ import annotations

import argparse
import json
import pathlib
from typing import Any

import soundfile

from asr.heard import Recogniser
from asr.scores import sum_up, table


def evaluate(model: pathlib.Path, tests: pathlib.Path, full: bool = False, quick: bool = False) -> dict[str, Any]:
    """Hears every clip and sums up."""
    recogniser = Recogniser(model, full=full, quick=quick)
    entries = json.loads((tests / "tests.json").read_text())
    for entry in entries:
        samples, _ = soundfile.read(tests / entry["file"], dtype="float32")
        heard = recogniser.hear(samples, words=entry["words"] is not None)
        entry["heard"] = heard.text
        entry["found"] = heard
    figures = sum_up(entries)
    figures["bytes"] = sum(file.stat().st_size for file in model.iterdir() if file.suffix != ".md")
    figures["clips"] = [{key: entry[key] for key in ("file", "group", "voice", "text", "heard")} for entry in entries]
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("tests", type=pathlib.Path)
    parser.add_argument("--full", action="store_true", help="encode 30 s for every window")
    parser.add_argument("--out", type=pathlib.Path)
    given = parser.parse_args()
    figures = evaluate(given.model, given.tests, given.full)
    print(table(figures))
    if given.out:
        given.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
