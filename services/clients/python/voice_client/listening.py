"""A listening stream apart from its connections: the audio that is not answered for, and where it goes on after a break.

::

    samples   0 ---------- settled ---------- sent ---------- pushed
                 delivered    |  kept, sent again |  kept, not sent yet

Pure: no clock, no I/O. What is kept begins where everything before is delivered: at the server's ``safe_sample``, or at the end of the last
``final``, whichever is later. A new connection begins there, so no word is told twice, and none is lost.
"""

from __future__ import annotations

import json
import math
from collections import deque
from typing import Any

from .errors import PASSING, Break, Impossible
from .events import (Closed, Error, Event, Final, Finalized, Partial, Ready, Receipt, Resumed, SpeechEnd, SpeechStart, TurnEnd, make,
                     read)

_WIDTHS = {"pcm_s16le": 2, "pcm_f32le": 4, "mulaw": 1, "alaw": 1}
# Small enough for every balancer, large enough to catch up fast.
_MAX_FRAME = 32 * 1024
# `ready` comes for the connection and for the options.
_N_READY = 2


class Listening:
    """A stream of one client."""

    def __init__(self, config: dict[str, Any], max_kept: float) -> None:
        # What both sides count samples with must not depend on a server's defaults.
        self._config = {"encoding": "pcm_s16le", "sample_rate": 16000, "channels": 1, **config}
        if "start_sample" in config:
            raise Impossible("`start_sample` is the client's own business; a stream begins at 0")
        width = _WIDTHS.get(self._config["encoding"])
        if width is None:
            raise Impossible(f"a stream can be resumed in the encodings {', '.join(_WIDTHS)}. Given: {self._config['encoding']}")
        self._frame_bytes = width * self._config["channels"]
        self._max_kept = max(int(max_kept * self._config["sample_rate"] * self._frame_bytes), _MAX_FRAME)
        self._kept = bytearray()
        self._kept_from = 0  # in bytes
        self._finalizes: deque[tuple[int, str | None]] = deque()
        self._is_finishing = False
        self._ready: Ready | None = None
        self._n_connections = 0
        self._receipt: Receipt | None = None
        # Segments, in numbers that count through all connections.
        self._offset = self._begun = self._ended = self._answered = 0
        self._in_turn: int | None = None
        self._reset_connection()

    def _reset_connection(self) -> None:
        self._start_sample = self.settled
        self._has_config = self._has_close = self.has_advanced = False
        self._n_ready = self._n_finalizes = 0
        self._sent = self._kept_from
        self._fatal: Break | None = None

    # --- what the user wants ---

    def push(self, audio: bytes | bytearray | memoryview) -> None:
        """More audio."""
        self._kept += audio

    def finalize(self, id: str | None) -> None:
        """The turn is to end here."""
        self._finalizes.append((self._pushed, id))

    def finish(self) -> None:
        """The audio is complete."""
        self._is_finishing = True

    @property
    def has_room(self) -> bool:
        return len(self._kept) < self._max_kept

    @property
    def settled(self) -> int:
        """Everything before this sample is delivered."""
        return self._kept_from // self._frame_bytes

    @property
    def output(self) -> Receipt | None:
        """What is to be told at the end, once it has come."""
        return self._receipt

    # --- connections ---

    def connected(self) -> None:
        """A connection was made: from here on everything is said anew that is not answered for."""
        self._n_connections += 1
        self._reset_connection()

    def outgoing(self) -> str | bytes | None:
        """What comes next on this connection, if anything can be sent now."""
        if not self._has_config:
            self._has_config = True
            return json.dumps({"type": "config", **self._config, "start_sample": self._start_sample})
        if self._n_ready < _N_READY or self._has_close:
            return None
        if self._n_finalizes < len(self._finalizes):
            at, id = self._finalizes[self._n_finalizes]
            # Of one whose audio is delivered only the answer is missing.
            if at <= self._sent:
                self._n_finalizes += 1
                return json.dumps({"type": "finalize"} if id is None else {"type": "finalize", "id": id})
            return self._audio(at)
        if self._sent < self._pushed:
            return self._audio(self._pushed)
        if self._is_finishing:
            self._has_close = True
            return json.dumps({"type": "close"})
        return None

    def keepalive(self) -> str | None:
        """What to send so that the server knows that somebody is there."""
        return json.dumps({"type": "keepalive"}) if self._n_ready == _N_READY and not self._has_close else None

    @property
    def keepalive_every(self) -> float:
        return (self._ready.limits.get("idle_timeout_s", 60) if self._ready else 60) / 3

    def on_text(self, text: str) -> list[Event]:
        """Takes in a text frame."""
        message = read(text)
        handle = getattr(self, "_on_" + message["type"], None)
        if handle is None:
            # Newer than this client, and nothing to it.
            return []
        try:
            return handle(message)
        except (KeyError, TypeError) as error:
            raise Break.protocol(f"{error!r} in {text:.200}") from None

    def on_binary(self, data: bytes) -> list[Event]:
        raise Break.protocol("a recogniser sends no audio")

    def broken(self, why: Break) -> tuple[Break, list[Event]]:
        """The connection ended, in this way as far as the socket knows. What the server said of it before counts more."""
        why = self._fatal or why
        self._fatal = None
        self._n_ready = 0
        self._offset = self._answered
        has_turn_ends = self._ready is None or self._ready.config.get("final_on", "turn_end") == "turn_end"
        if self._in_turn is None or not (has_turn_ends or self._begun <= self._answered):
            return why, []
        segment, self._in_turn = self._in_turn, None
        return why, [TurnEnd(segment_id=segment, reason="close")]

    # --- inside ---

    @property
    def _pushed(self) -> int:
        return self._kept_from + len(self._kept)

    @property
    def _n_samples(self) -> int:
        return self._pushed // self._frame_bytes

    def _settle(self, sample: int) -> None:
        n = min(sample, self._n_samples) * self._frame_bytes - self._kept_from
        if n <= 0:
            return
        del self._kept[:n]
        self._kept_from += n
        self._sent = max(self._sent, self._kept_from)
        self.has_advanced = True

    def _audio(self, until: int) -> bytes:
        begin = self._sent - self._kept_from
        frame = bytes(self._kept[begin:begin + min(until - self._sent, _MAX_FRAME)])
        self._sent += len(frame)
        return frame

    def _on_ready(self, it: dict[str, Any]) -> list[Event]:
        self._n_ready += 1
        if self._n_ready != _N_READY:
            return []
        is_first, ready = self._ready is None, make(Ready, it)
        self._ready = ready
        return [ready if is_first else Resumed(self._start_sample, ready.instance, ready.session_id)]

    def _on_speech_start(self, it: dict[str, Any]) -> list[Event]:
        it["segment_id"] += self._offset
        if it["segment_id"] <= self._begun:
            return []
        self._begun = it["segment_id"]
        return [make(SpeechStart, it)]

    def _on_partial(self, it: dict[str, Any]) -> list[Event]:
        it["segment_id"] += self._offset
        return [make(Partial, it)]

    def _on_speech_end(self, it: dict[str, Any]) -> list[Event]:
        it["segment_id"] += self._offset
        if it["segment_id"] <= self._ended:
            return []
        self._ended = it["segment_id"]
        return [make(SpeechEnd, it)]

    def _on_final(self, it: dict[str, Any]) -> list[Event]:
        it["segment_id"] += self._offset
        self._answered = self._in_turn = it["segment_id"]
        self._settle(it["end_sample"])
        return [make(Final, it)]

    def _on_turn_end(self, it: dict[str, Any]) -> list[Event]:
        it["segment_id"] += self._offset
        self._in_turn = None
        return [make(TurnEnd, it)]

    def _on_progress(self, it: dict[str, Any]) -> list[Event]:
        self._settle(it["safe_sample"])
        return []

    def _on_finalized(self, it: dict[str, Any]) -> list[Event]:
        if self._finalizes:
            self._finalizes.popleft()
        self._n_finalizes = max(self._n_finalizes - 1, 0)
        return [make(Finalized, it)]

    def _on_error(self, it: dict[str, Any]) -> list[Event]:
        if it.get("segment_id") is not None:
            it["segment_id"] += self._offset
            self._answered = it["segment_id"]
        elif not it["recoverable"] or self._n_ready < _N_READY:
            said = Break.said(it["code"], it["message"])
            if it["code"] not in PASSING or it["recoverable"]:
                raise said
            # What is still owed may come, and the close frame.
            self._fatal = said
            return []
        return [make(Error, it)]

    def _on_closed(self, it: dict[str, Any]) -> list[Event]:
        received = self._start_sample + it["received_samples"]
        if self._has_close and self._n_samples <= received:
            self._settle(self._n_samples)
            self._receipt = Receipt(self._n_samples, self._answered, self._n_connections, make(Closed, it))
            return [self._receipt]
        # It goes down. All that it took is delivered, but a word that had just begun may lie in the silence at the end.
        vad = (self._ready.config.get("vad") if self._ready else None) or {}
        self._settle(received - math.ceil(vad.get("pre_roll_secs", 0.0) * self._config["sample_rate"]))
        return []
