"""What a core wants, done: connects, sends, listens, waits, and connects again. One task owns one stream, and one connection at a time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import ssl
import time
from collections import deque
from typing import Any, Protocol

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from .errors import Break, Impossible, Over, VoiceError
from .retry import Patience, Retry

# Events that may wait for a reader. Beyond that the socket is not read.
MAX_EVENTS = 256


class Core(Protocol):
    """A stream apart from its connections."""

    has_advanced: bool

    @property
    def output(self) -> Any: ...
    @property
    def has_room(self) -> bool: ...
    @property
    def keepalive_every(self) -> float: ...
    def connected(self) -> None: ...
    def outgoing(self) -> str | bytes | None: ...
    def keepalive(self) -> str | None: ...
    def on_text(self, text: str) -> list[Any]: ...
    def on_binary(self, data: bytes) -> list[Any]: ...
    def broken(self, why: Break) -> tuple[Break, list[Any]]: ...


class Link:
    """A stream that runs."""

    def __init__(self, core: Core, url: str, api_key: str | None, patience: Patience, tls: ssl.SSLContext | None) -> None:
        if not url.startswith(("ws://", "wss://")):
            raise Impossible(f"an address must begin with ws:// or wss://. Given: {url}")
        if tls is not None and not url.startswith("wss://"):
            raise Impossible(f"`ssl` is for wss://. Given: {url}")
        self._core = core
        self._url = url
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._patience = patience
        # Left out it means those whom the system trusts; None means something else.
        self._trust: dict[str, Any] = {} if tls is None else {"ssl": tls}
        self._events: deque[Any] = deque()
        # Set when anything changed that somebody may wait for.
        self._changed = asyncio.Condition()
        self._to_send = asyncio.Event()
        self.is_bounded = True
        self._has_told_end = False
        self._was_ready_for = 0.0
        self._task = asyncio.create_task(self._converse())
        self._task.add_done_callback(self._ended)

    # --- for the user's side ---

    def wake(self) -> None:
        """There may be something to send."""
        self._to_send.set()

    async def room(self) -> None:
        """Waits until there is room for more; raises if there will be none."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._core.has_room or self._task.done())
        if self._task.done():
            raise Over("the stream is over")

    async def next(self) -> Any:
        """The next event, or the error that ended the stream; None after either end."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._events or self._task.done())
            if self._events:
                event = self._events.popleft()
                self._changed.notify_all()
                return event
        if self._task.cancelled() or self._has_told_end:
            return None
        # Raised once: whoever reads on finds the end.
        self._has_told_end = True
        self._task.result()
        return None

    async def result(self) -> Any:
        """What is told at the end; raises why there is none."""
        return await asyncio.shield(self._task)

    async def tell(self, events: list[Any]) -> None:
        """Hands events over. Waits for whoever does not read them."""
        async with self._changed:
            for event in events:
                await self._changed.wait_for(lambda: len(self._events) < MAX_EVENTS or not self.is_bounded)
                self._events.append(event)
            self._changed.notify_all()

    async def close(self) -> None:
        """Ends the stream where it is."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError, VoiceError):
            await self._task

    async def unbound(self) -> None:
        """Nobody needs to read any more for the stream to go on."""
        self.is_bounded = False
        await self._notify()

    # --- the task ---

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled():
            # Who does not listen does not miss it.
            task.exception()
        self._notifying = asyncio.ensure_future(self._notify())

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _converse(self) -> Any:
        retry = Retry(self._patience)
        while True:
            is_connected, self._was_ready_for = False, 0.0
            try:
                socket = await self._connect()
            except Break as error:
                why = error
            else:
                is_connected = True
                self._core.connected()
                why = await self._talk(socket)
            if self._core.output is not None:
                return self._core.output
            why, events = self._core.broken(why)
            await self.tell(events)
            if self._core.output is not None:
                return self._core.output
            # What an earlier connection brought is no progress of an attempt that never became one.
            has_advanced = is_connected and self._core.has_advanced
            # Who has nothing to say outlives any number of restarts. A server that crashes in a loop is not ready for so long.
            if has_advanced or self._was_ready_for > self._patience.longest_wait:
                retry.progressed()
            await self._pause(retry.after(why, random.random()))
            if self._core.output is not None:
                return self._core.output

    async def _pause(self, seconds: float) -> None:
        """Waits, unless the stream ends meanwhile."""
        async with self._changed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._changed.wait_for(lambda: self._core.output is not None)

    async def _connect(self) -> ClientConnection:
        silence = self._patience.silence
        try:
            return await connect(self._url, additional_headers=self._headers, open_timeout=self._patience.connect, ping_interval=silence / 3,
                                 ping_timeout=silence, compression=None, max_size=16 * 1024 * 1024, close_timeout=1, **self._trust)
        except InvalidStatus as error:
            raise _refused(error.response.status_code, error.response.headers, error.response.body) from None
        except InvalidURI as error:
            raise Break.protocol(str(error)) from None
        except ssl.SSLCertVerificationError as error:
            raise Break.untrusted(str(error)) from None
        except (OSError, TimeoutError, EOFError, InvalidHandshake, ConnectionClosed) as error:
            raise Break(f"cannot connect: {error or type(error).__name__}") from None

    async def _talk(self, socket: ClientConnection) -> Break:
        reading = asyncio.create_task(self._read(socket))
        writing = asyncio.create_task(self._write(socket))
        try:
            await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
            if self._core.output is not None:
                return Break("over")
            # Sending fails when the connection has: what the server said before is still to be read, and is worth more.
            return await reading
        finally:
            for task in (reading, writing):
                task.cancel()
            await asyncio.gather(reading, writing, return_exceptions=True)
            with contextlib.suppress(Exception):
                await socket.close()

    async def _read(self, socket: ClientConnection) -> Break:
        ready_at = time.monotonic()
        try:
            while self._core.output is None:
                message = await socket.recv()
                if self._core.keepalive() is None:
                    ready_at = time.monotonic()
                events = self._core.on_text(message) if isinstance(message, str) else self._core.on_binary(message)
                self._to_send.set()
                # Also when there are none: there may be room for more audio.
                await self.tell(events)
            return Break("over")
        except Break as why:
            return why
        except ConnectionClosed as closed:
            if self._core.keepalive() is not None:
                # This side alone closes when a ping was not answered; they are sent every third of `silence`.
                is_silent = closed.rcvd is None and closed.sent is not None
                self._was_ready_for = time.monotonic() - ready_at - (self._patience.silence * 4 / 3 if is_silent else 0)
            if closed.rcvd is None:
                return Break(f"the connection broke: {closed}")
            return Break.closed(closed.rcvd.code, closed.rcvd.reason)

    async def _write(self, socket: ClientConnection) -> None:
        while True:
            self._to_send.clear()
            if self._core.output is not None:
                return
            while (outgoing := self._core.outgoing()) is not None:
                await socket.send(outgoing)
            try:
                async with asyncio.timeout(self._core.keepalive_every):
                    await self._to_send.wait()
            except TimeoutError:
                keepalive = self._core.keepalive()
                if keepalive is not None:
                    await socket.send(keepalive)


def _refused(status: int, headers: Any, body: bytes | None) -> Break:
    """What an answer says that is no upgrade. Balancers answer in their own words."""
    error: dict[str, Any] = {}
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        error = json.loads(body or b"{}").get("error") or {}
    try:
        retry_after = max(float(headers.get("Retry-After", 0)), 0.0)
    except ValueError:
        retry_after = 0.0
    return Break.refused(status, error.get("code", f"HTTP {status}"), error.get("message", "no reason was given"), retry_after)
