"""`speech_encoder`: a reference at 24 kHz to the language model's rows of the voice, tokens of what is said, the vector of the
speaker and log-mel; of the first six seconds what is as long as the reference."""

import pathlib

import numpy as np

from tts import language_model as lm, speakers
from tts.export_language import WIDE
from tts.graph import FLOAT, INT, Graph, f32
from tts.tokens import N_PITCHES, PHONES, PITCH_STEP, Inventory

MOST_TOKENS = 150
# Between which the pitch is searched.
LOWEST, HIGHEST = 60, 400
# A frame's pitch is not further from the reference's most frequent one than this, in log Hz.
FURTHEST = 0.35


def _pitch(g: Graph, power: str, weight: str) -> tuple[str, str, str]:
    """Log Hz of each frame, how far it may be believed, and the mean: peaks of the autocorrelation of what is below 1.5 kHz."""
    lags = np.arange(LOWEST, HIGHEST + 1)
    n_bins = int(1500 * speakers.N_FFT / speakers.RATE)
    own = np.fft.irfft(np.abs(np.fft.rfft(speakers.HANN, speakers.N_FFT)) ** 2)
    own = (own[lags] / own[0]).astype(np.float32)
    low = g.slice(power, 0, n_bins, 2)
    product = g("Mul", g.widen(g.range(n_bins), 1), g.widen(g.constant(lags.astype(np.int64)), 0))
    waves = g("Cos", g("Mul", g("Cast", g("Mod", product, np.int64(speakers.N_FFT)), to=FLOAT), f32(2 * np.pi / speakers.N_FFT)))
    total = g("Add", g.sum(low, 2), f32(1e-9))
    score = g("Sub", g("Mul", g("Div", g("MatMul", low, waves), total), 1 / own), (0.0004 * lags).astype(np.float32))
    log_lags = g.constant(np.log(lags).astype(np.float32), half=False)
    usual = g("Gather", log_lags, g("ArgMax", g.sum(g("Mul", score, weight), 1), axis=2))
    far = g("Greater", g("Abs", g("Sub", log_lags, usual)), f32(FURTHEST))
    score = g("Sub", score, g("Mul", g("Cast", far, to=FLOAT), f32(2)))
    best = g("ReduceMax", score, axes=[2])
    log_hertz = g("Sub", f32(np.log(speakers.RATE)), g("Gather", log_lags, g("ArgMax", score, axis=2)))
    voiced = g("Add", g("Mul", weight, g("Sigmoid", g("Mul", g("Sub", best, f32(0.5)), f32(15)))), f32(1e-6))
    mean = g("Div", g.sum(g("Mul", log_hertz, voiced), 1), g.sum(voiced, 1))
    return log_hertz, voiced, mean


def _said(g: Graph, classifier: dict, mels: str, inventory: Inventory) -> str:
    """Pairs of phones, by their codes."""
    x = g.transpose(g("Mul", mels, f32(0.3)), 0, 2, 1)
    for name in ("first", "second"):
        x = g.silu(g.convolution(classifier[name], x, 5))
    phones = g("ArgMax", g.transpose(g.convolution(classifier["out"], x, 1), 0, 2, 1), axis=2, keepdims=0)
    phones = g("Reshape", phones, g.ints(1, -1, 2))
    n = len(PHONES)
    codes = np.array([[inventory.code(a, b) for b in range(n)] for a in range(n)], np.int64).reshape(-1)
    first, second = (g("Gather", phones, np.int64(at), axis=2) for at in (0, 1))
    return g("Gather", codes, g("Add", g("Mul", first, np.int64(n)), second))


def write(path: pathlib.Path, language: dict, classifier: dict, inventory: Inventory) -> None:
    g = Graph()
    pad = (speakers.WINDOW - speakers.HOP) // 2
    padded = g("Pad", g.widen("audio_values", 1), g.ints(0, 0, pad, 0, 0, pad))
    waves = g.waves(speakers.N_FFT // 2 + 1, speakers.WINDOW, speakers.N_FFT, speakers.HANN)
    parts = [g("Conv", padded, g.widen(it, 1), strides=[speakers.HOP]) for it in waves]
    power = g.transpose(g("Add", *(g("Mul", it, it) for it in parts)), 0, 2, 1)
    mels = g("Log", g("Add", g("MatMul", power, speakers.FILTERS), f32(1e-7)))
    n_frames = g("Mul", g("Min", g("Div", g.size(power, 1), g.ints(2)), g.ints(MOST_TOKENS)), g.ints(2))

    def begin(x: str) -> str:
        return g.slice(x, 0, n_frames, 1)

    # Statistics of the loud frames.
    loudness = g("ReduceMean", mels, axes=[2])
    threshold = g("Sub", g("ReduceMax", loudness, axes=[1]), f32(5))
    weight = g("Sigmoid", g("Mul", g("Sub", loudness, threshold), f32(2)))
    share = g("Div", weight, g.sum(weight, 1))
    mean = g.sum(g("Mul", mels, share), 1)
    level = g("ReduceMean", mean, axes=[2])
    spectrum = g("Sub", mean, level)
    relative = g("Sub", mels, mean)
    spread = g("Sqrt", g.sum(g("Mul", g("Mul", relative, relative), share), 1))

    log_hertz, voiced, mean_pitch = _pitch(g, power, weight)
    off = g("Sub", log_hertz, mean_pitch)
    pitch_spread = g("Sqrt", g("Div", g.sum(g("Mul", g("Mul", off, off), voiced), 1), g.sum(voiced, 1)))
    zeros = [np.zeros((1, 1, n), np.float32) for n in (5, 24)]
    vector = g("Concat", mean_pitch, pitch_spread, g("Mul", level, f32(0.5)), zeros[0], spectrum, spread, zeros[1], axis=2)
    g("Squeeze", vector, g.ints(1), out="speaker_embeddings")
    g("Identity", begin(mels), out="speaker_features")
    rows = g("Reshape", g.linear(language["voice"], g("Mul", g("Squeeze", spectrum, g.ints(1)), f32(0.3))), g.ints(1, lm.N_VOICE_ROWS, lm.WIDTH))
    g("Concat", rows, np.zeros((1, lm.N_VOICE_ROWS, WIDE - lm.WIDTH), np.float32), axis=2, out="audio_features")

    def by_token(x: str) -> str:
        return g.sum(g("Reshape", begin(x), g.ints(1, -1, 2)), 2, keep=False)

    pitch = g("Div", by_token(g("Reshape", g("Mul", off, voiced), g.ints(1, -1, 1))), g("Add", by_token(voiced), f32(0.1)))
    height = g("Clip", g("Add", g("Round", g("Div", pitch, f32(PITCH_STEP))), f32(N_PITCHES // 2)), f32(0), f32(N_PITCHES - 1))
    codes = g("Mul", _said(g, classifier, begin(relative), inventory), np.int64(N_PITCHES))
    g("Add", codes, g("Cast", height, to=INT), out="audio_tokens")
    outputs = [
        ("audio_features", FLOAT, [1, lm.N_VOICE_ROWS, WIDE]),
        ("audio_tokens", INT, [1, "prompt_tokens"]),
        ("speaker_embeddings", FLOAT, [1, 192]),
        ("speaker_features", FLOAT, [1, "prompt_frames", speakers.N_BANDS]),
    ]
    g.save(path, [("audio_values", FLOAT, [1, "num_samples"])], outputs)
