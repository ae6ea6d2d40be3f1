"""`conditional_decoder`: tokens and a speaker to audio. The first half as many tokens as the speaker has frames are the prompt,
and nothing is heard of them."""

import pathlib

import numpy as np

from tts import decoder, vocoder
from tts.acoustics import N_BINS
from tts.graph import DOUBLE, FLOAT, INT, Graph, f32
from tts.tokens import N_PAIRS, N_PITCHES, PITCH_STEP, SECONDS, Inventory

SAMPLES_PER_TOKEN = round(vocoder.RATE * SECONDS)
# What makes the level of the teacher's envelopes that of speech.
LEVEL = float(np.exp(-4.37)) * 1.6
LOWEST, HIGHEST = 50.0, 500.0
# Places in the vector of a speaker: mean log pitch, its spread, level; then its mean spectrum.
AT_PITCH, AT_SPECTRUM = 0, 8


def _interpolated(g: Graph, x: str, times: int) -> str:
    scales = np.array([1, 1, times], np.float32)
    return g("Resize", x, "", scales, mode="linear", coordinate_transformation_mode="half_pixel")


def _frames(g: Graph, p: dict, tokens: str, inventory: Inventory, spectrum: str) -> tuple[str, str, str]:
    """Envelope, periodicity and relative log pitch of (rows, tokens)."""
    rows = g.size(tokens, 0)
    phones = g("Gather", inventory.table, g("Div", tokens, np.int64(N_PITCHES)))
    phones = g("Reshape", phones, g("Concat", rows, g.ints(-1), axis=0))
    level = g("Sub", g("Cast", g("Mod", tokens, np.int64(N_PITCHES)), to=FLOAT), f32(N_PITCHES // 2))
    fine_pitch = _interpolated(g, g.widen(g("Mul", level, f32(PITCH_STEP)), 1), 4)
    middle_pitch = g("AveragePool", fine_pitch, kernel_shape=[2], strides=[2])
    known = g("Tanh", g.linear(p["speaker"], g("Mul", spectrum, f32(0.5))))

    def stack(x: str, layers: str, by_speaker: str, dilations: tuple[int, ...], width: int) -> str:
        for n, dilation in enumerate(dilations):
            gain, shift = g.split(g.widen(g.linear(p[f"{by_speaker}{n}"], known), 2), [width, width], 1)
            found = g("Mul", g.convolution(p[f"{layers}{n}"], x, 5, dilation), g("Add", gain, f32(1)))
            x = g("Add", x, g.silu(g("Add", found, shift)))
        return x

    def by_pitch(name: str, pitch: str) -> str:
        return g("Mul", pitch, 10 * np.asarray(p[name]).reshape(1, -1, 1))

    x = g("Add", g.transpose(g("Gather", np.asarray(p["phones"]), phones), 0, 2, 1), by_pitch("pitch", middle_pitch))
    x = stack(x, "layer", "by_speaker", decoder.DILATIONS, decoder.WIDTH)
    x = g("Reshape", g.linear(p["finer"], g.transpose(x, 0, 2, 1)), g("Concat", rows, g.ints(-1, decoder.FINE_WIDTH), axis=0))
    x = g("Add", g.transpose(x, 0, 2, 1), by_pitch("fine_pitch", fine_pitch))
    x = stack(x, "fine_layer", "fine_by_speaker", decoder.FINE_DILATIONS, decoder.FINE_WIDTH)
    out = g.linear(p["out"], g.transpose(x, 0, 2, 1))
    envelope, periodicity, voicing, change = g.split(out, [N_BINS, decoder.N_BANDS, 1, 1])
    base = g.widen(g("MatMul", spectrum, decoder.BASE), 1)
    envelope = g("Add", g("Sub", g("Mul", envelope, f32(1.5)), f32(1)), base)
    periodicity = g("Mul", g("Sigmoid", periodicity), g("Sigmoid", g("Mul", voicing, f32(2))))
    change = g("Mul", g("Tanh", g.transpose(change, 0, 2, 1)), f32(decoder.MOST_PITCH_CHANGE))
    return envelope, periodicity, g("Add", fine_pitch, change)


def _pulses(g: Graph, log_pitch: str) -> tuple[str, str]:
    """Pitch of every sample, and pulses of it: a sum of cosines in closed form, up to 47 % of the rate."""
    hertz = g("Clip", g("Exp", _interpolated(g, log_pitch, vocoder.HOP)), f32(LOWEST), f32(HIGHEST))
    hertz = g("Squeeze", hertz, g.ints(1))
    cycles = g("CumSum", g("Cast", g("Div", hertz, f32(vocoder.RATE)), to=DOUBLE), np.int64(1))
    half_phase = g("Mul", g("Cast", g("Sub", cycles, g("Floor", cycles)), to=FLOAT), f32(np.pi))
    n_terms = g("Add", g("Mul", g("Floor", g("Div", f32(0.47 * vocoder.RATE), hertz)), f32(2)), f32(1))
    below = g("Sin", half_phase)
    at_pulse = g("Less", g("Abs", below), f32(1e-4))
    quotient = g("Div", g("Sin", g("Mul", n_terms, half_phase)), g("Where", at_pulse, f32(1), below))
    pulses = g("Where", at_pulse, g("Sub", n_terms, f32(1)), g("Sub", quotient, f32(1)))
    return hertz, g("Mul", pulses, g("Sqrt", g("Div", hertz, f32(vocoder.RATE))))


def _waveform(g: Graph, envelope: str, periodicity: str, log_pitch: str, n_tokens: str, level: float) -> None:
    n_bins, pad = vocoder.N_FREQUENCIES, (vocoder.WINDOW - vocoder.HOP) // 2
    cos, sin = g.waves(n_bins, vocoder.WINDOW, vocoder.N_FFT, vocoder.ROOT_HANN)
    cos, minus_sin = g.widen(cos, 1), g.widen(g("Neg", sin), 1)

    def spectrum(x: str) -> list[str]:
        padded = g("Pad", g.widen(x, 1), g.ints(0, 0, pad, 0, 0, pad))
        return [g.transpose(g("Conv", padded, it, strides=[vocoder.HOP]), 0, 2, 1) for it in (cos, minus_sin)]

    hertz, pulses = _pulses(g, log_pitch)
    noise = g("Gather", vocoder.NOISE, g("Mod", g.range(g.size(hertz, 1)), np.int64(len(vocoder.NOISE))))
    voiced = g("Clip", g("MatMul", periodicity, vocoder.BANDS_TO_FREQUENCIES), f32(0), f32(1))
    unvoiced = g("Sqrt", g("Sub", f32(1.0001), g("Mul", voiced, voiced)))
    parts = zip(spectrum(pulses), spectrum(g.widen(noise, 0)))
    real, imaginary = (g("Add", g("Mul", voiced, a), g("Mul", unvoiced, b)) for a, b in parts)
    matrix, phase_matrix = (g.constant(it, half=False) for it in (vocoder.ENVELOPE, vocoder.PHASE))
    size = g("Exp", g("Add", g("MatMul", envelope, matrix), vocoder.ENVELOPE_ADDED + np.float32(np.log(level))))
    phase = g("Add", g("MatMul", envelope, phase_matrix), vocoder.PHASE_ADDED)
    filter_real, filter_imaginary = g("Mul", size, g("Cos", phase)), g("Mul", size, g("Sin", phase))
    out_real = g("Sub", g("Mul", filter_real, real), g("Mul", filter_imaginary, imaginary))
    out_imaginary = g("Add", g("Mul", filter_real, imaginary), g("Mul", filter_imaginary, real))
    scale = np.full((n_bins, 1, 1), 1.0 / vocoder.N_FFT, np.float32)
    scale[0] = scale[-1] = 0.5 / vocoder.N_FFT
    back = g("Concat", g("Mul", cos, scale), g("Mul", minus_sin, scale), axis=0)
    spectra = g("Concat", g.transpose(out_real, 0, 2, 1), g.transpose(out_imaginary, 0, 2, 1), axis=1)
    wave = g("Squeeze", g("ConvTranspose", spectra, back, strides=[vocoder.HOP]), g.ints(1))
    end = g("Add", g("Mul", n_tokens, g.ints(SAMPLES_PER_TOKEN)), g.ints(pad))
    g("Clip", g.slice(wave, pad, end, 1), f32(-0.99), f32(0.99), out="waveform")


def write(path: pathlib.Path, p: dict, inventory: Inventory, pitch_bias: float = 0.0, level: float = LEVEL) -> None:
    """`pitch_bias` is added to the speaker's mean log pitch: what the output was found to be below its reference."""
    g = Graph()
    prompt = g("Div", g.size("speaker_features", 1), g.ints(2))
    tokens = g.slice("speech_tokens", prompt, 2**40, 1)
    foreign = g("Or", g("Greater", tokens, np.int64(N_PAIRS * N_PITCHES - 1)), g("Less", tokens, np.int64(0)))
    silence = np.int64(inventory.code(0, 0) * N_PITCHES + N_PITCHES // 2)
    tokens = g("Where", foreign, silence, tokens)
    speaker = "speaker_embeddings"
    mean_pitch = g.widen(g("Add", g.slice(speaker, AT_PITCH, AT_PITCH + 1, 1), f32(pitch_bias)), 2)
    spectrum = g.slice(speaker, AT_SPECTRUM, AT_SPECTRUM + 80, 1)
    envelope, periodicity, pitch = _frames(g, p, tokens, inventory, spectrum)
    _waveform(g, envelope, periodicity, g("Add", pitch, mean_pitch), g.size(tokens, 1), level)
    inputs = [
        ("speech_tokens", INT, ["batch", "num_tokens"]),
        ("speaker_embeddings", FLOAT, ["batch", 192]),
        ("speaker_features", FLOAT, ["batch", "prompt_frames", 80]),
    ]
    g.save(path, inputs, [("waveform", FLOAT, ["batch", "num_samples"])])
