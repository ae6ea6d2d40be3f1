"""ONNX graphs, written by hand: a node a line. Weights of more than 2000 numbers are kept in float16 and computed in float32."""

import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

INT, FLOAT, DOUBLE, BOOL = TensorProto.INT64, TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.BOOL
OPSET, IR = 17, 8
HALF_FROM = 2000


def f32(value: float) -> np.float32:
    return np.float32(value)


class Graph:
    """Called with an operator and its inputs it answers with the name of the output. An input that is no name is a constant."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._n = 0

    def name(self) -> str:
        self._n += 1
        return f"v{self._n}"

    def constant(self, value, half: bool | None = None) -> str:
        value = np.asarray(value)
        if value.dtype == np.float64:
            value = value.astype(np.float32)
        if value.dtype == np.int32:
            value = value.astype(np.int64)
        name = self.name()
        if value.dtype == np.float32 and (value.size > HALF_FROM if half is None else half):
            self.constants.append(numpy_helper.from_array(value.astype(np.float16), name))
            return self("Cast", name, to=FLOAT)
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def __call__(self, operator: str, *inputs, out=None, **attributes):
        names = [it if isinstance(it, str) else self.constant(it) for it in inputs]
        out = out or self.name()
        outputs = [out] if isinstance(out, str) else out
        self.nodes.append(helper.make_node(operator, names, outputs, **attributes))
        return out

    # --- shapes ---

    @staticmethod
    def ints(*values: int) -> np.ndarray:
        return np.array(values, np.int64)

    def split(self, x: str, sizes: list[int], axis: int = -1) -> list[str]:
        return self("Split", x, self.ints(*sizes), out=[self.name() for _ in sizes], axis=axis)

    def size(self, x: str, axis: int) -> str:
        return self("Gather", self("Shape", x), self.ints(axis))

    def slice(self, x: str, first, last, axis: int) -> str:
        first, last = (it if isinstance(it, str) else self.ints(it) for it in (first, last))
        return self("Slice", x, first, last, self.ints(axis), self.ints(1))

    def transpose(self, x: str, *order: int) -> str:
        return self("Transpose", x, perm=list(order))

    def widen(self, x, *axes: int) -> str:
        return self("Unsqueeze", x, self.ints(*axes))

    def range(self, n) -> str:
        """0, 1, ... up to a scalar, or to a name of one number."""
        last = self("Squeeze", n, self.ints(0)) if isinstance(n, str) else np.int64(n)
        return self("Range", np.int64(0), last, np.int64(1))

    def sum(self, x: str, *axes: int, keep: bool = True) -> str:
        return self("ReduceSum", x, self.ints(*axes), keepdims=int(keep))

    # --- layers, as in `network` ---

    def linear(self, p: dict, x: str) -> str:
        return self("Add", self("MatMul", x, np.asarray(p["w"])), np.asarray(p["b"]))

    def silu(self, x: str) -> str:
        return self("Mul", x, self("Sigmoid", x))

    def rms_norm(self, gain, x: str) -> str:
        power = self("ReduceMean", self("Mul", x, x), axes=[-1])
        return self("Mul", self("Div", x, self("Sqrt", self("Add", power, f32(1e-5)))), np.asarray(gain))

    def convolution(self, p: dict, x: str, width: int, dilation: int = 1) -> str:
        """Channels before time."""
        weights = np.asarray(p["w"])
        weights = weights.reshape(width, weights.shape[0] // width, -1).transpose(2, 1, 0)
        pads = [(width - 1) // 2 * dilation] * 2
        return self("Conv", x, weights, np.asarray(p["b"]), dilations=[dilation], pads=pads)

    def waves(self, n_bins: int, width: int, n_fft: int, window: np.ndarray) -> tuple[str, str]:
        """Cosines and sines of a Fourier transform (bins, width), under a window: computed when loaded, so that they take no room."""
        product = self("Mul", self.widen(self.range(n_bins), 1), self.widen(self.range(width), 0))
        angle = self("Mul", self("Cast", self("Mod", product, np.int64(n_fft)), to=FLOAT), f32(2 * np.pi / n_fft))
        return self("Mul", self("Cos", angle), window), self("Mul", self("Sin", angle), window)

    def save(self, path: pathlib.Path, inputs: list[tuple], outputs: list[tuple]) -> None:
        """Inputs and outputs as (name, type, shape)."""
        described = ([helper.make_tensor_value_info(*it) for it in these] for these in (inputs, outputs))
        graph = helper.make_graph(self.nodes, path.stem, *described, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="train_demo")
        model.ir_version = IR
        onnx.checker.check_model(model)
        onnx.save(model, str(path))
