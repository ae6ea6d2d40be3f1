#!/usr/bin/env python3
"""Makes a pack whose language model has the shape and cost of Chatterbox Nano and random weights, for timing only.

    make_nano_shaped.py OUT_FOLDER [--attention plain|fused] [--half]     # needs what tts_requirements.txt says

12 layers of 12 heads of 64, width 768, learned positions, 6563 logits, explicit `position_ids`. It never stops by itself, so
every request costs what its limit says. The other three graphs are those of the contract models at this width: they cost next
to nothing, so only tokens are to be timed with it, not sound.

The attention is written in ordinary operators unless asked otherwise: the published Nano graph has 522 kB for its 12 layers,
more than twice of what fused exports have for 24, so it was hardly fused. `--attention fused` uses GroupQueryAttention without
rotary positions, as Turbo's export probably does. `--half` stores the weights in half precision (184 MB instead of 367) and keeps the cache in it
when the attention is fused; arithmetic outside the attention stays in float32.

Position rows are cut from 8196 to 2048 and the text table to a sum of two small ones: a lookup costs the same.
"""

from __future__ import annotations

import argparse
import pathlib
import shutil
import sys

import numpy as np
from onnx import numpy_helper

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/golden/tts"))

import contract_audio as audio  # noqa: E402
import contract_tokenizers as tokenizers  # noqa: E402
from contract_language import END_OF_TEXT, START, STOP, TURBO_HEAD, TURBO_TEXT  # noqa: E402
from contract_models import save  # noqa: E402
from graph import BOOL, F16, F32, I32, I64, MICROSOFT, Digits, Graph, ints  # noqa: E402

LAYERS, HEADS, HEAD_WIDTH, WIDTH, INNER, POSITIONS = 12, 12, 64, 768, 3072, 2048
# Small, so that nothing grows over the layers.
SCALE = 0.02
NEVER = -1e4
SEED = 7


class Wide(Graph):
    """Weights as they are timed: whole tables in full precision, or in half with a cast that is done once at load."""

    def __init__(self, name: str, half: bool) -> None:
        super().__init__(name)
        self._half = half
        self._random = np.random.default_rng(SEED)

    def weight(self, *shape: int) -> str:
        values = self._random.standard_normal(shape, dtype=np.float32) * np.float32(SCALE)
        name = self.fresh()
        self._weights.append(numpy_helper.from_array(values.astype(np.float16) if self._half else values, name))
        return self.cast(name, F32) if self._half else name

    def fill(self, value: float, n: int) -> str:
        name = self.fresh()
        self._weights.append(numpy_helper.from_array(np.full(n, value, np.float32), name))
        return name

    def norm(self, x: str) -> str:
        return self.op("LayerNormalization", x, self.fill(1, WIDTH), self.fill(0, WIDTH), axis=-1, epsilon=1e-5)

    def linear(self, x: str, n_in: int, n_out: int) -> str:
        return self.op("Add", self.op("MatMul", x, self.weight(n_in, n_out)), self.fill(0, n_out))

    def gelu(self, x: str) -> str:
        """The approximation with a tangent, in the operators a plain export writes."""
        cube = self.op("Mul", self.op("Mul", x, x), x)
        inner = self.op("Mul", self.op("Add", x, self.op("Mul", cube, np.float32(0.044715))), np.float32(np.sqrt(2 / np.pi)))
        return self.op("Mul", self.op("Mul", x, np.float32(0.5)), self.op("Add", self.op("Tanh", inner), np.float32(1)))


def write_language_model(path: pathlib.Path, fused: bool, half: bool) -> None:
    g = Wide("language_model", half)
    cache = F16 if half and fused else F32
    inputs = [
        ("inputs_embeds", F32, ["batch_size", "sequence_length", WIDTH]),
        ("attention_mask", I64, ["batch_size", "total_sequence_length"]),
        ("position_ids", I64, ["batch_size", "sequence_length"]),
    ]
    outputs = [("logits", F32, ["batch_size", "sequence_length", TURBO_HEAD])]
    total = g.size("attention_mask", 1)
    if fused:
        lengths = g.op("ReduceSum", "attention_mask", ints(1), keepdims=0)
        shared = [g.cast(g.op("Sub", lengths, np.int64(1)), I32), g.cast(g.op("Squeeze", total), I32)]
    else:
        columns = g.arange(total)
        rows = g.slice(columns, g.size("past_key_values.0.key", 2), total, 0)
        causal = g.op("LessOrEqual", g.unsqueeze(columns, 0), g.unsqueeze(rows, 1))
        kept = g.op("And", g.unsqueeze(g.cast("attention_mask", BOOL), 1, 2), causal)
        shared = [g.op("Where", kept, np.float32(0), np.float32(-1e9))]
    x = g.op("Add", "inputs_embeds", g.op("Gather", g.weight(POSITIONS, WIDTH), "position_ids"))
    for layer in range(LAYERS):
        q, k, v = (g.fresh() for _ in range(3))
        g.op("Split", g.linear(g.norm(x), WIDTH, 3 * WIDTH), ints(WIDTH, WIDTH, WIDTH), out=[q, k, v], axis=2)
        attended = (_fused if fused else _plain)(g, layer, (q, k, v), shared, cache)
        x = g.op("Add", x, g.linear(attended, WIDTH, WIDTH))
        x = g.op("Add", x, g.linear(g.gelu(g.linear(g.norm(x), WIDTH, INNER)), INNER, WIDTH))
        for part in ("key", "value"):
            inputs.append((f"past_key_values.{layer}.{part}", cache, ["batch_size", HEADS, "past_length", HEAD_WIDTH]))
            outputs.append((f"present.{layer}.{part}", cache, ["batch_size", HEADS, "total_length", HEAD_WIDTH]))
    bias = np.zeros(TURBO_HEAD, np.float32)
    bias[STOP] = NEVER
    logits = g.op("MatMul", g.norm(x), g.weight(WIDTH, TURBO_HEAD))
    g.op("Add", g.op("Mul", logits, np.float32(8)), bias, out="logits")
    g.save(path, inputs, outputs, sidecar=True)


def _fused(g: Graph, layer: int, parts: tuple[str, str, str], shared: list[str], cache: int) -> str:
    parts = [g.cast(it, F16) for it in parts] if cache == F16 else list(parts)
    names = [f"past_key_values.{layer}.{it}" for it in ("key", "value")]
    outs = [g.fresh(), f"present.{layer}.key", f"present.{layer}.value"]
    g.op("GroupQueryAttention", *parts, *names, *shared, out=outs, domain=MICROSOFT, num_heads=HEADS, kv_num_heads=HEADS)
    return g.cast(outs[0], F32) if cache == F16 else outs[0]


def _plain(g: Graph, layer: int, parts: tuple[str, str, str], shared: list[str], cache: int) -> str:
    q, k, v = (g.transpose(g.op("Reshape", it, ints(0, 0, HEADS, HEAD_WIDTH)), 0, 2, 1, 3) for it in parts)
    k = g.op("Concat", f"past_key_values.{layer}.key", k, axis=2, out=f"present.{layer}.key")
    v = g.op("Concat", f"past_key_values.{layer}.value", v, axis=2, out=f"present.{layer}.value")
    scores = g.op("Mul", g.op("MatMul", q, g.transpose(k, 0, 1, 3, 2)), np.float32(HEAD_WIDTH**-0.5))
    out = g.op("MatMul", g.op("Softmax", g.op("Add", scores, shared[0]), axis=-1), v)
    return g.op("Reshape", g.transpose(out, 0, 2, 1, 3), ints(0, 0, WIDTH))


def write_embeddings(path: pathlib.Path) -> None:
    """One id alone is speech; of several the last two are."""
    g, random = Graph("embed_tokens"), np.random.RandomState(SEED)
    ids = "input_ids"
    length = g.size(ids, 1)
    last = g.op("GreaterOrEqual", g.arange(length), g.op("Sub", length, ints(2)))
    is_speech = g.op("Or", g.op("Equal", length, ints(1)), last)
    named = g.op("Where", g.op("Equal", ids, np.int64(END_OF_TEXT)), np.int64(START), ids)
    speech = g.rows(Digits(random, TURBO_HEAD, 81, WIDTH, 0.3), g.op("Where", is_speech, named, np.int64(0)))
    text = g.rows(Digits(random, TURBO_TEXT, 256, WIDTH, 0.3), g.op("Where", is_speech, np.int64(0), ids))
    g.op("Where", g.unsqueeze(is_speech, -1), speech, text, out="inputs_embeds")
    shape = ["batch_size", "sequence_length"]
    g.save(path, [("input_ids", I64, shape)], [("inputs_embeds", F32, [*shape, WIDTH])], sidecar=False)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--attention", choices=("plain", "fused"), default="plain")
    parser.add_argument("--half", action="store_true")
    arguments = parser.parse_args()
    shutil.rmtree(arguments.out, ignore_errors=True)
    graphs = arguments.out / "onnx"
    graphs.mkdir(parents=True)
    fused = arguments.attention == "fused"
    write_embeddings(graphs / "embed_tokens.onnx")
    name = "language_model_fp16.onnx" if arguments.half and fused else "language_model.onnx"
    write_language_model(graphs / name, fused, arguments.half)
    audio.write_encoder(graphs / "speech_encoder.onnx", SEED, turbo=True, sidecar=False, width=WIDTH)
    audio.write_decoder(graphs / "conditional_decoder.onnx", SEED, one_at_a_time=False, sidecar=False)
    save(arguments.out / "tokenizer.json", tokenizers.turbo())
    save(arguments.out / "generation_config.json", {"eos_token_id": STOP, "repetition_penalty": 1.2})
    audio.write_voice(arguments.out / "default_voice.wav", 110.0, 6.0, 0.7, in_floats=False)


if __name__ == "__main__":
    main()
