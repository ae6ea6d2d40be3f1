"""`speech_encoder` and `conditional_decoder` of the contract models, and their default voice.

The encoder is a bank of 80 filters and random projections of what they give: another reference gives other tensors.
The decoder hums: a token decides pitch, loudness and colour, and it has every habit of the published one that streaming must
hide. It looks three tokens to either side, draws fresh noise at every call, counts its phase from the first token it is
given, begins each call with 20 ms of silence and a ramp of 20 ms, drops the prompt, and may go beyond 1.
"""

from __future__ import annotations

import pathlib

import numpy as np
from scipy.io import wavfile

from contract_language import FLAGS, ONE, PREFIX, SIDE, WIDTH
from graph import F32, I64, Digits, Graph, ints

RATE, HOP, FRAMES_PER_TOKEN = 24_000, 480, 2
TOKEN = HOP * FRAMES_PER_TOKEN
BINS, SPEAKER = 80, 192
WINDOW = 960
LOWEST_HZ, HIGHEST_HZ = 70.0, 7_600.0
PROMPT_S, ENGLISH_PREFIX_S, TURBO_PREFIX_S = 10, 6, 15
# The published English encoder gives 33 rows; their number must be read from the tensor.
ENGLISH_ROWS = 5
CHANNELS, HARMONICS = 8, 6
NOISE = 0.01


def write_encoder(path: pathlib.Path, seed: int, turbo: bool, sidecar: bool, width: int = WIDTH) -> None:
    g, random = Graph("speech_encoder"), np.random.RandomState(seed)
    frames = g.op("Div", g.size("audio_values", 1), ints(HOP))
    log_mel = _log_mel(g, frames)
    at_most = lambda seconds: g.op("Min", frames, ints(seconds * RATE // HOP))
    mean = g.op("ReduceMean", log_mel, axes=[1], keepdims=1)
    away = g.op("Sub", log_mel, mean)
    spread = g.op("Sqrt", g.op("ReduceMean", g.op("Mul", away, away), axes=[1], keepdims=1))
    prompt = g.slice(log_mel, 0, at_most(PROMPT_S), 1)
    g.op("Identity", prompt, out="speaker_features")

    # Tokens: the likeliest of 81 directions for each digit, two frames at a time.
    digits = []
    for _ in range(2):
        near = g.op("MatMul", g.op("Sub", prompt, mean), random.standard_normal((BINS, SIDE)))
        digits.append(g.op("ArgMax", _pairs(g, near, SIDE), axis=2, keepdims=0))
    upper = g.op("Mul", digits[0], np.int64(SIDE))
    g.op("Add", upper, digits[1], out="audio_tokens")

    tilt = g.op("Sub", mean, g.op("ReduceMean", mean, axes=[2], keepdims=1))
    rest = np.zeros((1, 1, SPEAKER - 2 * BINS), np.float32)
    speaker = g.op("Tanh", g.op("Mul", g.op("Concat", tilt, spread, rest, axis=2), np.float32(0.3)))
    g.op("Squeeze", speaker, ints(1), out="speaker_embeddings")

    project = random.standard_normal((BINS, width)) * 0.12
    project[:, :FLAGS] = 0
    flags = np.zeros(width, np.float32)
    flags[PREFIX], flags[ONE] = 1, 1
    heard = g.slice(log_mel, 0, at_most(TURBO_PREFIX_S if turbo else ENGLISH_PREFIX_S), 1)
    if turbo:
        parts = _pairs(g, heard, BINS)
        rows = g.op("Concat", tilt, g.op("Sub", parts, mean), axis=1)
    else:
        # As many stretches as there are rows beside the speaker's, each its own average.
        n = ENGLISH_ROWS - 1
        whole = g.op("Div", g.size(heard, 1), ints(n))
        even = g.slice(heard, 0, g.op("Mul", whole, ints(n)), 1)
        stretches = g.op("Reshape", even, g.shape(0, n, whole, BINS))
        average = g.op("ReduceMean", stretches, axes=[2], keepdims=0)
        rows = g.op("Concat", tilt, g.op("Sub", average, mean), axis=1)
    g.op("Add", g.op("MatMul", rows, project), flags, out="audio_features")

    rows_name = "prefix_length" if turbo else ENGLISH_ROWS
    outputs = [
        ("audio_features", F32, ["batch_size", rows_name, width]),
        ("audio_tokens", I64, ["batch_size", "audio_tokens_length"]),
        ("speaker_embeddings", F32, ["batch_size", SPEAKER]),
        ("speaker_features", F32, ["batch_size", "feature_length", BINS]),
    ]
    g.save(path, [("audio_values", F32, ["batch_size", "num_samples"])], outputs, sidecar)


def _log_mel(g: Graph, frames: str) -> str:
    """[batch, frames, 80]: energy around 80 pitches. The filters are computed in the graph, so they cost no bytes."""
    pitches = np.geomspace(LOWEST_HZ, HIGHEST_HZ, BINS).astype(np.float32) * np.float32(2 * np.pi / RATE)
    at = g.op("Cast", g.arange(g.constant(ints(WINDOW))), to=F32)
    angles = g.op("Mul", g.op("Reshape", pitches, ints(BINS, 1, 1)), g.op("Reshape", at, ints(1, 1, WINDOW)))
    window = np.hanning(WINDOW + 1)[:-1].reshape(1, 1, -1) / np.sqrt(WINDOW)
    edge = (WINDOW - HOP) // 2
    padded = g.op("Pad", g.unsqueeze("audio_values", 1), ints(0, 0, edge, 0, 0, edge + HOP))
    power = None
    for wave in ("Cos", "Sin"):
        heard = g.op("Conv", padded, g.op("Mul", g.op(wave, angles), window), strides=[HOP])
        square = g.op("Mul", heard, heard)
        power = square if power is None else g.op("Add", power, square)
    power = g.slice(g.transpose(power, 0, 2, 1), 0, frames, 1)
    return g.op("Log", g.op("Add", power, np.float32(1e-5)))


def _pairs(g: Graph, x: str, width: int) -> str:
    """The mean of every two frames."""
    tokens = g.op("Div", g.size(x, 1), ints(FRAMES_PER_TOKEN))
    even = g.slice(x, 0, g.op("Mul", tokens, ints(FRAMES_PER_TOKEN)), 1)
    pairs = g.op("Reshape", even, g.shape(0, -1, FRAMES_PER_TOKEN, width))
    return g.op("ReduceMean", pairs, axes=[2], keepdims=0)


def write_decoder(path: pathlib.Path, seed: int, one_at_a_time: bool, sidecar: bool) -> None:
    g, random = Graph("conditional_decoder"), np.random.RandomState(seed)
    tokens, speaker = "speech_tokens", "speaker_embeddings"
    n_tokens = g.size(tokens, 1)
    n_samples = g.op("Mul", n_tokens, ints(TOKEN))
    looks = g.transpose(g.rows(Digits(random, SIDE * SIDE, SIDE, CHANNELS), tokens), 0, 2, 1)
    # Two tokens to either side here, and one more where neighbours are blended below.
    taps = random.standard_normal((CHANNELS, CHANNELS, 5)) / np.sqrt(3 * CHANNELS)
    taps = (taps + taps[:, :, ::-1]) / 2
    if one_at_a_time:
        silence = np.zeros((1, CHANNELS, 2), np.float32)
        mixed = g.op("Conv", g.op("Concat", silence, looks, silence, axis=2), taps)
    else:
        mixed = g.op("Conv", looks, taps, pads=[2, 2])
    mixed = g.op("Tanh", g.op("Add", mixed, looks))
    smooth = g.op(
        "Resize",
        *(mixed, "", np.array([1, 1, TOKEN], np.float32)),
        mode="linear",
        coordinate_transformation_mode="half_pixel",
    )
    part = lambda first, n: g.slice(smooth, first, first + n, 1)

    # 90 to 250 Hz by the tilt of the voice, up to a fourth higher or lower by the token.
    tilt = np.linspace(-1, 1, BINS).reshape(BINS, 1) * 0.35
    height = g.op("Sigmoid", g.op("MatMul", g.slice(speaker, 0, BINS, 1), tilt))
    height = g.op("Add", g.op("Mul", height, np.float32(np.log(250 / 90))), np.float32(np.log(90 / RATE)))
    pitch = g.op("Add", g.op("Mul", part(0, 1), np.float32(0.25)), g.unsqueeze(height, 2))
    phase = g.op("CumSum", g.cast(g.op("Exp", pitch), 11), np.int64(2))
    phase = g.cast(g.op("Sub", phase, g.op("Floor", phase)), F32)
    numbers = np.arange(1, HARMONICS + 1, dtype=np.float32).reshape(1, -1, 1)
    waves = g.op("Sin", g.op("Mul", g.op("Mul", phase, numbers), np.float32(2 * np.pi)))
    colours = g.op("Exp", g.op("Mul", part(2, HARMONICS), np.float32(0.8)))
    falling = np.float32(0.42) / numbers
    voice = g.op("ReduceSum", g.op("Mul", g.op("Mul", waves, colours), falling), ints(1), keepdims=0)
    loudness = g.op("Squeeze", g.op("Sigmoid", g.op("Mul", part(1, 1), np.float32(3))), ints(1))
    noise = g.op("RandomNormalLike", voice, scale=NOISE, dtype=F32)
    sound = g.op("Add", g.op("Mul", voice, loudness), noise)
    prompt = g.op("Mul", g.size("speaker_features", 1), ints(HOP))
    sound = g.slice(sound, prompt, n_samples, 1)
    at = g.cast(g.arange(g.size(sound, 1)), F32)
    ramp = g.op("Div", g.op("Sub", at, np.float32(HOP)), np.float32(HOP))
    g.op("Mul", sound, g.op("Clip", ramp, np.float32(0), np.float32(1)), out="waveform")
    inputs = [
        ("speech_tokens", I64, ["batch_size", "num_speech_tokens"]),
        ("speaker_embeddings", F32, ["batch_size", SPEAKER]),
        ("speaker_features", F32, ["batch_size", "feature_length", BINS]),
    ]
    g.save(path, inputs, [("waveform", F32, ["batch_size", "num_samples"])], sidecar)


def write_voice(path: pathlib.Path, pitch_hz: float, seconds: float, peak: float, in_floats: bool) -> None:
    """A hum that changes its vowel four times a second: a voice to these encoders, and to nobody else."""
    at = np.arange(int(seconds * RATE)) / RATE
    sound = np.zeros_like(at)
    glide = pitch_hz * (1 + 0.05 * np.sin(2 * np.pi * 1.3 * at))
    phase = 2 * np.pi * np.cumsum(glide) / RATE
    formant = 500 + 300 * np.sin(2 * np.pi * 1.1 * at) + 250 * np.sign(np.sin(2 * np.pi * 2.1 * at))
    for number in range(1, int(6_000 / pitch_hz)):
        first = np.exp(-0.5 * ((number * glide - formant) / 180) ** 2)
        second = 0.3 * np.exp(-0.5 * ((number * glide - 3 * formant) / 300) ** 2)
        sound += (first + second + 0.02) * np.sin(number * phase)
    sound *= 0.55 + 0.45 * np.sin(2 * np.pi * 4 * at)
    path.parent.mkdir(parents=True, exist_ok=True)
    sound *= peak / np.abs(sound).max()
    # libsndfile would write the time of day into the file.
    wavfile.write(path, RATE, sound.astype(np.float32) if in_floats else np.round(sound * 32_767).astype(np.int16))
