"""Twelve reference voices: four that the decoder learned from, and eight of espeak-ng that nothing here has heard."""

import functools
import subprocess
import tempfile

import numpy as np
import soundfile
from scipy.signal import resample_poly

from tts import acoustics, speakers, teacher
from tts.voice import Voice

RATE = speakers.RATE
# None of them is in any measurement.
DEVELOPMENT = {"espeak f4": ("f4", 50), "espeak m2": ("m2", 50), "espeak m4": ("m4", 45), "espeak m6": ("m6", 55)}
TEXT = (
    "This is what I sound like when I read a few lines aloud. The morning was cold and bright, and nobody was on the road. "
    "We walked down to the river, sat on a stone, and waited for the boat."
)
# By which the pitch is put right: of several kinds, because each has its own melody.
BIAS_TEXTS = (
    "They have been living in this house near the river for ten years.",
    "Could you tell me when the next train to the coast leaves?",
    "We need bread, butter, two onions, and a bag of rice.",
    "Please close the window before the rain comes in.",
    "The old man opened the door slowly and looked at the empty street.",
)
# A variant of espeak-ng's American voice, and how high it is set.
STRANGERS = {
    "espeak f1": ("f1", 50), "espeak f2": ("f2", 65), "espeak f3": ("f3", 60), "espeak f5": ("f5", 40),
    "espeak m1": ("m1", 50), "espeak m3": ("m3", 30), "espeak m5": ("m5", 60), "espeak m7": ("m7", 40),
}  # fmt: skip


def stranger(variant: str, pitch: int, text: str = TEXT) -> np.ndarray:
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        command = ["espeak-ng", "-v", f"en-us+{variant}", "-p", str(pitch), "-s", "150", "-w", file.name, text]
        subprocess.run(command, check=True, capture_output=True)
        samples, rate = soundfile.read(file.name)
    return resample_poly(samples, RATE // 150, rate // 150)


def taught(voice: str, text: str = TEXT) -> np.ndarray:
    return resample_poly(teacher.speak(text, voice).samples / 32768.0, 3, 2)


@functools.cache
def all_voices() -> dict[str, np.ndarray]:
    """Samples at 24 kHz, as loud as the server makes a reference."""
    found = {voice: taught(voice) for voice in teacher.VOICES}
    found |= {name: stranger(*how) for name, how in STRANGERS.items()}
    return {name: prepared(it) for name, it in found.items()}


def prepared(samples: np.ndarray) -> np.ndarray:
    """At most ten seconds of whole tokens, with a peak of 0.3."""
    samples = samples[: min(len(samples), 10 * RATE) // 960 * 960]
    return (samples * (0.3 / np.abs(samples).max())).astype(np.float32)


def pitch_of(samples: np.ndarray) -> float:
    """The median in hertz of what is voiced and loud."""
    small = resample_poly(samples, 2, 3)
    track, voiced = acoustics.find_pitch(small, 60, 400)
    energy = (acoustics.frames(small, len(track), 800) ** 2).sum(1)
    return float(np.exp(np.median(np.log(track[voiced & (energy > 0.03 * energy.max())]))))


def signature(samples: np.ndarray) -> np.ndarray:
    """A simple measure of who speaks: mean spectrum, and pitch as if it were one more band of weight."""
    spectrum, _ = speakers.statistics(speakers.log_mel(samples))
    return np.concatenate([spectrum[:76] / np.sqrt(76), [4 * np.log(pitch_of(samples))]])


def pitch_bias(voice: Voice) -> float:
    """What the output is below its reference in log Hz, over the teacher's voices and as many of development."""
    heard = [taught(it) for it in teacher.VOICES] + [stranger(*it) for it in DEVELOPMENT.values()]
    off = []
    for samples in map(prepared, heard):
        kept = voice.hear(samples)
        said = [voice.tokens(text, kept, most=150)[0] for text in BIAS_TEXTS]
        spoken = [voice.decode(it, kept) for it in said if len(it) > 10]
        if spoken:
            off.append(np.log(pitch_of(samples) / pitch_of(np.concatenate(spoken))))
    # The median: one that was heard an octave off does not count.
    return float(np.clip(np.median(off), -0.1, 0.1)) if off else 0.0
