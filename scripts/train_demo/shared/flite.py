"""flite through its C libraries: four voices made from recordings (`kal16` of diphones, `awb`, `rms` and `slt` by statistics)."""

from __future__ import annotations

import ctypes as c
from collections.abc import Iterator

import numpy as np

from shared.speech import SILENCE, Span, Speech, glue

VOICES = ("kal16", "awb", "rms", "slt")
_WORD_START = b"R:SylStructure.daughter1.daughter1.R:Segment.p.end"
_WORD_END = b"R:SylStructure.daughtern.daughtern.R:Segment.end"


class _Voice(c.Structure):
    _fields_ = [("name", c.c_char_p), ("features", c.c_void_p)]


class _Wave(c.Structure):
    _fields_ = [
        ("type", c.c_char_p),
        ("sample_rate", c.c_int),
        ("num_samples", c.c_int),
        ("num_channels", c.c_int),
        ("samples", c.POINTER(c.c_short)),
    ]


class Flite:
    """`say` speaks a text with one of `VOICES`."""

    def __init__(self) -> None:
        library = c.CDLL("libflite.so.1", mode=c.RTLD_GLOBAL)
        library.flite_init()
        for name in ("libflite_usenglish.so.1", "libflite_cmulex.so.1"):
            c.CDLL(name, mode=c.RTLD_GLOBAL)
        self._voices = {}
        for name in VOICES:
            register = getattr(c.CDLL(f"libflite_cmu_us_{name}.so.1", mode=c.RTLD_GLOBAL), f"register_cmu_us_{name}")
            register.restype, register.argtypes = c.c_void_p, [c.c_char_p]
            self._voices[name] = register(None)
        pointer = c.c_void_p
        for name, returned, arguments in (
            ("flite_synth_text", pointer, [c.c_char_p, pointer]),
            ("utt_relation", pointer, [pointer, c.c_char_p]),
            ("relation_head", pointer, [pointer]),
            ("item_next", pointer, [pointer]),
            ("flite_ffeature_float", c.c_float, [pointer, c.c_char_p]),
            ("flite_ffeature_string", c.c_char_p, [pointer, c.c_char_p]),
            ("feat_set_float", None, [pointer, c.c_char_p, c.c_float]),
            ("utt_wave", pointer, [pointer]),
            ("delete_utterance", None, [pointer]),
        ):
            function = getattr(library, name)
            function.restype, function.argtypes = returned, arguments
        self._library = library

    def say(self, text: str, voice: str, *, stretch: float = 1.0) -> Speech:
        """`stretch` above 1 is slower."""
        library, handle = self._library, self._voices[voice]
        features = c.cast(handle, c.POINTER(_Voice)).contents.features
        library.feat_set_float(features, b"duration_stretch", stretch)
        utterance = library.flite_synth_text(text.encode(), handle)
        try:
            wave = c.cast(library.utt_wave(utterance), c.POINTER(_Wave)).contents
            samples = np.ctypeslib.as_array(wave.samples, (wave.num_samples,)).astype(np.float32) / 32768
            rate = wave.sample_rate
            words = [
                Span(library.flite_ffeature_float(item, _WORD_START), library.flite_ffeature_float(item, _WORD_END), self._name(item))
                for item in self._items(utterance, b"Word")
            ]
            phones, at = [], 0.0
            for item in self._items(utterance, b"Segment"):
                end, name = library.flite_ffeature_float(item, b"end"), self._name(item)
                phones.append(Span(at, end, SILENCE if name == "pau" else name))
                at = end
        finally:
            library.delete_utterance(utterance)
        return Speech(samples, rate, glue(text.split(), words), phones)

    def _name(self, item: int) -> str:
        return self._library.flite_ffeature_string(item, b"name").decode()

    def _items(self, utterance: int, relation: bytes) -> Iterator[int]:
        item = self._library.relation_head(self._library.utt_relation(utterance, relation))
        while item:
            yield item
            item = self._library.item_next(item)
