"""A CTranslate2 model folder → weights to go on training from: what `asr/export.py` wrote, read back."""

from __future__ import annotations

import io
import json
import pathlib
import struct
from typing import Any

import numpy as np

from asr.model import Shape, Tree

# What CTranslate2 writes for each type of value (ctranslate2/specs/model_spec.py).
TYPES = ("float32", "int8", "int16", "int32", "float16", None)


def variables(model: bytes) -> dict[str, np.ndarray]:
    """What is in `model.bin` (CTranslate2's binary version 6), with what was quantised as float32 again."""
    file = io.BytesIO(model)

    def number(kind: str) -> int:
        return int(struct.unpack(f"<{kind}", file.read(struct.calcsize(f"<{kind}")))[0])

    def text() -> str:
        return file.read(number("H")).rstrip(b"\0").decode()

    if (version := number("I")) != 6:
        raise ValueError(f"this is a model of CTranslate2's binary version {version}; only version 6 can be read")
    text()
    number("I")
    found = {}
    for _ in range(number("I")):
        name, shape = text(), [number("I") for _ in range(number("B"))]
        kind = TYPES[number("B")]
        data = file.read(number("I"))
        if kind is None:
            raise ValueError(f"{name} is in bfloat16, which cannot be read here")
        found[name] = np.frombuffer(data, kind).reshape(shape)
    # Equal values are written once.
    for _ in range(number("I")):
        alias = text()
        found[alias] = found[text()]
    for scale in [name for name in found if name.endswith("_scale")]:
        name = scale.removesuffix("_scale")
        # One scale for each row.
        found[name] = found[name] / found[scale].reshape(-1, *[1] * (found[name].ndim - 1))
    return {name: np.array(value, np.float32) for name, value in found.items()}


def read(folder: pathlib.Path) -> tuple[Tree, Shape]:
    """Folded weights, as `export.filled` takes them."""
    found = variables((folder / "model.bin").read_bytes())

    def norm(name: str) -> Tree:
        return {"g": found[f"{name}/gamma"], "b": found[f"{name}/beta"]}

    def linear(name: str, *parts: str) -> dict[str, Tree]:
        weights = np.split(found[f"{name}/weight"], len(parts))
        return {part: {"w": w.T, "b": b} for part, w, b in zip(parts, weights, np.split(found[f"{name}/bias"], len(parts)))}

    def attention(name: str, *groups: str) -> Tree:
        made: Tree = {}
        for i, group in enumerate(groups):
            made |= linear(f"{name}/linear_{i}", *group)
        # Keys have no bias: one would change nothing.
        del made["k"]["b"]
        return made

    def feed_forward(layer: str) -> dict[str, Any]:
        return {"ln2": norm(f"{layer}/ffn/layer_norm")} | linear(f"{layer}/ffn/linear_0", "fc1") | linear(f"{layer}/ffn/linear_1", "fc2")

    def layers(part: str) -> list[Tree]:
        n = sum(name.startswith(f"{part}/layer_") and name.endswith("/self_attention/linear_0/weight") for name in found)
        made = []
        for layer in (f"{part}/layer_{i}" for i in range(n)):
            one = {"ln1": norm(f"{layer}/self_attention/layer_norm"), "att": attention(f"{layer}/self_attention", "qkv", "o")} | feed_forward(layer)
            if part == "decoder":
                one |= {"lnx": norm(f"{layer}/attention/layer_norm"), "xatt": attention(f"{layer}/attention", "q", "kv", "o")}
            made.append(one)
        return made

    weights: Tree = {
        name: {"w": np.transpose(found[f"encoder/{name}/weight"], (2, 1, 0)), "b": found[f"encoder/{name}/bias"]} for name in ("conv1", "conv2")
    }
    weights |= {"enc": layers("encoder"), "enc_ln": norm("encoder/layer_norm"), "dec": layers("decoder"), "dec_ln": norm("decoder/layer_norm")}
    weights |= {"emb": found["decoder/embeddings/weight"], "pos": found["decoder/position_encodings/encodings"]}
    tokens = json.loads((folder / "vocabulary.json").read_text())
    shape = Shape(
        width=weights["emb"].shape[1], heads=int(found["encoder/num_heads"]), encoder_layers=len(weights["enc"]), decoder_layers=len(weights["dec"]),
        text_positions=len(weights["pos"]), vocabulary=len(tokens), first_timestamp=tokens.index("<|0.00|>"),
    )  # fmt: skip
    return weights, shape
