"""espeak-ng through its C library: formant synthesis with hundreds of voices (accents times variants).

The library keeps its state in the process: one `Espeak` for each process.
"""

from __future__ import annotations

import bisect
import ctypes as c

import numpy as np

from shared.speech import SILENCE, Span, Speech

WORD, PHONEME = 1, 7  # kinds of events
RATE, PITCH, RANGE = 1, 3, 4  # parameters
RETRIEVAL, PHONEME_EVENTS, CHARS_UTF8 = 1, 1, 1


class _Event(c.Structure):
    _fields_ = [
        ("type", c.c_int),
        ("unique_identifier", c.c_uint),
        ("text_position", c.c_int),
        ("length", c.c_int),
        ("audio_position", c.c_int),
        ("sample", c.c_int),
        ("user_data", c.c_void_p),
        ("name", c.c_char * 8),
    ]


_CALLBACK = c.CFUNCTYPE(c.c_int, c.POINTER(c.c_short), c.c_int, c.POINTER(_Event))


class Espeak:
    """`say` speaks a text with a voice such as `en-us+f2` (an accent and a variant)."""

    def __init__(self) -> None:
        self._library = c.CDLL("libespeak-ng.so.1")
        self._rate = self._library.espeak_Initialize(RETRIEVAL, 0, None, PHONEME_EVENTS)
        if self._rate <= 0:
            raise RuntimeError("espeak-ng does not start: is espeak-ng-data installed?")
        self._voice: str | None = None
        self._parts: list[np.ndarray] = []
        self._events: list[tuple[int, int, float, str]] = []
        self._callback = _CALLBACK(self._collect)  # kept: the library holds no reference
        self._library.espeak_SetSynthCallback(self._callback)

    def _collect(self, samples: "c._Pointer[c.c_short]", n: int, events: "c._Pointer[_Event]") -> int:
        if samples and n > 0:
            self._parts.append(np.ctypeslib.as_array(samples, (n,)).astype(np.float32) / 32768)
        i = 0
        while events[i].type != 0:
            event = events[i]
            name = event.name.decode("latin1")
            self._events.append((event.type, event.text_position, event.sample / self._rate, name))
            i += 1
        return 0

    def say(self, text: str, voice: str, *, rate: int = 170, pitch: int = 50, pitch_range: int = 50) -> Speech:
        """`rate` in words a minute, `pitch` and `pitch_range` between 0 and 99."""
        if voice != self._voice:
            if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
                raise ValueError(f"espeak-ng has no voice {voice}")
            self._voice = voice
        for parameter, value in ((RATE, rate), (PITCH, pitch), (RANGE, pitch_range)):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._parts, self._events = [], []
        encoded = text.encode()
        self._library.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, CHARS_UTF8, None, None)
        self._library.espeak_Synchronize()
        samples = np.concatenate(self._parts) if self._parts else np.zeros(0, np.float32)
        phones = self._phones(len(samples) / self._rate)
        return Speech(samples, self._rate, self._words(text, phones), phones)

    def _phones(self, end: float) -> list[Span]:
        marks = [(at, name) for kind, _, at, name in self._events if kind == PHONEME] + [(end, "")]
        return [
            Span(at, until, SILENCE if not name or name.startswith("_") else name)
            for (at, name), (until, _) in zip(marks, marks[1:])
        ]

    def _words(self, text: str, phones: list[Span]) -> list[Span]:
        """Word events say where a word starts. Words that share one event share its time by their letters."""
        words, begins, at = text.split(), [], 0
        for word in words:
            at = text.index(word, at)
            begins.append(at)
            at += len(word)
        spoken = [phone for phone in phones if phone.name != SILENCE]
        end = spoken[-1].end if spoken else 0.0
        starts: dict[int, float] = {}
        for kind, position, when, _ in self._events:
            if kind == WORD:
                starts.setdefault(max(0, bisect.bisect_right(begins, position - 1) - 1), when)
        starts.setdefault(0, spoken[0].start if spoken else 0.0)
        marked = sorted(starts)
        spans: list[Span] = []
        for first, last in zip(marked, marked[1:] + [len(words)]):
            start, until = starts[first], starts.get(last, end)
            # A pause before the next word belongs to nobody.
            inside = [phone.end for phone in spoken if start - 1e-4 <= phone.start < until - 1e-4]
            if inside:
                until = min(until, inside[-1])
            letters = np.cumsum([0] + [len(word) for word in words[first:last]])
            edges = start + (until - start) * letters / letters[-1]
            spans += [Span(a, b, word) for a, b, word in zip(edges.tolist(), edges[1:].tolist(), words[first:last])]
        return spans
