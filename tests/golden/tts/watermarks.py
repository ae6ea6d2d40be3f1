#!/usr/bin/env python3
"""Makes the graphs in `tests/fixtures/tts-watermark`: marks of a few operations, and some that must be refused.

    watermarks.py     # needs numpy, onnx

No mark here is worth anything as one: each adds something faint that a test can find again. The outcome is committed.
"""

from __future__ import annotations

import pathlib

import numpy as np
from graph import F16, F32, Graph

OUT = pathlib.Path(__file__).resolve().parents[2] / "fixtures/tts-watermark"
# A fortieth of the last half millisecond's mean, turned round: about 32 dB below the sound.
ECHO = np.full(12, -0.025 / 12)


def write(name: str, body, *, shape=(1, "n"), kind=F32, inputs=("samples",)) -> None:
    """A graph of one operation on samples: `body(graph, x)` gives what comes out."""
    graph = Graph(name)
    graph.op("Identity", body(graph, inputs[0]), out="marked")
    sides = [(it, kind, list(shape)) for it in inputs], [("marked", kind, None)]
    graph.save(OUT / f"{name}.onnx", *sides, sidecar=False)


def filtered(pads):
    """`x` and a faint sum of its neighbours: those before it, or of both sides, as a spectrogram would have it."""

    def body(graph: Graph, x: str) -> str:
        wide = graph.op("Reshape", x, np.array([1, 1, -1], np.int64))
        echo = graph.op("Conv", wide, ECHO.reshape(1, 1, -1), pads=pads)
        return graph.op("Add", x, graph.op("Reshape", echo, graph.op("Shape", x)))

    return body


def scaled(by: float):
    return lambda graph, x: graph.op("Mul", x, np.float32(by))


def fragile(graph: Graph, x: str) -> str:
    """Not a number as soon as a sample of the window is louder than a quarter."""
    peak = graph.op("ReduceMax", graph.op("Abs", x), keepdims=0)
    root = graph.op("Sqrt", graph.op("Sub", np.float32(0.25), peak))
    return graph.op("Add", x, graph.op("Mul", x, graph.op("Mul", root, np.float32(0.02))))


def main() -> None:
    write("before", filtered([11, 0]))
    write("around", filtered([6, 5]), shape=(1, 1, "n"))
    write("flat", scaled(0.99), shape=("n",))
    write("fragile", fragile)
    # What must be refused, and why.
    write("loud", scaled(0.5))
    write("nothing", scaled(1.0))
    write("shorter", lambda graph, x: graph.slice(x, 0, -1, 1))
    write("fixed", scaled(0.99), shape=(1, 24_000))
    write("half", lambda graph, x: graph.op("Identity", x), kind=F16)
    write("two", lambda graph, x: graph.op("Mul", x, "key"), inputs=("samples", "key"))


if __name__ == "__main__":
    main()
