"""Servers that keep the protocol, know what they will hear and say, and break connections as a test wants it."""

import asyncio
import contextlib
import http
import json
import struct

from websockets.asyncio.server import serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Response

# Samples of a word that the recogniser hears, and of a chunk that the synthesiser sends.
WORD = 100
CHUNK = 50


class Fake:
    """A server on a port of its own. `fates` says after how many of its messages each connection breaks; 0 is a refusal. Then they live.
    `restarts` says how many seconds after it was ready each is closed for a restart."""

    def __init__(self, fates=(), retry_after=None, n_samples=0, restarts=()):
        self.fates = list(fates)
        self.restarts = list(restarts)
        self.retry_after = retry_after
        self.n_samples = n_samples
        self.n_connections = 0
        self.asked = []  # what came as text, connection by connection
        self.headers = []

    async def __aenter__(self):
        self._server = await serve(self._handle, "127.0.0.1", 0, process_request=self._admit, ping_interval=None, close_timeout=0.1)
        port = self._server.sockets[0].getsockname()[1]
        self.asr, self.tts = f"ws://127.0.0.1:{port}/v1/stream/asr", f"ws://127.0.0.1:{port}/v1/stream/tts"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        await self._server.wait_closed()

    def _admit(self, connection, request):
        self.n_connections += 1
        self.headers.append(request.headers)
        connection.fate = self.fates.pop(0) if self.fates else None
        if connection.fate == 0:
            body = json.dumps({"error": {"code": "AT_CAPACITY", "message": "full"}}).encode()
            headers = Headers({"Content-Length": str(len(body))})
            if self.retry_after is not None:
                headers["Retry-After"] = str(self.retry_after)
            return Response(http.HTTPStatus.SERVICE_UNAVAILABLE, "full", headers, body)
        return None

    async def _handle(self, connection):
        self.asked.append([])
        with contextlib.suppress(ConnectionClosed, ConnectionResetError):
            await (self._hear if connection.request.path.endswith("asr") else self._speak)(connection)

    async def _say(self, connection, message, audio=None):
        await connection.send(json.dumps(message))
        if audio is not None:
            await connection.send(audio)
        if connection.fate is not None:
            connection.fate -= 1
            if connection.fate <= 0:
                connection.transport.abort()
                raise ConnectionResetError

    async def _restart(self, connection):
        if self.restarts:
            await asyncio.sleep(self.restarts.pop(0))
            await connection.close(1012)

    # --- hears the value of every hundredth sample as a word ---

    async def _hear(self, connection):
        ready = {"type": "ready", "session_id": "s", "instance": "fake", "protocol": 1, "limits": {"idle_timeout_s": 300},
                 "config": {"final_on": "turn_end", "vad": {"pre_roll_secs": 0.0}}}
        await self._say(connection, ready)
        start, audio, n_words = 0, b"", 0
        async for message in connection:
            if isinstance(message, bytes):
                audio += message
                while len(audio) >= 2 * WORD * (n_words + 1):
                    n_words += 1
                    begin = start + WORD * (n_words - 1)
                    number, = struct.unpack_from("<h", audio, 2 * WORD * (n_words - 1))
                    of = {"segment_id": n_words}
                    await self._say(connection, {"type": "speech_start", "timestamp": begin / 16000, **of})
                    await self._say(connection, {"type": "final", "text": str(number), "start_time": 0.0, "end_time": 1.0,
                                                 "end_sample": begin + WORD, **of})
                    await self._say(connection, {"type": "turn_end", "probability": 0.9, "reason": "smart_turn", **of})
                received = start + len(audio) // 2
                await self._say(connection, {"type": "progress", "received_sample": received, "safe_sample": start + n_words * WORD,
                                             "queued_ms": 0})
                continue
            asked = json.loads(message)
            self.asked[-1].append(asked)
            if asked["type"] == "config":
                if asked.get("language") == "xx":
                    await self._say(connection, {"type": "error", "code": "UNKNOWN_LANGUAGE", "message": "no", "recoverable": True})
                start = asked["start_sample"]
                await self._say(connection, ready)
                await self._restart(connection)
            elif asked["type"] == "finalize":
                await self._say(connection, {"type": "finalized", "id": asked.get("id")})
            elif asked["type"] == "close":
                n = len(audio) // 2
                await self._say(connection, {"type": "closed", "received_samples": n, "transcribed_samples": n, "silence_samples": 0,
                                             "discarded_samples": 0, "segments": n_words})
                return

    # --- says samples that tell their own position ---

    async def _speak(self, connection):
        await self._say(connection, {"type": "ready", "session_id": "s", "instance": "fake", "protocol": 1, "limits": {},
                                     "config": {"voice_id": "default", "temperature": 0.5}})
        await self._restart(connection)
        skip, seed = 0, 7
        async for message in connection:
            asked = json.loads(message)
            self.asked[-1].append(asked)
            of = {"request_id": asked.get("request_id")}
            if asked.get("voice_id") == "nobody":
                await self._say(connection, {"type": "error", "code": "UNKNOWN_VOICE", "message": "no", "recoverable": True, **of})
                continue
            skip, seed = asked.get("skip_samples", skip), asked.get("seed", seed)
            if asked["type"] in ("synthesize", "end"):
                await self._say(connection, {"type": "synthesis_started", "voice_id": "default", "encoding": "pcm_s16le",
                                             "sample_rate": 24000, "seed": seed, **of})
                for begin in range(skip, self.n_samples, CHUNK):
                    n = min(CHUNK, self.n_samples - begin)
                    audio = struct.pack(f"<{n}h", *range(begin, begin + n))
                    await self._say(connection, {"type": "audio_chunk", "chunk_id": 1, "start_sample": begin, "samples": n, "duration_ms": 1,
                                                 "sample_rate": 24000, "text_start": 0, "text_end": 4, **of}, audio)
                await self._say(connection, {"type": "synthesis_complete", "total_samples": self.n_samples, **of})
            elif asked["type"] == "cancel":
                await self._say(connection, {"type": "cancelled", "chunks_sent": 0, "end_sample": skip, **of})
