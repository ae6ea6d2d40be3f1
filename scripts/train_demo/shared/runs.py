"""A run's folder: what stages are done, what was measured on the way, checkpoints that a broken run goes on from, and its time.

    run = RunFolder(pathlib.Path("/somewhere/run"))
    with run.stage("texts") as todo:        # False where an earlier run finished it
        if todo:
            ...
    run.note("step", n=100, loss=2.5)       # one JSON line in progress.jsonl
    run.save("weights.pkl", value)          # the whole file or the one before it, never half of one
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import pickle
import random
import sys
import time
from collections.abc import Iterator
from typing import Any


def seed_of(seed: int, *names: object) -> int:
    """A number that hangs on the seed and on what it is for, so that no two uses share their chance."""
    digest = hashlib.sha256(repr((seed, *names)).encode()).digest()
    return int.from_bytes(digest[:6], "little")


def chance(seed: int, *names: object) -> random.Random:
    """Python's generator for one use of the run's seed."""
    return random.Random(seed_of(seed, *names))


def write_whole(path: pathlib.Path, content: bytes) -> None:
    """Writes a file so that whoever reads it, also after a crash, finds all of it or what was there before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_bytes(content)
    part.replace(path)


def read_lines(path: pathlib.Path) -> list[dict[str, Any]]:
    """The lines of a JSON-lines file; a last line that was cut by a crash is left out."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else []:
        with contextlib.suppress(json.JSONDecodeError):
            found.append(json.loads(line))
    return found


class RunFolder:
    """One run's folder; a later process that is given the same one goes on where it ended."""

    def __init__(self, path: pathlib.Path | str) -> None:
        self.path = pathlib.Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self.began = time.monotonic()

    def __truediv__(self, name: str) -> pathlib.Path:
        return self.path / name

    @contextlib.contextmanager
    def alone(self) -> Iterator[RunFolder]:
        """Keeps other processes out of the folder meanwhile: two trainings would overwrite each other."""
        with (self.path / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                sys.exit(f"error: another process is at work in {self.path}")
            yield self

    # --- stages ---

    def done(self, stage: str) -> bool:
        return (self.path / "done" / stage).exists()

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[bool]:
        """Yields whether the stage is still to do, and marks it as done when its block ends without an exception."""
        if self.done(name):
            print(f"==> {name}: done before", flush=True)
            yield False
            return
        print(f"==> {name}", flush=True)
        began = time.monotonic()
        yield True
        seconds = round(time.monotonic() - began, 1)
        write_whole(self.path / "done" / name, f"{seconds}\n".encode())
        self.note("stage", name=name, seconds=seconds)

    def redo(self, *stages: str) -> None:
        """Forgets that these stages were done."""
        for name in stages:
            (self.path / "done" / name).unlink(missing_ok=True)

    # --- progress ---

    def note(self, kind: str, **values: Any) -> None:
        """Appends one line to progress.jsonl, with the wall-clock time and the seconds since this process began."""
        line = {"kind": kind, "at": round(time.time(), 1), "since_start": round(time.monotonic() - self.began, 1), **values}
        with (self.path / "progress.jsonl").open("ab+") as file:
            # After a line that a crash cut comes a new one.
            file.seek(max(0, file.tell() - 1))
            cut = file.read(1) not in (b"", b"\n")
            file.write(b"\n" * cut + json.dumps(line).encode() + b"\n")

    def notes(self, kind: str) -> list[dict[str, Any]]:
        """The lines of one kind, in the order in which they were written."""
        return [line for line in read_lines(self.path / "progress.jsonl") if line["kind"] == kind]

    # --- files ---

    def save(self, name: str, value: Any) -> None:
        write_whole(self.path / name, pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL))

    def load(self, name: str) -> Any:
        """Reads what `save` wrote. Only for files of one's own: pickle runs what is in them."""
        return pickle.loads((self.path / name).read_bytes())

    def write_json(self, name: str, value: Any) -> None:
        write_whole(self.path / name, (json.dumps(value, indent=1) + "\n").encode())

    def read_json(self, name: str) -> Any:
        return json.loads((self.path / name).read_text())


class Clock:
    """Minutes that a stage may take, counted over all processes that worked on it: `spent` says what earlier ones took."""

    def __init__(self, minutes: float, spent: float = 0.0) -> None:
        if minutes <= 0:
            raise ValueError("a stage needs more than no time")
        self.minutes = minutes
        self.began = time.monotonic() - spent * 60

    @property
    def spent(self) -> float:
        """Minutes that are gone."""
        return (time.monotonic() - self.began) / 60

    @property
    def share(self) -> float:
        """How much of the time is gone: 0 at the start, 1 at the end and after it."""
        return min(1.0, self.spent / self.minutes)

    @property
    def over(self) -> bool:
        return self.spent >= self.minutes

    def left(self) -> str:
        """What is left, to be read by people."""
        seconds = max(0, round((self.minutes - self.spent) * 60))
        return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d} left"
