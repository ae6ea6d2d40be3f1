"""Text to speech, as a stream. Every speech has a connection of its own, so a balancer can place each one where there is room.

>>> async with tts.speak("ws://localhost:8000/v1/stream/tts", "The train leaves at nine.") as speech:  # doctest: +SKIP
...     async for event in speech:
...         if isinstance(event, tts.Chunk):
...             play(event.audio)
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from ssl import SSLContext
from types import TracebackType
from typing import Any

from .events import Cancelled, Chunk, Complete, SpeechEvent, SpeechResumed, Started
from .link import Link
from .retry import Patience
from .speaking import Speaking

__all__ = ["speak", "connect", "Speech", "SpeechEvent", "Started", "SpeechResumed", "Chunk", "Complete", "Cancelled"]

# Servers wait longer than this for more text before they speak what they have.
_LATE_S = 0.25


def speak(url: str, text: str, *, api_key: str | None = None, patience: Patience = Patience(), ssl: SSLContext | None = None,
          **options: Any) -> Speech:
    """Speaks a text that is all there. ``options`` are those of the protocol: ``voice_id="ann"``, ``sample_rate=16000``.

    ``ssl`` says whom to trust behind ``wss://``, if not those whom the system trusts.
    """
    core = Speaking(options, text)
    return Speech(core, Link(core, url, api_key, patience, ssl))


def connect(url: str, *, api_key: str | None = None, patience: Patience = Patience(), ssl: SSLContext | None = None,
            **options: Any) -> Speech:
    """Speaks a text that is still being written: ``push`` it and ``end`` it. Connects at once, so that the first word need not wait."""
    core = Speaking(options)
    return Speech(core, Link(core, url, api_key, patience, ssl))


class Speech:
    """A speech. Iterate over it for its events; a speech whose audio is not taken waits. To be made in a running event loop."""

    def __init__(self, core: Speaking, link: Link) -> None:
        self._core = core
        self._link = link
        self._pushed_at: float | None = None

    async def push(self, text: str) -> None:
        """The next piece of the text, cut anywhere, also inside a word."""
        now = time.monotonic()
        is_late = self._pushed_at is not None and now - self._pushed_at >= _LATE_S
        self._pushed_at = now
        await self._link.room()
        self._core.push(text, is_late)
        self._link.wake()

    async def flush(self) -> None:
        """What has come is to be spoken, though no sentence has ended."""
        await self._link.room()
        self._core.flush()
        self._link.wake()

    async def end(self) -> None:
        """The text is complete."""
        await self._link.room()
        self._core.end()
        self._link.wake()

    async def cancel(self) -> None:
        """Stops. What was made already may still come before ``Cancelled``."""
        await self._link.tell(self._core.cancel())
        self._link.wake()

    async def audio(self) -> bytes:
        """All of the audio, at once."""
        return b"".join([it.audio async for it in self if isinstance(it, Chunk)])

    async def close(self) -> None:
        """Ends the speech where it is."""
        await self._link.close()

    async def __aiter__(self) -> AsyncIterator[SpeechEvent]:
        while (event := await self._link.next()) is not None:
            yield event

    async def __aenter__(self) -> Speech:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()
