"""The voice heard by the built-in recogniser: sentences of its kind, spoken with four references."""

import pathlib

import numpy as np
from scipy.signal import resample_poly

from shared.errors import ErrorRate
from tts import references
from tts.voice import Voice

REFERENCES = ("rms", "slt", "awb", "espeak m3")
DEFAULT_RECOGNISER = pathlib.Path(__file__).parents[3] / "services/asr/models/demo"
# A list of sentences that the benchmarks use too.
SENTENCES = pathlib.Path(__file__).parents[3] / "tests/baseline/assistant_sentences.txt"


def measure(voice: Voice, recogniser: pathlib.Path, n: int) -> dict:
    """Word errors of `n` sentences, one reference after another."""
    from faster_whisper import WhisperModel

    model = WhisperModel(str(recogniser), device="cpu", compute_type="int8", cpu_threads=1)
    samples = references.all_voices()
    heard = {name: voice.hear(samples[name]) for name in REFERENCES}
    rates = {name: ErrorRate() for name in REFERENCES}
    sentences = [it for it in SENTENCES.read_text().splitlines() if it.strip()]
    for number in range(n):
        name = REFERENCES[number % len(REFERENCES)]
        text = sentences[number % len(sentences)]
        tokens, _ = voice.tokens(text, heard[name], most=50 + 5 * len(text))
        audio = resample_poly(voice.decode(tokens, heard[name]), 2, 3).astype(np.float32)
        segments, _ = model.transcribe(audio, language="en", beam_size=5, condition_on_previous_text=False)
        rates[name].add(text, " ".join(it.text for it in segments))
    whole = ErrorRate()
    for rate in rates.values():
        for name in ("errors", "words", "exact", "clips"):
            setattr(whole, name, getattr(whole, name) + getattr(rate, name))
    return {**whole.as_json(), "by_reference": {name: rate.as_json() for name, rate in rates.items()}}
