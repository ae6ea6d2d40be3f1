"""Speech to text, as a stream.

>>> async with asr.connect("ws://localhost:8000/v1/stream/asr") as stream:  # doctest: +SKIP
...     async def listen():
...         async for event in stream:
...             if isinstance(event, asr.Final):
...                 print(event.text)
...     listening = asyncio.create_task(listen())
...     for samples in microphone:
...         await stream.send(samples)
...     receipt = await stream.finish()
...     await listening
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from ssl import SSLContext
from types import TracebackType
from typing import Any

from .events import (Closed, Error, Event, Final, Finalized, Partial, Ready, Receipt, Resumed, SpeechEnd, SpeechStart, TurnEnd)
from .link import Link
from .listening import Listening
from .retry import Patience

__all__ = ["connect", "Stream", "Event", "Ready", "Resumed", "SpeechStart", "Partial", "SpeechEnd", "Final", "TurnEnd", "Finalized", "Error",
           "Receipt", "Closed"]


class connect:
    """Opens a stream: ``async with asr.connect(url) as stream`` or ``stream = await asr.connect(url)``.

    ``config`` has the keys of ``config`` in the protocol, as keyword arguments: ``language="en"``, ``vad={"stop_secs": 0.3}``.
    Audio is 16 bits, 16 kHz and mono if they do not say otherwise. At most ``max_kept`` seconds of it are kept until they are answered for:
    they have to hold the longest turn. When they are full, ``send`` waits. ``ssl`` says whom to trust behind ``wss://``, if not those whom
    the system trusts: ``ssl.create_default_context(cafile="authority.pem")``.
    """

    def __init__(self, url: str, *, api_key: str | None = None, patience: Patience = Patience(), max_kept: float = 240.0,
                 ssl: SSLContext | None = None, **config: Any) -> None:
        self._arguments = url, api_key, patience, ssl
        self._core = Listening(config, max_kept)
        self._stream: Stream | None = None

    async def _open(self) -> Stream:
        self._stream = Stream(self._core, Link(self._core, *self._arguments))
        await self._stream._opened()
        return self._stream

    def __await__(self) -> Any:
        return self._open().__await__()

    async def __aenter__(self) -> Stream:
        return await self._open()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._stream is not None:
            await self._stream.close()


class Stream:
    """A stream that is open. Iterate over it for its events; they have to be read, because the stream waits for whoever does not."""

    def __init__(self, core: Listening, link: Link) -> None:
        self._core = core
        self._link = link
        self._first: Event | None = None

    async def _opened(self) -> None:
        self._first = await self._link.next()

    async def send(self, audio: bytes | bytearray | memoryview) -> None:
        """Sends audio, in frames of any length. Waits while as much is kept as may be."""
        await self._link.room()
        self._core.push(audio)
        self._link.wake()

    async def finalize(self, id: str | None = None) -> None:
        """Ends the turn now. Answered by ``Finalized``."""
        await self._link.room()
        self._core.finalize(id)
        self._link.wake()

    async def finish(self) -> Receipt:
        """The audio is complete: waits for the last text and the receipt, and raises why there is none.

        Events that were not read yet can still be read afterwards.
        """
        self._core.finish()
        self._link.wake()
        await self._link.unbound()
        return await self._link.result()

    async def close(self) -> None:
        """Breaks the stream off. What is not answered yet is lost."""
        await self._link.close()

    async def __aiter__(self) -> AsyncIterator[Event]:
        first, self._first = self._first, None
        if first is not None:
            yield first
        while (event := await self._link.next()) is not None:
            yield event
