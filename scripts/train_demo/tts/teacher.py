"""The teacher: flite, a free synthesiser of the distribution, called as a library for what its program does not tell.

Of each sentence: the waveform, which phone sounds until when, from which characters of the text it came, and (of the
statistical voices) the pitch that was asked of the vocoder.
"""

import ctypes
import dataclasses
import functools
import glob

import numpy as np

# Statistical voices of CMU ARCTIC speakers; kal16 is a diphone voice, and without a track of pitch.
VOICES = ("slt", "rms", "awb", "kal16")
TRACKED = ("slt", "rms", "awb")
RATE = 16_000
_FOLDERS = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib", "/usr/local/lib")


class TeacherError(Exception):
    """Flite is not there, or a voice of it is not."""


@dataclasses.dataclass
class Phone:
    name: str
    # Seconds.
    end: float
    # The index of the word it belongs to, or -1.
    word: int


@dataclasses.dataclass
class Spoken:
    text: str
    voice: str
    samples: np.ndarray
    phones: list[Phone]
    # First and last character of each word of the text.
    spans: list[tuple[int, int]]
    # Hertz every 5 ms, 0 where there is no voice; None of a voice without a track.
    pitch: np.ndarray | None


class _Wave(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_char_p), ("rate", ctypes.c_int), ("n", ctypes.c_int), ("channels", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_short)),
    ]  # fmt: skip


class _Track(ctypes.Structure):
    _fields_ = [
        ("kind", ctypes.c_void_p), ("n_frames", ctypes.c_int), ("n_channels", ctypes.c_int),
        ("times", ctypes.POINTER(ctypes.c_float)), ("frames", ctypes.POINTER(ctypes.POINTER(ctypes.c_float))),
    ]  # fmt: skip


def _open(name: str) -> ctypes.CDLL:
    for folder in _FOLDERS:
        for path in sorted(glob.glob(f"{folder}/{name}.so.*")):
            return ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
    raise TeacherError(f"{name}.so is not installed. On Debian: apt-get install flite")


class _Library:
    """The few functions that are needed, with their types."""

    def __init__(self) -> None:
        pointer, text = ctypes.c_void_p, ctypes.c_char_p
        for name in ("libflite", "libflite_usenglish", "libflite_cmulex"):
            library = _open(name)
            if name == "libflite":
                self._library = library

        def of(name: str, answer, *takes):
            function = getattr(self._library, name)
            function.restype, function.argtypes = answer, takes
            return function

        self.speak = of("flite_synth_text", pointer, text, pointer)
        self.relation = of("utt_relation", pointer, pointer, text)
        self.head = of("relation_head", pointer, pointer)
        self.next = of("item_next", pointer, pointer)
        self.parent = of("item_parent", pointer, pointer)
        self.seen_as = of("item_as", pointer, pointer, text)
        self.string = of("item_feat_string", text, pointer, text)
        self.number = of("item_feat_float", ctypes.c_float, pointer, text)
        self.wave = of("utt_wave", ctypes.POINTER(_Wave), pointer)
        self.feature = of("feat_val", pointer, pointer, text)
        self.delete = of("delete_utterance", None, pointer)
        of("flite_init", ctypes.c_int)()

    def items(self, utterance: int, relation: bytes):
        item = self.head(self.relation(utterance, relation))
        while item:
            yield item
            item = self.next(item)

    def word_of(self, segment: int, words: dict[int, int]) -> int:
        item = self.seen_as(segment, b"SylStructure")
        for step in (self.parent, self.parent, lambda it: self.seen_as(it, b"Token"), self.parent):
            item = step(item) if item else None
        return words.get(item, -1)

    def track(self, utterance: int) -> np.ndarray | None:
        # The first member of an utterance are its features; a value's payload follows eight bytes of kind and count.
        features = ctypes.c_void_p.from_address(utterance).value
        value = self.feature(features, b"param_track")
        if not value:
            return None
        track = _Track.from_address(ctypes.c_void_p.from_address(value + 8).value)
        return np.array([track.frames[n][0] for n in range(track.n_frames)], np.float32)


@functools.cache
def _library() -> _Library:
    return _Library()


@functools.cache
def _voice(name: str) -> int:
    _library()
    register = getattr(_open(f"libflite_cmu_us_{name}"), f"register_cmu_us_{name}")
    register.restype, register.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    return register(None)


def speak(text: str, voice: str) -> Spoken:
    """Synthesises a sentence."""
    flite = _library()
    utterance = flite.speak(text.encode("ascii", "ignore"), _voice(voice))
    words, spans, at = {}, [], 0
    for item in flite.items(utterance, b"Token"):
        name = flite.string(item, b"name").decode()
        first = max(text.find(name, at), at)
        words[item] = len(spans)
        at = first + len(name)
        spans.append((first, at))
    phones = [
        Phone(flite.string(it, b"name").decode(), float(flite.number(it, b"end")), flite.word_of(it, words))
        for it in flite.items(utterance, b"Segment")
    ]
    wave = flite.wave(utterance).contents
    samples = np.ctypeslib.as_array(wave.samples, (wave.n,)).copy()
    if wave.rate != RATE:
        raise TeacherError(f"{voice} speaks at {wave.rate} samples a second, not {RATE}")
    pitch = flite.track(utterance) if voice in TRACKED else None
    flite.delete(utterance)
    return Spoken(text, voice, samples, phones, spans, pitch)
