"""The voice heard by the built-in recogniser: sentences of its kind that both recipes hold out, spoken with four references."""

import pathlib

import numpy as np
from scipy.signal import resample_poly

from asr import sentences
from shared.errors import ErrorRate
from shared.runs import chance
from shared.splits import split_of
from tts import references
from tts.voice import Voice

REFERENCES = ("rms", "slt", "awb", "espeak m3")
DEFAULT_RECOGNISER = pathlib.Path(__file__).parents[3] / "services/asr/models/demo"
N_SENTENCES = 200
# Of characters; the recogniser's own test sets hold no longer ones.
LONGEST = 100


def held_out_sentences(n: int) -> list[tuple[str, str]]:
    """As they are said and as they are written; always the same ones."""
    r = chance(1, "round trip")
    found: dict[str, str] = {}
    while len(found) < n:
        sentence = sentences.some_sentence(r, share_of_random=0)
        said, written = sentences.said(sentence), sentences.written(sentence)
        if len(said) <= LONGEST and split_of(written) == "test":
            found.setdefault(written, said)
    return [(said, written) for written, said in found.items()]


def measure(voice: Voice, recogniser: pathlib.Path, n: int = N_SENTENCES) -> dict:
    """Word errors of `n` sentences, one reference after another."""
    from faster_whisper import WhisperModel

    model = WhisperModel(str(recogniser), device="cpu", compute_type="int8", cpu_threads=1)
    samples = references.all_voices()
    heard = {name: voice.hear(samples[name]) for name in REFERENCES}
    whole, rates = ErrorRate(), {name: ErrorRate() for name in REFERENCES}
    for number, (said, written) in enumerate(held_out_sentences(n)):
        name = REFERENCES[number % len(REFERENCES)]
        tokens, _ = voice.tokens(said, heard[name], most=50 + 5 * len(said))
        audio = resample_poly(voice.decode(tokens, heard[name]), 2, 3).astype(np.float32)
        segments, _ = model.transcribe(audio, language="en", beam_size=5, condition_on_previous_text=False)
        text = " ".join(it.text for it in segments)
        whole.add(written, text)
        rates[name].add(written, text)
    return {**whole.as_json(), "by_reference": {name: rate.as_json() for name, rate in rates.items()}}
