"""The language model: which speech token comes next, given the text and what was said so far.

    [voice 2][exaggeration][START] characters [STOP][BEGIN][BEGIN] speech ...

A causal transformer over this sequence; the text encoder, three convolutions, lives in `embed_tokens`, so that the rest
stays causal and cacheable.

The alignment is fed back. One head of the second and third layer looks at the text alone, and only around the character
that was reached so far: it can neither skip a clause nor say one twice. What was reached is the mean of the positions
that the second layer's head looked at, the furthest of all steps before. Training knows that position from the teacher,
so it is as parallel as without; when speaking it is kept in two places of that head's cached values, and no input is
needed for it.
"""

import jax
import jax.numpy as jnp
import numpy as np

from tts import network, speakers
from tts.network import dense, linear, rms_norm, silu
from tts.tokens import N_PAIRS, N_PITCHES, PHONES

WIDTH, N_LAYERS, N_HEADS, N_WIDE, N_TEXT_LAYERS = 192, 4, 4, 576, 3
HEAD = WIDTH // N_HEADS
CHARACTERS = " abcdefghijklmnopqrstuvwxyz0123456789.,?!'-:;"
STOP_TEXT, UNKNOWN, FIRST_CHARACTER, START_TEXT = 0, 1, 2, 255
BEGIN_SPEECH, STOP_SPEECH, EXAGGERATION = 6561, 6562, 6563
N_TEXT_ROWS = 256
CHARACTER_ID = {it: n + FIRST_CHARACTER for n, it in enumerate(CHARACTERS)}

# Rows of the voice before the text; then one of exaggeration, then START.
N_VOICE_ROWS = 2
FIRST_AT = N_VOICE_ROWS + 2
# Layers whose first head follows the text, and the one whose head tells what was reached.
FOLLOWING, REACHING = (1, 2), 1
# Places of the first head's values of that layer: position in the text plus two, and what was reached.
PLACE_POSITION, PLACE_REACHED = HEAD - 2, HEAD - 1
# It looks so many characters back and ahead of what was reached, and hardly beyond.
BACK, AHEAD, SOFTNESS = 1.0, 6.0, 1.5

FREQUENCIES = (1.0 / (1000 ** (np.arange(WIDTH // 2) / (WIDTH // 2)))).astype(np.float32)
TURNED = 24
TURNS = (1.0 / (500 ** (np.arange(TURNED // 2) / (TURNED // 2)))).astype(np.float32)


def text_ids(text: str) -> list[int]:
    """As `embed_tokens` is given them, without exaggeration and the beginning of speech."""
    return [START_TEXT] + [CHARACTER_ID.get(it, UNKNOWN) for it in text.lower()] + [STOP_TEXT]


def positional(at: jax.Array) -> jax.Array:
    angle = at[..., None] * FREQUENCIES
    return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], -1) * 0.5


def turn(x: jax.Array, at: jax.Array) -> jax.Array:
    """Rotary positions, on the first half of a head."""
    angle = at[:, None, :, None] * TURNS
    cos, sin, half = jnp.cos(angle), jnp.sin(angle), TURNED // 2
    a, b, rest = x[..., :half], x[..., half:TURNED], x[..., TURNED:]
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos, rest], -1)


def initial(key: jax.Array) -> dict:
    keys = iter(jax.random.split(key, 80))

    def rows(*shape: int, scale: float) -> jax.Array:
        return jax.random.normal(next(keys), shape) * scale

    p = {
        "text_rows": rows(N_TEXT_ROWS, WIDTH, scale=0.5),
        "pair_rows": rows(N_PAIRS, WIDTH, scale=0.3),
        "first_rows": rows(len(PHONES), WIDTH, scale=0.3),
        "second_rows": rows(len(PHONES), WIDTH, scale=0.3),
        "pitch_rows": rows(N_PITCHES, WIDTH, scale=0.2),
        "begin": rows(WIDTH, scale=0.5),
        "exaggeration": {"w": rows(WIDTH, scale=0.3), "b": rows(WIDTH, scale=0.3)},
        "voice": dense(next(keys), speakers.N_BANDS, N_VOICE_ROWS * WIDTH, 0.3),
        "text_gain": jnp.ones(WIDTH),
        "last_gain": jnp.ones(WIDTH),
        "pairs": dense(next(keys), WIDTH, N_PAIRS + 1, 0.5),
        "pitches": dense(next(keys), WIDTH, N_PITCHES, 0.5),
        "phones": dense(next(keys), WIDTH, 2 * len(PHONES), 0.5),
    }
    for n in range(N_TEXT_LAYERS):
        p[f"text{n}"] = dense(next(keys), 5 * WIDTH, WIDTH)
    for n in range(N_LAYERS):
        p[f"layer{n}"] = {
            "gain_attention": jnp.ones(WIDTH),
            "gain_wide": jnp.ones(WIDTH),
            "qkv": dense(next(keys), WIDTH, 3 * WIDTH),
            "out": dense(next(keys), WIDTH, WIDTH, 0.4),
            "wide": dense(next(keys), WIDTH, N_WIDE),
            "narrow": dense(next(keys), N_WIDE, WIDTH, 0.4),
        }
    return p


def encode_text(p: dict, ids: jax.Array, is_text: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Without and with positions; START is at 0."""
    mask = is_text[..., None]
    x = jnp.take(p["text_rows"], ids, axis=0) * mask
    for n in range(N_TEXT_LAYERS):
        x = (x + silu(network.convolution(p[f"text{n}"], x, 5))) * mask
    x = rms_norm(p["text_gain"], x)
    at = jnp.broadcast_to(jnp.arange(ids.shape[1]) * 1.0, ids.shape)
    return x, (x + positional(at)) * mask


def embed_speech(p: dict, table: jax.Array, ids: jax.Array, at: jax.Array) -> jax.Array:
    rows = p["pair_rows"] + p["first_rows"][table[:, 0]] + p["second_rows"][table[:, 1]]
    pairs, pitches = ids // N_PITCHES, ids % N_PITCHES
    return jnp.take(rows, pairs, axis=0) + jnp.take(p["pitch_rows"], pitches, axis=0) + positional(at)


def following_bias(position: jax.Array, reached: jax.Array, speaks: jax.Array) -> jax.Array:
    """For the first head: (rows, queries, keys), what is added to the scores besides causality.

    `position` is a key's place in the text, -2 where it is no text; `reached` is a query's; `speaks` tells which are speech.
    """
    far = jnp.abs(position[:, None, :] - reached[:, :, None] - (AHEAD - BACK) / 2) - (AHEAD + BACK) / 2
    bias = -0.5 * (jnp.maximum(far, 0) / SOFTNESS) ** 2
    bias = jnp.where(position[:, None, :] > -2, bias, -1e9)
    return jnp.where(speaks[:, :, None], bias, 0.0)


def layer(p: dict, x: jax.Array, at: jax.Array, bias: jax.Array, first_bias: jax.Array | None, reaching: bool):
    """Answers with the output and what the first head looks at."""
    rows, n, _ = x.shape
    qkv = jnp.split(linear(p["qkv"], rms_norm(p["gain_attention"], x)), 3, -1)
    q, k, v = (it.reshape(rows, n, N_HEADS, HEAD).transpose(0, 2, 1, 3) for it in qkv)
    if reaching:
        v = v.at[:, 0, :, PLACE_POSITION:].set(0.0)
    scores = turn(q, at) @ turn(k, at).transpose(0, 1, 3, 2) / np.sqrt(HEAD) + bias
    if first_bias is not None:
        scores = scores.at[:, 0].add(first_bias)
    weights = jax.nn.softmax(scores, -1)
    x = x + linear(p["out"], (weights @ v).transpose(0, 2, 1, 3).reshape(rows, n, WIDTH))
    x = x + linear(p["narrow"], silu(linear(p["wide"], rms_norm(p["gain_wide"], x))))
    return x, weights[:, 0]


@jax.vmap
def pick(x: jax.Array, at: jax.Array) -> jax.Array:
    return x[at]


def forward(p: dict, table: jax.Array, batch: dict) -> tuple[jax.Array, list[jax.Array], jax.Array]:
    """The last states, what the following heads look at, and the encoded text. `batch` is as `batches` makes it."""
    rows, n_text = batch["text"].shape
    n_speech = batch["speech"].shape[1]
    voice = linear(p["voice"], batch["voice"] * 0.3).reshape(rows, N_VOICE_ROWS, WIDTH)
    exaggeration = (batch["exaggeration"][:, None] * p["exaggeration"]["w"] + p["exaggeration"]["b"])[:, None]
    raw, text = encode_text(p, batch["text"], batch["is_text"])
    begin = jnp.broadcast_to(p["begin"] + positional(jnp.zeros(1)), (rows, 2, WIDTH))
    at_speech = jnp.broadcast_to(jnp.arange(n_speech) + 1.0, (rows, n_speech))
    speech = embed_speech(p, table, batch["speech"], at_speech)
    x = pick(jnp.concatenate([voice, exaggeration, text, begin, speech], 1), batch["order"])

    n = x.shape[1]
    at = jnp.broadcast_to(jnp.arange(n) * 1.0, (rows, n))
    causal = jnp.arange(n)[None] <= jnp.arange(n)[:, None]
    bias = jnp.where(causal[None, None] & batch["valid"][:, None, None, :], 0.0, -1e9)
    n_characters = batch["is_text"].sum(1, keepdims=True)
    position = jnp.where((at >= FIRST_AT - 1) & (at < FIRST_AT - 1 + n_characters), at - FIRST_AT, -2.0)
    speaks = (at >= FIRST_AT - 1 + n_characters) & batch["valid"]
    first_bias = following_bias(position, batch["reached"], speaks)
    looks = []
    for number in range(N_LAYERS):
        follows = number in FOLLOWING
        x, weights = layer(p[f"layer{number}"], x, at, bias, first_bias if follows else None, number == REACHING)
        if follows:
            looks.append(weights)
    return rms_norm(p["last_gain"], x), looks, raw


MEASURES = ("pair", "pitch", "look", "reach", "phones", "right")


def loss(p: dict, table: jax.Array, look_weight: float, batch: dict) -> tuple[jax.Array, jax.Array]:
    """What is to become small, and `MEASURES`."""
    x, looks, raw = forward(p, table, batch)
    states = pick(x, batch["queries"])
    weight = batch["weight"]
    spoken = weight * (batch["pair"] < N_PAIRS)
    n = weight.sum()

    def entropy(logits: jax.Array, wanted: jax.Array) -> jax.Array:
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), wanted[..., None], -1)[..., 0]

    logits = linear(p["pairs"], states)
    pair = (entropy(logits, batch["pair"]) * weight).sum() / n
    pitch = (entropy(linear(p["pitches"], states), batch["pitch"]) * spoken).sum() / n
    # Where the heads look: at the character that is spoken.
    at = jnp.arange(x.shape[1])[None, None] - FIRST_AT - batch["character"][..., None] + 0.5
    window = jnp.exp(-0.5 * (at / 1.2) ** 2)
    look = sum((-jnp.log((pick(it, batch["queries"]) * window).sum(-1) + 1e-4) * spoken).sum() for it in looks) / n / 2
    reached = (pick(looks[0], batch["queries"]) * (jnp.arange(x.shape[1]) - FIRST_AT)).sum(-1)
    reach = (jnp.minimum(jnp.abs(reached - batch["character"] + 0.5), 8.0) * spoken).sum() / n
    # What the text encoder knows of the two phones at the character.
    under = jnp.clip(jnp.floor(batch["character"]).astype(int) + 1, 0, raw.shape[1] - 1)
    phones = linear(p["phones"], pick(raw, under)).reshape(*under.shape, 2, len(PHONES))
    wanted = table[jnp.minimum(batch["pair"], N_PAIRS - 1)]
    phone = (entropy(phones, wanted).mean(-1) * spoken).sum() / n
    right = ((logits.argmax(-1) == batch["pair"]) * weight).sum() / n
    total = pair + 0.5 * pitch + look_weight * look + 0.05 * reach + 0.3 * phone
    return total, jnp.stack([pair, pitch, look, reach, phone, right])
