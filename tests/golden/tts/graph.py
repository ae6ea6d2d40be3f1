"""A short way to write ONNX graphs by hand."""

from __future__ import annotations

import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

F16, F32, I32, I64, BOOL = (
    TensorProto.FLOAT16,
    TensorProto.FLOAT,
    TensorProto.INT32,
    TensorProto.INT64,
    TensorProto.BOOL,
)
OPSET = 17
# Weights from this size on are stored in half precision and widened when the graph is loaded.
HALF_FROM = 64
MICROSOFT = "com.microsoft"


class Graph:
    """Nodes in the order in which they are asked for; every call gives the name of what it computes."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._count = 0

    def fresh(self) -> str:
        self._count += 1
        return f"t{self._count}"

    def constant(self, value) -> str:
        value = np.asarray(value)
        if value.dtype == np.float64:
            value = value.astype(np.float32)
        name = self.fresh()
        if value.dtype == np.float32 and value.size >= HALF_FROM:
            self._weights.append(numpy_helper.from_array(value.astype(np.float16), name))
            return self.cast(name, F32)
        self._weights.append(numpy_helper.from_array(value, name))
        return name

    def op(self, kind: str, *inputs, out: str | list[str] | None = None, domain: str = "", **attributes):
        """Adds a node. Inputs that are not names become constants."""
        names = [it if isinstance(it, str) else self.constant(it) for it in inputs]
        out = out or self.fresh()
        outs = [out] if isinstance(out, str) else out
        self._nodes.append(helper.make_node(kind, names, outs, domain=domain, **attributes))
        return out

    def cast(self, x: str, to: int, out: str | None = None) -> str:
        return self.op("Cast", x, to=to, out=out)

    def size(self, x: str, axis: int) -> str:
        """One dimension, as a tensor of one element."""
        return self.op("Gather", self.op("Shape", x), ints(axis))

    def shape(self, *parts) -> str:
        return self.op("Concat", *[it if isinstance(it, str) else ints(it) for it in parts], axis=0)

    def slice(self, x: str, start, end, axis: int) -> str:
        at = [it if isinstance(it, str) else ints(it) for it in (start, end)]
        return self.op("Slice", x, *at, ints(axis))

    def arange(self, n: str) -> str:
        """0, 1, ... up to the only element of `n`."""
        return self.op("Range", np.int64(0), self.op("Squeeze", n), np.int64(1))

    def unsqueeze(self, x: str, *axes: int) -> str:
        return self.op("Unsqueeze", x, ints(*axes))

    def transpose(self, x: str, *order: int) -> str:
        return self.op("Transpose", x, perm=list(order))

    def rows(self, table: "Digits", ids: str) -> str:
        """Looks `ids` up in a table that is kept as the sum of two small ones."""
        high = self.op("Gather", table.high.astype(np.float32), self.op("Div", ids, np.int64(table.base)))
        low = self.op("Gather", table.low.astype(np.float32), self.op("Mod", ids, np.int64(table.base)))
        return self.op("Add", high, low)

    def save(self, path: pathlib.Path, inputs: list, outputs: list, sidecar: bool) -> None:
        values = [[helper.make_tensor_value_info(*it) for it in side] for side in (inputs, outputs)]
        graph = helper.make_graph(self._nodes, self._name, *values, self._weights)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="")
        path.parent.mkdir(parents=True, exist_ok=True)
        data = path.with_name(path.name + "_data")
        data.unlink(missing_ok=True)
        onnx.save_model(model, path, save_as_external_data=sidecar, location=data.name, size_threshold=256)
        if sidecar:
            data.chmod(0o644)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


class Digits:
    """A table of `n` rows as a sum: one row for the upper digit of an index, one for the lower. An index that is too
    large is an error when the graph runs, as it is with a real table."""

    def __init__(self, random: np.random.RandomState, n: int, base: int, width: int, scale: float = 1.0) -> None:
        self.base = base
        self.high = random.standard_normal((-(-n // base), width)) * scale / np.sqrt(2)
        self.low = random.standard_normal((base, width)) * scale / np.sqrt(2)
