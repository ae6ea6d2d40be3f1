"""`embed_tokens` and `language_model` as graphs of the English Chatterbox contract.

Embeddings are two numbers wider than the network: whether a column is speech (1 its beginning, 2 a code), and its place in the
text (START is 1, 0 is no text). The language model needs both to follow the text, and keeps what it needs later in its cache.
"""

import pathlib

import numpy as np

from tts import language_model as lm
from tts.graph import BOOL, FLOAT, INT, Graph, f32
from tts.tokens import N_PAIRS, N_PITCHES, Inventory

WIDE = lm.WIDTH + 2
# Calmer sampling at a temperature near 0.8; the best choice stays the best.
SHARP_PAIRS, SHARP_PITCHES = 1.4, 2.5
# It may not stop before it is so near the end of the text; each character more costs so much.
NEAR_END, END_COST = 8.0, 4.0
# Nor may it stay at the end: after so many tokens within so many characters of it, each token more drives it to stop.
AT_END, STAY, STAY_COST = 2.0, 16.0, 2.0
# Where it got no further than so many characters in so many tokens, it looks ahead, with each token so many characters more.
HERE, PATIENCE, PUSH = 2.0, 18.0, 0.5


def _positional(g: Graph, at: str) -> str:
    angle = g("Mul", g.widen(at, -1), lm.FREQUENCIES)
    return g("Mul", g("Concat", g("Sin", angle), g("Cos", angle), axis=-1), f32(0.5))


def write_embeddings(path: pathlib.Path, p: dict, inventory: Inventory) -> None:
    """Everything up to and with the first id 0 is text, the rest is speech; an id of 6563 is the exaggeration."""
    g, ids = Graph(), "input_ids"
    n = g.size(ids, 1)
    columns = g.widen(g.range(n), 0)
    is_zero = g("Cast", g("Equal", ids, np.int64(0)), to=INT)
    has_text = g("And", g("Greater", g("ReduceMax", is_zero, axes=[1]), np.int64(0)), g("Greater", n, np.int64(1)))
    is_exaggeration = g("Equal", ids, np.int64(lm.EXAGGERATION))
    before_end = g("LessOrEqual", columns, g("ArgMax", is_zero, axis=1))
    is_text = g("And", g("And", before_end, has_text), g("Not", is_exaggeration))
    mask = g.widen(g("Cast", is_text, to=FLOAT), -1)
    place = g("Max", g("Cast", "position_ids", to=FLOAT), f32(0))
    positions = _positional(g, place)

    text_rows = np.array(p["text_rows"])
    text_rows[lm.UNKNOWN] = text_rows[lm.CHARACTER_ID[" "]]
    text_ids = g("Clip", g("Where", is_text, ids, np.int64(0)), np.int64(0), np.int64(lm.N_TEXT_ROWS - 1))
    x = g.transpose(g("Mul", g("Gather", text_rows, text_ids), mask), 0, 2, 1)
    time_mask = g.transpose(mask, 0, 2, 1)
    for number in range(lm.N_TEXT_LAYERS):
        x = g("Mul", g("Add", x, g.silu(g.convolution(p[f"text{number}"], x, 5))), time_mask)
    text = g("Mul", g("Add", g.rms_norm(p["text_gain"], g.transpose(x, 0, 2, 1)), positions), mask)

    codes = g("Clip", ids, np.int64(0), np.int64(N_PAIRS * N_PITCHES - 1))
    table = inventory.table
    pairs = np.asarray(p["pair_rows"] + p["first_rows"][table[:, 0]] + p["second_rows"][table[:, 1]], np.float32)
    pitches = np.asarray(p["pitch_rows"])
    speech = g("Add", g("Gather", pairs, g("Div", codes, np.int64(N_PITCHES))), g("Gather", pitches, g("Mod", codes, np.int64(N_PITCHES))))
    begins = g("GreaterOrEqual", ids, np.int64(lm.BEGIN_SPEECH))
    speech = g("Add", g("Where", g.widen(begins, -1), np.asarray(p["begin"]), speech), positions)

    scale = p["exaggeration"]
    exaggeration = g("Add", g("Mul", g("Reshape", "exaggeration", g.ints(-1, 1, 1)), np.asarray(scale["w"])), np.asarray(scale["b"]))
    x = g("Where", g.widen(is_text, -1), text, speech)
    x = g("Where", g.widen(is_exaggeration, -1), exaggeration, x)
    is_speech = g("Cast", g("Not", g("Or", is_text, is_exaggeration)), to=FLOAT)
    speech_kind = g("Mul", is_speech, g("Sub", f32(2), g("Cast", begins, to=FLOAT)))
    in_text = g("Mul", mask, g.widen(g("Add", place, f32(1)), -1))
    g("Concat", x, g.widen(speech_kind, -1), in_text, axis=-1, out="inputs_embeds")
    g.save(
        path,
        [("input_ids", INT, ["batch", "seq"]), ("position_ids", INT, ["batch", "seq"]), ("exaggeration", FLOAT, ["exag_batch"])],
        [("inputs_embeds", FLOAT, ["batch", "seq", WIDE])],
    )


class _Attention:
    """What all layers of the language model share: positions, masks, and how far the text was said."""

    def __init__(self, g: Graph) -> None:
        self.g = g
        n_new, n_all = g.size("inputs_embeds", 1), g.size("attention_mask", 1)
        self.n_past = g("Sub", n_all, n_new)
        self.n_all = n_all
        place = g("Max", g("Sub", g("CumSum", "attention_mask", np.int64(1)), np.int64(1)), np.int64(0))
        place = g("Cast", g.slice(place, self.n_past, n_all, 1), to=FLOAT)
        angle = g("Mul", g.widen(place, 1, 3), lm.TURNS)
        self.cos, self.sin = g("Cos", angle), g("Sin", angle)
        queries = g("Add", g.widen(g.range(n_new), 1), self.n_past)
        causal = g("LessOrEqual", g.widen(g.range(n_all), 0), queries)
        self.known = g("Cast", "attention_mask", to=BOOL)
        allowed = g("And", g.widen(causal, 0, 1), g.widen(self.known, 1, 2))
        self.bias = g("Where", allowed, f32(0), f32(-1e9))
        _, speech_kind, self.in_text = g.split("inputs_embeds", [lm.WIDTH, 1, 1])
        # Whole numbers that were rounded on the way are still what they were.
        self.speaks = g("Greater", speech_kind, f32(0.5))
        self.is_code = g("Cast", g("Greater", speech_kind, f32(1.5)), to=FLOAT)

    def turn(self, x: str) -> str:
        g, half = self.g, lm.TURNED // 2
        a, b, rest = g.split(x, [half, half, lm.HEAD - lm.TURNED])
        first = g("Sub", g("Mul", a, self.cos), g("Mul", b, self.sin))
        return g("Concat", first, g("Add", g("Mul", a, self.sin), g("Mul", b, self.cos)), rest, axis=-1)

    def places(self) -> None:
        """Reads from the cache where the text is and what was reached, and makes the first head's bias of it."""
        g = self.g
        past = f"past_key_values.{lm.REACHING}.value"
        # (rows, past, 2), garbage where the mask is 0.
        kept = g("Squeeze", g.slice(g.slice(past, 0, 1, 1), lm.PLACE_POSITION, lm.HEAD, 3), g.ints(1))
        kept = g("Where", g.widen(g.slice(self.known, 0, self.n_past, 1), -1), kept, f32(0))
        in_text, reached = g.split(kept, [1, 1])
        nothing = g("Mul", g.slice(self.in_text, 0, 1, 1), f32(0))
        self.reached = g("ReduceMax", g("Concat", reached, nothing, axis=1), axes=[1])
        new = g("Mul", self.in_text, g.widen(g("Cast", g.slice(self.known, self.n_past, self.n_all, 1), to=FLOAT), -1))
        every = g.transpose(g("Concat", in_text, new, axis=1), 0, 2, 1)
        self.n_text = g("ReduceMax", every, axes=[2])
        # START is 1, the last character one less than STOP.
        self.n_at_end = self.n_since(reached, g("Sub", self.n_text, f32(3 + AT_END)))
        n_here = self.n_since(reached, g("Sub", self.reached, f32(HERE)))
        push = g("Mul", g("Max", g("Sub", n_here, f32(PATIENCE)), f32(0)), f32(PUSH))
        # (rows, queries, keys)
        far = g("Sub", g("Sub", g("Sub", every, f32(2)), g("Add", self.reached, push)), f32((lm.AHEAD - lm.BACK) / 2))
        over = g("Max", g("Sub", g("Abs", far), f32((lm.AHEAD + lm.BACK) / 2)), f32(0))
        bias = g("Mul", g("Mul", over, over), f32(-0.5 / lm.SOFTNESS**2))
        bias = g("Where", g("Greater", every, f32(0.5)), bias, f32(-1e9))
        self.first_bias = g("Where", self.speaks, bias, f32(0))

    def n_since(self, reached: str, place: str) -> str:
        """How many tokens were said since this place of the text was reached first; 0 if it was not."""
        g = self.g
        # Columns that are no speech have reached 0. One of them more comes first, as there may be no past.
        place = g("Max", place, f32(0.25))
        there = g("GreaterOrEqual", g("Concat", g("Mul", self.reached, f32(0)), reached, axis=1), place)
        first = g("ArgMax", g("Cast", there, to=FLOAT), axis=1)
        later = g("GreaterOrEqual", g.widen(g.range(self.n_past), 0, 2), first)
        later = g("And", later, g.widen(g.slice(self.known, 0, self.n_past, 1), -1))
        n = g("ReduceSum", g("Cast", later, to=FLOAT), g.ints(1))
        return g("Mul", n, g("Cast", g("GreaterOrEqual", self.reached, place), to=FLOAT))


def write_language_model(path: pathlib.Path, p: dict) -> None:
    g = Graph()
    shared = _Attention(g)
    shared.places()
    x, _, _ = g.split("inputs_embeds", [lm.WIDTH, 1, 1])
    inputs = [("inputs_embeds", FLOAT, ["batch", "seq", WIDE]), ("attention_mask", INT, ["batch", "total_seq"])]
    outputs = [("logits", FLOAT, ["batch", "seq", N_PAIRS * N_PITCHES + 2])]
    first_bias = g("Concat", g.widen(shared.first_bias, 1), *[g.widen(g("Mul", shared.first_bias, f32(0)), 1)] * (lm.N_HEADS - 1), axis=1)
    following = g("Add", shared.bias, first_bias)
    now_reached = ""
    for number in range(lm.N_LAYERS):
        q = p[f"layer{number}"]
        qkv = g.split(g.linear(q["qkv"], g.rms_norm(q["gain_attention"], x)), [lm.WIDTH] * 3)
        query, key, value = (g.transpose(g("Reshape", it, g.ints(0, 0, lm.N_HEADS, lm.HEAD)), 0, 2, 1, 3) for it in qkv)
        past_key, past_value = (f"past_key_values.{number}.{it}" for it in ("key", "value"))
        key = g("Concat", past_key, shared.turn(key), axis=2, out=f"present.{number}.key")
        scores = g("Mul", g("MatMul", shared.turn(query), g.transpose(key, 0, 1, 3, 2)), f32(1 / np.sqrt(lm.HEAD)))
        weights = g("Softmax", g("Add", scores, following if number in lm.FOLLOWING else shared.bias), axis=-1)
        if number == lm.REACHING:
            found, now_reached = _reach(g, shared, weights, value, past_value)
        else:
            found = g("MatMul", weights, g("Concat", past_value, value, axis=2, out=f"present.{number}.value"))
        x = g("Add", x, g.linear(q["out"], g("Reshape", g.transpose(found, 0, 2, 1, 3), g.ints(0, 0, lm.WIDTH))))
        x = g("Add", x, g.linear(q["narrow"], g.silu(g.linear(q["wide"], g.rms_norm(q["gain_wide"], x)))))
        for name in ("key", "value"):
            inputs.append((f"past_key_values.{number}.{name}", FLOAT, ["batch", lm.N_HEADS, "past", lm.HEAD]))
            outputs.append((f"present.{number}.{name}", FLOAT, ["batch", lm.N_HEADS, "total_seq", lm.HEAD]))
    _head(g, p, g.rms_norm(p["last_gain"], x), shared, now_reached)
    g.save(path, inputs, outputs)


def _reach(g: Graph, shared: _Attention, weights: str, value: str, past: str) -> tuple[str, str]:
    """Attention of the layer that tells what was reached, which is kept in two places of the first head's values."""
    number = lm.REACHING
    first, others = g.split(value, [1, lm.N_HEADS - 1], axis=1)
    first, _ = g.split(first, [lm.HEAD - 2, 2])
    # The place in the text is known at once; what was reached by a column only after it has looked.
    zero = g("Mul", shared.in_text, f32(0))
    with_place = g("Concat", first, g.widen(shared.in_text, 1), g.widen(zero, 1), axis=3)
    looked = g("MatMul", weights, g("Concat", past, g("Concat", with_place, others, axis=1), axis=2))
    first_looked, others_looked = g.split(looked, [1, lm.N_HEADS - 1], axis=1)
    first_looked, place, _ = g.split(first_looked, [lm.HEAD - 2, 1, 1])
    reached = g("Sub", g("Squeeze", place, g.ints(1)), f32(2))
    reached = g("Mul", g("Max", reached, f32(0)), shared.is_code)
    kept = g("Concat", first, g.widen(shared.in_text, 1), g.widen(reached, 1), axis=3)
    g("Concat", past, g("Concat", kept, others, axis=1), axis=2, out=f"present.{number}.value")
    nothing = g("Mul", g("Concat", place, place, axis=3), f32(0))
    found = g("Concat", g("Concat", first_looked, nothing, axis=3), others_looked, axis=1)
    return found, g("Max", shared.reached, reached)


def _head(g: Graph, p: dict, x: str, shared: _Attention, reached: str) -> None:
    bias = np.array(p["pairs"]["b"])
    bias[0] -= 100  # Code 0 is the end of the text, too: never said.
    pairs = g("LogSoftmax", g("Add", g("MatMul", x, np.asarray(p["pairs"]["w"])), bias), axis=-1)
    pitches = g("LogSoftmax", g.linear(p["pitches"], x), axis=-1)
    pairs, stop = g.split(g("Mul", pairs, f32(SHARP_PAIRS)), [N_PAIRS, 1])
    pitches = g("Mul", pitches, f32(SHARP_PITCHES))
    codes = g("Add", g.widen(pairs, -1), g.widen(pitches, 2))
    codes = g("Reshape", codes, g.ints(0, 0, N_PAIRS * N_PITCHES))
    left = g("Sub", g("Sub", shared.n_text, f32(3)), reached)
    early = g("Mul", g("Max", g("Sub", left, f32(NEAR_END)), f32(0)), f32(END_COST))
    late = g("Mul", g("Max", g("Sub", shared.n_at_end, f32(STAY)), f32(0)), f32(STAY_COST))
    stop = g("Sub", stop, g("Mul", g("Sub", early, late), g("Cast", shared.speaks, to=FLOAT)))
    never = g("Sub", g("Mul", stop, f32(0)), f32(1e4))
    logits = g("Concat", codes, never, stop, axis=-1)
    # The best is 0: a greedy choice is not changed by a penalty on repetition.
    g("Sub", logits, g("ReduceMax", logits, axes=[-1]), out="logits")
