"""`embed_tokens` and `language_model` of the contract models.

The model speaks for a time that hangs on every position it attends to. Four channels of an embedding are flags: how
long a text token is to last, speech, voice prefix, and one for all. The first head of the first layer attends to
everything alike, so it gives the means of the flags; the stop token wins when the speech flags outweigh the text's by more
than a share of *all* positions. A padding position that is attended to, a row of another request, a START too few:
each moves the stop. The other heads are random, so the order, the positions and the voice decide the tokens.
"""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np

from graph import BOOL, F16, F32, I32, I64, MICROSOFT, Digits, Graph, ints

WIDTH, FLAGS = 32, 4
CONTENT = WIDTH - FLAGS
DURATION, SPEECH, PREFIX, ONE = range(FLAGS)
HEADS, HEAD_WIDTH = 2, 16
# Ids 0..6560 are a square, so the head is the outer sum of two small ones.
SIDE = 81
CODES = SIDE * SIDE
START, STOP, EXAGGERATION = 6561, 6562, 6563
ENGLISH_HEAD, TURBO_HEAD = 8194, 6563
TEXT_POSITIONS, SPEECH_POSITIONS, TURBO_POSITIONS = 2050, 4100, 8196
TURBO_TEXT, END_OF_TEXT = 50_276, 50_256

# When to stop: SPEECH - DURATION_SHARE * DURATION > SHARE * (everything but the prefix), all as means.
DURATION_SHARE, SHARE = 0.5, 0.5
# The stop's logit moves by at least an eighth of a token, which is STOP_GAIN / 8 / positions.
STOP_GAIN = 40_000.0
# A START counts as a little less than a token, so that the sum above is never near zero.
START_FLAG = 0.875
# How much exaggeration shortens, in durations.
EXAGGERATION_FLAG = -4.0
# What the host must mask out is often the best: START, and the ids above.
FORBIDDEN_BONUS = 4.0


@dataclasses.dataclass(frozen=True)
class Language:
    """What differs between the families."""

    seed: int
    turbo: bool = False
    text_rows: int = 704
    layers: int = 2
    # GroupQueryAttention, or the ordinary operators that a plain export writes.
    fused: bool = True
    half_cache: bool = False

    @property
    def head(self) -> int:
        return TURBO_HEAD if self.turbo else ENGLISH_HEAD


def _flagged(table: Digits, channel: int, value: float) -> Digits:
    table.low[:, :FLAGS] = 0
    table.high[:, :FLAGS] = 0
    table.low[:, channel] = value
    table.low[:, ONE] = 1
    return table


def _text_table(random: np.random.RandomState, n: int, base: int) -> Digits:
    """Durations are whole halves: one on average."""
    table = _flagged(Digits(random, n, base, WIDTH), DURATION, 0)
    table.high[:, DURATION] = random.randint(0, 2, len(table.high)) / 2
    table.low[:, DURATION] = random.randint(1, 3, base) / 2
    return table


def _positions(random: np.random.RandomState, n: int, base: int) -> Digits:
    table = Digits(random, n, base, WIDTH, scale=0.7)
    table.low[:, :FLAGS] = table.high[:, :FLAGS] = 0
    return table


def _start_row(random: np.random.RandomState) -> np.ndarray:
    row = random.standard_normal(WIDTH) * 1.5
    row[:FLAGS] = 0
    row[SPEECH], row[ONE] = START_FLAG, 1
    return row.astype(np.float32)


def _speech_rows(g: Graph, random: np.random.RandomState, ids: str) -> str:
    start = g.unsqueeze(g.op("Equal", ids, np.int64(START)), -1)
    rows = g.rows(_flagged(Digits(random, ENGLISH_HEAD, SIDE, WIDTH), SPEECH, 1), ids)
    return g.op("Where", start, _start_row(random), rows)


def write_embeddings(path: pathlib.Path, it: Language, sidecar: bool) -> None:
    g, random = Graph("embed_tokens"), np.random.RandomState(it.seed)
    inputs = [("input_ids", I64, ["batch_size", "sequence_length"])]
    if it.turbo:
        _turbo_embeddings(g, random)
    else:
        _english_embeddings(g, random, it.text_rows)
        inputs += [("position_ids", I64, ["batch_size", "sequence_length"]), ("exaggeration", F32, ["batch_size"])]
    g.save(path, inputs, [("inputs_embeds", F32, ["batch_size", "sequence_length", WIDTH])], sidecar)


def _english_embeddings(g: Graph, random: np.random.RandomState, text_rows: int) -> None:
    """Text up to and with the first id 0, speech after it; a row without a 0 is speech."""
    ids, positions = "input_ids", "position_ids"
    stops = g.cast(g.op("Equal", ids, np.int64(0)), I64)
    has_stop = g.op("Greater", g.op("ReduceMax", stops, axes=[1], keepdims=1), np.int64(0))
    before = g.op("CumSum", stops, np.int64(1), exclusive=1)
    is_text = g.op("And", g.op("Equal", before, np.int64(0)), has_stop)
    is_exaggeration = g.op("Equal", ids, np.int64(EXAGGERATION))
    no_text = g.op("Or", g.op("Not", is_text), is_exaggeration)
    text_ids = g.op("Where", no_text, np.int64(0), ids)
    text_positions = g.op("Where", is_text, positions, np.int64(0))
    text = g.op(
        "Add",
        g.rows(_text_table(random, text_rows, 32), text_ids),
        g.rows(_positions(random, TEXT_POSITIONS, 64), text_positions),
    )
    speech_ids = g.op("Where", is_text, np.int64(0), ids)
    speech_positions = g.op("Where", is_text, np.int64(0), positions)
    speech = g.op(
        "Add",
        _speech_rows(g, random, speech_ids),
        g.rows(_positions(random, SPEECH_POSITIONS, 64), speech_positions),
    )
    rows = g.op("Where", g.unsqueeze(is_text, -1), text, speech)
    slope, level = random.standard_normal((2, WIDTH)).astype(np.float32)
    slope[:FLAGS] = level[:FLAGS] = 0
    slope[DURATION], level[ONE] = EXAGGERATION_FLAG, 1
    strength = g.op("Reshape", "exaggeration", ints(-1, 1, 1))
    exaggeration = g.op("Add", g.op("Mul", strength, slope), level)
    g.op("Where", g.unsqueeze(is_exaggeration, -1), exaggeration, rows, out="inputs_embeds")


def _turbo_embeddings(g: Graph, random: np.random.RandomState) -> None:
    """One id alone is speech. Of several, the last two are, and the end of text stands for START there."""
    ids = "input_ids"
    length = g.size(ids, 1)
    alone = g.op("Equal", length, np.int64(1))
    last_two = g.op("GreaterOrEqual", g.arange(length), g.op("Sub", length, np.int64(2)))
    is_speech = g.op("Or", alone, last_two)
    is_end = g.op("Equal", ids, np.int64(END_OF_TEXT))
    speech_ids = g.op("Where", is_speech, g.op("Where", is_end, np.int64(START), ids), np.int64(0))
    text_ids = g.op("Where", is_speech, np.int64(0), ids)
    text = g.rows(_text_table(random, TURBO_TEXT, 256), text_ids)
    speech = _speech_rows(g, random, speech_ids)
    g.op("Where", g.unsqueeze(is_speech, -1), speech, text, out="inputs_embeds")


def write_language_model(path: pathlib.Path, it: Language, sidecar: bool) -> None:
    g, random = Graph("language_model"), np.random.RandomState(it.seed + 1)
    cache = F16 if it.half_cache else F32
    inputs = [
        ("inputs_embeds", F32, ["batch_size", "sequence_length", WIDTH]),
        ("attention_mask", I64, ["batch_size", "total_sequence_length"]),
    ]
    outputs = [("logits", F32, ["batch_size", "sequence_length", it.head])]
    x = "inputs_embeds"
    if it.turbo:
        inputs.append(("position_ids", I64, ["batch_size", "sequence_length"]))
        x = g.op("Add", x, g.rows(_positions(random, TURBO_POSITIONS, 96), "position_ids"))
    flags = g.slice(x, 0, FLAGS, 2)
    content = g.slice(x, FLAGS, WIDTH, 2)
    attention = Attention(g, it)
    means = ""
    for layer in range(it.layers):
        x = g.op("Concat", flags, content, axis=2)
        attended = attention.layer(random, layer, x)
        if layer == 0:
            means = g.slice(attended, 0, FLAGS, 2)
        mixed = g.op("MatMul", attended, _mixer(random, it.layers))
        content = g.op("Add", content, g.op("Tanh", mixed))
        for half in ("key", "value"):
            shape = ["batch_size", HEADS, "past_sequence_length", HEAD_WIDTH]
            inputs.append((f"past_key_values.{layer}.{half}", cache, shape))
            shape = ["batch_size", HEADS, "total_sequence_length", HEAD_WIDTH]
            outputs.append((f"present.{layer}.{half}", cache, shape))
    _head(g, random, it, content, means)
    g.save(path, inputs, outputs, sidecar)


def _mixer(random: np.random.RandomState, layers: int) -> np.ndarray:
    # The more layers, the less each does, or rounding would grow to other tokens.
    mixer = random.standard_normal((HEADS * HEAD_WIDTH, CONTENT)) * 1.5 * np.sqrt(2 / layers / HEAD_WIDTH)
    # The means are for the stop alone.
    mixer[:HEAD_WIDTH] = 0
    return mixer


def _head(g: Graph, random: np.random.RandomState, it: Language, content: str, means: str) -> None:
    square = g.op("ReduceMean", g.op("Mul", content, content), axes=[2], keepdims=1)
    x = g.op("Div", content, g.op("Sqrt", g.op("Add", square, np.float32(1e-5))))
    # Some codes are more popular than others, so that codes come again and a repetition penalty matters.
    high, low = (
        g.op("Add", g.op("MatMul", x, random.standard_normal((CONTENT, SIDE)) * 0.35), random.standard_normal(SIDE) * 1.2)
        for _ in range(2)
    )
    grid = g.op("Add", g.unsqueeze(high, 3), g.unsqueeze(low, 2))
    codes = g.op("Reshape", grid, ints(0, 0, CODES))
    best = g.op("ReduceMax", codes, axes=[2], keepdims=1)
    swing = g.op("Mul", g.slice(x, 0, 1, 2), np.float32(FORBIDDEN_BONUS))
    start = g.op("Add", best, swing)
    pick = np.zeros((FLAGS, 1), np.float32)
    pick[DURATION], pick[SPEECH], pick[PREFIX] = -DURATION_SHARE, 1, SHARE
    stop = g.op("Sub", g.op("MatMul", means, pick), np.float32(SHARE))
    stop = g.op("Mul", stop, np.float32(STOP_GAIN))
    parts = [codes, start, stop]
    n_above = it.head - STOP - 1
    if n_above:
        above = g.op("Add", g.op("Sub", best, swing), np.linspace(-3, 0, n_above))
        parts.append(above)
    g.op("Concat", *parts, axis=2, out="logits")


class Attention:
    def __init__(self, g: Graph, it: Language) -> None:
        self.g, self.it = g, it
        lengths = g.op("ReduceSum", "attention_mask", ints(1), keepdims=0)
        self.total = g.size("attention_mask", 1)
        if it.fused:
            self.seqlens = g.cast(g.op("Sub", lengths, np.int64(1)), I32)
            self.total_i32 = g.cast(g.op("Squeeze", self.total), I32)
        if not it.turbo:
            # The angles of rotary positions, as many as the learned positions allow.
            steps = np.float32(10_000.0) ** (-np.arange(HEAD_WIDTH // 2, dtype=np.float32) / (HEAD_WIDTH // 2))
            n = ints(TEXT_POSITIONS + SPEECH_POSITIONS) if it.fused else self.total
            at = g.cast(g.arange(g.op("Identity", n)), F32)
            angles = g.op("Mul", g.unsqueeze(at, 1), steps)
            self.cos, self.sin = g.op("Cos", angles), g.op("Sin", angles)
        if not it.fused:
            self._prepare_plain()

    def _prepare_plain(self) -> None:
        """Positions are those of the cache: a column is a position, whatever the mask says."""
        g = self.g
        past = g.size("past_key_values.0.key", 2)
        columns = g.arange(self.total)
        rows = g.slice(columns, past, self.total, 0)
        causal = g.op("LessOrEqual", g.unsqueeze(columns, 0), g.unsqueeze(rows, 1))
        kept = g.op("And", g.unsqueeze(g.cast("attention_mask", BOOL), 1, 2), causal)
        self.bias = g.op("Where", kept, np.float32(0), np.float32(-1e9))
        if not self.it.turbo:
            self.cos_here, self.sin_here = (g.slice(it, past, self.total, 0) for it in (self.cos, self.sin))

    def layer(self, random: np.random.RandomState, layer: int, x: str) -> str:
        """All heads beside each other. The first head of the first layer gives the means of the flags."""
        g = self.g
        shape = (WIDTH, HEADS * HEAD_WIDTH)
        query, key = (random.standard_normal(shape) * 1.3 / np.sqrt(CONTENT) for _ in range(2))
        value = random.standard_normal(shape) / np.sqrt(CONTENT)
        for weight in (query, key, value):
            weight[:FLAGS] = 0
        if layer == 0:
            query[:, :HEAD_WIDTH] = value[:, :HEAD_WIDTH] = 0
            value[:FLAGS, :FLAGS] = np.eye(FLAGS)
        q, k, v = (g.op("MatMul", x, weight) for weight in (query, key, value))
        return (self._fused if self.it.fused else self._plain)(layer, q, k, v)

    def _fused(self, layer: int, q: str, k: str, v: str) -> str:
        g = self.g
        rotary = [] if self.it.turbo else [self.cos, self.sin]
        if self.it.half_cache:
            q, k, v, *rotary = (g.cast(it, F16) for it in (q, k, v, *rotary))
        names = [f"past_key_values.{layer}.{half}" for half in ("key", "value")]
        out, *_ = g.op(
            "GroupQueryAttention",
            *(q, k, v, *names, self.seqlens, self.total_i32, *rotary),
            out=[g.fresh(), f"present.{layer}.key", f"present.{layer}.value"],
            domain=MICROSOFT,
            num_heads=HEADS,
            kv_num_heads=HEADS,
            do_rotary=int(not self.it.turbo),
        )
        return g.cast(out, F32) if self.it.half_cache else out

    def _plain(self, layer: int, q: str, k: str, v: str) -> str:
        g = self.g
        split = lambda it: g.transpose(g.op("Reshape", it, ints(0, 0, HEADS, HEAD_WIDTH)), 0, 2, 1, 3)
        q, k, v = split(q), split(k), split(v)
        if not self.it.turbo:
            q, k = self._turn(q), self._turn(k)
        k = g.op("Concat", f"past_key_values.{layer}.key", k, axis=2, out=f"present.{layer}.key")
        v = g.op("Concat", f"past_key_values.{layer}.value", v, axis=2, out=f"present.{layer}.value")
        scores = g.op("MatMul", q, g.transpose(k, 0, 1, 3, 2))
        scores = g.op("Add", g.op("Mul", scores, np.float32(HEAD_WIDTH**-0.5)), self.bias)
        out = g.op("MatMul", g.op("Softmax", scores, axis=-1), v)
        return g.op("Reshape", g.transpose(out, 0, 2, 1, 3), ints(0, 0, HEADS * HEAD_WIDTH))

    def _turn(self, x: str) -> str:
        """Rotary positions, halves turned against each other."""
        g = self.g
        half = HEAD_WIDTH // 2
        a, b = g.slice(x, 0, half, 3), g.slice(x, half, HEAD_WIDTH, 3)
        turned = [
            g.op("Sub", g.op("Mul", a, self.cos_here), g.op("Mul", b, self.sin_here)),
            g.op("Add", g.op("Mul", b, self.cos_here), g.op("Mul", a, self.sin_here)),
        ]
        return g.op("Concat", *turned, axis=3)
