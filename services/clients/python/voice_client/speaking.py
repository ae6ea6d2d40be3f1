"""A speech apart from its connections: what is to be said, and how far its audio has come.

Pure: no clock, no I/O. A new connection is asked for the same again, with the seed and the options that the first one told, from the end of
the last chunk on. The text is cut into the same sentences again: where a server did not wait any longer for text, and spoke what it had, the
next one is told to.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from .errors import PASSING, Break, Refused
from .events import Cancelled, Chunk, Complete, SpeechEvent, SpeechResumed, Started, make, read

_WIDTHS = {"pcm_s16le": 2, "pcm_f32le": 4, "mulaw": 1, "alaw": 1}
# The only request of its connection.
_REQUEST = "speech"


@dataclass
class _Item:
    kind: Literal["text", "flush", "end"]
    text: str = ""
    is_late: bool = False
    """So long after the one before it that the server may have spoken that one meanwhile."""


class Speaking:
    """What one client wants said."""

    keepalive_every = 20.0
    has_room = True

    def __init__(self, options: dict[str, Any], whole: str | None = None) -> None:
        self._options = dict(options)
        self._is_whole = whole is not None
        self._items: list[_Item] = [] if whole is None else [_Item("text", whole)]
        self._has_ended = self._is_whole
        self._is_cancelled = False
        self._started: Started | None = None
        self._position = 0
        self._n_chunks = 0
        self._heard_ends: list[int] = []
        self._n_connections = 0
        self._end: Complete | Cancelled | None = None
        self._reset_connection()

    def _reset_connection(self) -> None:
        self._is_ready = self._is_begun = self._has_cancel = self.has_advanced = False
        self._instance = ""
        self._n_sent = 0
        self._chunk: dict[str, Any] | None = None
        self._from = self._position
        self._fatal: Break | None = None

    # --- what the user wants ---

    def push(self, text: str, is_late: bool) -> None:
        """The next piece of the text."""
        if not self._has_ended:
            self._items.append(_Item("text", text, is_late))

    def flush(self) -> None:
        """What has come is to be spoken."""
        if not self._has_ended:
            self._items.append(_Item("flush"))

    def end(self) -> None:
        """The text is complete."""
        if not self._has_ended:
            self._has_ended = True
            self._items.append(_Item("end"))

    def cancel(self) -> list[SpeechEvent]:
        """The speech is to stop."""
        self._is_cancelled = True
        return [] if self._is_begun or self._end else self._cancelled()

    @property
    def output(self) -> Complete | Cancelled | None:
        """How it ended, once it has."""
        return self._end

    # --- connections ---

    def connected(self) -> None:
        """A connection was made: from here on everything is asked anew."""
        self._n_connections += 1
        if self._n_connections > 1:
            self._mark_cuts()
        self._reset_connection()

    def outgoing(self) -> str | bytes | None:
        """What comes next on this connection, if anything can be sent now."""
        if not self._is_ready or self._end:
            return None
        if self._is_cancelled:
            if self._has_cancel:
                return None
            self._has_cancel = True
            return json.dumps({"type": "cancel", "request_id": _REQUEST})
        while self._n_sent < len(self._items):
            item = self._items[self._n_sent]
            if item.kind == "text":
                self._n_sent += 1
                return self._text(item.text)
            if item.kind == "end" and not self._is_begun:
                # Nothing was to be said: a request of its own says so too. Its end comes next.
                return self._text("")
            self._n_sent += 1
            if self._is_begun:
                return json.dumps({"type": item.kind, "request_id": _REQUEST})
        return None

    def keepalive(self) -> str | None:
        """What to send so that the server knows that somebody is there, while nothing was said yet."""
        return json.dumps({"type": "keepalive"}) if self._is_ready and not self._is_begun else None

    def on_text(self, text: str) -> list[SpeechEvent]:
        """Takes in a text frame."""
        message = read(text)
        handle = getattr(self, "_on_" + message["type"], None)
        if handle is None:
            # Not for this client, or newer than it.
            return []
        try:
            return handle(message)
        except (KeyError, TypeError) as error:
            raise Break.protocol(f"{error!r} in {text:.200}") from None

    def on_binary(self, data: bytes) -> list[SpeechEvent]:
        """Takes in a binary frame."""
        it, self._chunk = self._chunk, None
        if it is None:
            raise Break.protocol("audio that no `audio_chunk` describes")
        width = _WIDTHS[self._options.get("encoding", "pcm_s16le")]
        start, end = it["start_sample"], it["start_sample"] + it["samples"]
        if len(data) != it["samples"] * width:
            raise Break.protocol(f"{len(data)} bytes are not {it['samples']} samples")
        if self._position < start:
            raise Break.protocol(f"a gap: audio from sample {start} after sample {self._position}")
        if end <= self._position:
            return []
        words = it.get("estimated_words", [])
        if 0 < self._from == self._position:
            # Told with the last chunk of the connection before, in which they began.
            words = [word for word in words if self._position / it["sample_rate"] <= word["start"]]
        if self._heard_ends[-1:] != [it["text_end"]]:
            self._heard_ends.append(it["text_end"])
        self._n_chunks += 1
        chunk = Chunk(self._n_chunks, self._position, end - self._position, it["sample_rate"], it["text_start"], it["text_end"], words,
                      bytes(data[(self._position - start) * width:]))
        self._position = end
        self.has_advanced = True
        return [chunk]

    def broken(self, why: Break) -> tuple[Break, list[SpeechEvent]]:
        """The connection ended, in this way as far as the socket knows. What the server said of it before counts more."""
        why = self._fatal or why
        self._fatal = None
        self._is_ready = self._is_begun = False
        # Nobody is left to be told to stop.
        return why, self._cancelled() if self._is_cancelled and not self._end else []

    # --- inside ---

    def _text(self, text: str) -> str:
        message: dict[str, Any] = {"type": "synthesize" if self._is_whole else "text", "request_id": _REQUEST, "text": text}
        if not self._is_begun:
            self._is_begun = True
            message |= self._options
            if self._position:
                message["skip_samples"] = self._position
        return json.dumps(message)

    def _cancelled(self) -> list[SpeechEvent]:
        self._end = Cancelled(self._position, self._n_connections)
        return [self._end]

    def _mark_cuts(self) -> None:
        """Tells the next server where to cut, wherever the last one may have cut because no more text came."""
        if self._is_whole:
            return
        marked: list[_Item] = []
        n_chars, n_ends = 0, 0
        for nth, item in enumerate(self._items):
            marked.append(item)
            if item.kind != "text":
                continue
            n_chars += len(item.text)
            end = None
            while n_ends < len(self._heard_ends) and self._heard_ends[n_ends] <= n_chars:
                end = self._heard_ends[n_ends]
                n_ends += 1
            if end is None or n_chars - end > len(item.text):
                continue
            # Only marks and spaces may be left of this piece behind the sentence.
            rest = item.text[len(item.text) - (n_chars - end):]
            following = self._items[nth + 1] if nth + 1 < len(self._items) else None
            waited = following is None or following.is_late
            if waited and not any(it.isalnum() for it in rest):
                marked.append(_Item("flush"))
        self._items = marked

    def _on_ready(self, it: dict[str, Any]) -> list[SpeechEvent]:
        self._is_ready = True
        self._instance = it["instance"]
        if self._n_connections == 1:
            # A server elsewhere may have other defaults.
            given = dict(self._options)
            if "voice" in given:
                given["voice_id"] = given.pop("voice")
            self._options = {**it.get("config", {}), **given}
        return []

    def _on_synthesis_started(self, it: dict[str, Any]) -> list[SpeechEvent]:
        started = make(Started, it)
        chosen = {"seed": started.seed, "encoding": started.encoding, "sample_rate": started.sample_rate}
        if self._started is None:
            # What the first server chose, the next one has to be told.
            self._options |= chosen
            self._started = started
            return [started]
        if any(self._options[key] != value for key, value in chosen.items()):
            raise Break.protocol("another instance speaks with other options than were asked for")
        return [SpeechResumed(self._position, self._instance)]

    def _on_audio_chunk(self, it: dict[str, Any]) -> list[SpeechEvent]:
        self._chunk = it
        return []

    def _on_synthesis_complete(self, it: dict[str, Any]) -> list[SpeechEvent]:
        if it["total_samples"] != self._position:
            raise Break.protocol(f"the speech has {it['total_samples']} samples, and {self._position} came")
        self._end = Complete(self._position, self._n_connections)
        return [self._end]

    def _on_cancelled(self, it: dict[str, Any]) -> list[SpeechEvent]:
        return self._cancelled()

    def _on_error(self, it: dict[str, Any]) -> list[SpeechEvent]:
        said = Break.said(it["code"], it["message"])
        if it.get("request_id") is not None:
            # The end of the request. A text that did not come in time does not come sooner elsewhere.
            if it["code"] == "TIMEOUT":
                said.final = Refused(it["code"], it["message"])
            raise said
        if it["recoverable"] or it["code"] not in PASSING:
            raise said
        self._fatal = said
        return []
