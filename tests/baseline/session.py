"""One user's connection: audio in, messages out. Nothing here is shared with another user."""

from __future__ import annotations

import asyncio
import math
import string
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from transcriber import Transcriber
from turns import RATE, WINDOW, SpeechDetector, TurnModels

PRE_ROLL = RATE // 2
# A draft is made when this much speech has come since the last one, as in whisper-streaming.
MIN_CHUNK = RATE
# Longer buffers are cut at the last finished segment, as in whisper-streaming.
TRIM = 15 * RATE

DEFAULTS: dict[str, Any] = {
    "encoding": "pcm_s16le",
    "sample_rate": RATE,
    "partials": True,
    "enable_timestamps": False,
    "final_on": "turn_end",
    "vad_threshold": 0.5,
    "stop_secs": 0.2,
    "max_stop_secs": 3.0,
    "turn_threshold": 0.5,
}

Send = Callable[[dict[str, Any]], Awaitable[None]]


def plain(word: str) -> str:
    return word.strip().strip(string.punctuation).lower()


class Segment:
    """Open speech: from its first sample to now."""

    def __init__(self, number: int, start: int) -> None:
        self.number = number
        self.start = start
        self.spoken_until = start
        self.committed: list[str] = []  # words two drafts in a row agreed on
        self.previous: list[str] = []  # what the last draft said after them
        self.trimmed: list[str] = []  # words of audio no longer in the buffer
        self.trimmed_until = start
        self.drafted_until = start
        self.revision = 0
        self.draft: asyncio.Task[None] | None = None

    def agree(self, words: list[str]) -> None:
        """LocalAgreement-2: what this draft and the last one share becomes fixed."""
        rest = words[len(self.committed) :]
        for new, old in zip(rest, self.previous):
            if plain(new) != plain(old):
                break
            self.committed.append(new)
        self.previous = words[len(self.committed) :]


class Session:
    def __init__(
        self,
        models: TurnModels,
        transcriber: Transcriber,
        vad_pool: ThreadPoolExecutor,
        send: Send,
        config: dict[str, Any],
    ) -> None:
        self._models, self._transcriber, self._pool, self._send = models, transcriber, vad_pool, send
        self.config = config
        self._detector = SpeechDetector(models, config["vad_threshold"], config["stop_secs"])
        self._odd = b""
        self._audio = np.zeros(0, dtype=np.float32)
        self._audio_start = 0  # stream position of _audio[0]
        self._seen = 0  # everything before this went through the detector
        self._received = 0
        self._segment: Segment | None = None
        self._n_segments = 0
        self._transcribed = 0
        self._counted_until = 0
        self._finals: asyncio.Task[None] | None = None

    async def feed(self, data: bytes) -> None:
        data = self._odd + data
        even = len(data) & ~1
        self._odd = data[even:]
        samples = np.frombuffer(data[:even], dtype="<i2").astype(np.float32) / 32768.0
        self._received += len(samples)
        self._audio = np.concatenate((self._audio, samples))
        n_windows = (self._received - self._seen) // WINDOW
        if n_windows:
            await self._listen(n_windows)

    async def _listen(self, n_windows: int) -> None:
        first = self._seen - self._audio_start
        windows = self._audio[first : first + n_windows * WINDOW].reshape(n_windows, WINDOW)
        loop = asyncio.get_running_loop()
        heard = await loop.run_in_executor(self._pool, self._detector.hear, windows)
        for change, speaking, silence in heard:
            self._seen += WINDOW
            if change == "start":
                await self._speech_started()
            elif change == "stop":
                await self._speech_stopped(silence)
            elif self._segment is not None:
                await self._speech_goes_on(self._segment, speaking, silence)
        if self._segment is None:
            self._forget(self._seen - PRE_ROLL)

    async def _speech_started(self) -> None:
        if self._segment is None:
            start = max(self._seen - 3 * WINDOW - PRE_ROLL, self._counted_until, 0)
            self._segment = Segment(self._n_segments, start)
            self._n_segments += 1
            await self._send(
                {
                    "type": "speech_start",
                    "segment_id": self._segment.number,
                    "timestamp": (self._seen - 3 * WINDOW) / RATE,
                }
            )

    async def _speech_stopped(self, silence: int) -> None:
        segment = self._segment
        if segment is None:
            return
        segment.spoken_until = self._seen - silence
        if self.config["final_on"] == "vad_stop":
            await self._end(segment, None, "silence")
            return
        turn = self._cut(segment.start, self._seen)
        loop = asyncio.get_running_loop()
        probability = await loop.run_in_executor(self._pool, self._models.complete, turn)
        if probability > self.config["turn_threshold"]:
            await self._end(segment, probability, "smart_turn")

    async def _speech_goes_on(self, segment: Segment, speaking: bool, silence: int) -> None:
        if not speaking:
            if silence >= self.config["max_stop_secs"] * RATE:
                await self._end(segment, 0.0, "silence")
            return
        segment.spoken_until = self._seen
        fresh = segment.spoken_until - segment.drafted_until
        idle = segment.draft is None or segment.draft.done()
        if self.config["partials"] and idle and fresh >= MIN_CHUNK:
            segment.drafted_until = segment.spoken_until
            segment.draft = asyncio.create_task(self._draft(segment))

    async def _draft(self, segment: Segment) -> None:
        heard_until = self._seen
        from_sample = segment.trimmed_until
        segments, _ = await self._transcriber.partial(self._cut(from_sample, heard_until))
        words = [word for piece in segments for word in piece.text.split()]
        segment.agree(words)
        segment.revision += 1
        stable = segment.trimmed + segment.committed
        await self._send(
            {
                "type": "partial",
                "segment_id": segment.number,
                "revision": segment.revision,
                "text": " ".join(stable + segment.previous),
                "stable_text": " ".join(stable),
                "timestamp": heard_until / RATE,
            }
        )
        if heard_until - from_sample > TRIM and len(segments) > 1:
            self._trim(segment, segments[:-1])

    def _trim(self, segment: Segment, finished: list[Any]) -> None:
        words = [word for piece in finished for word in piece.text.split()]
        if len(words) <= len(segment.committed):
            segment.trimmed += segment.committed[: len(words)]
            segment.committed = segment.committed[len(words) :]
            segment.trimmed_until += int(finished[-1].end * RATE)

    async def _end(self, segment: Segment, probability: float | None, reason: str) -> None:
        """Speech is over: the final is made in the background, so that listening goes on."""
        decided = time.monotonic()
        self._segment = None
        if segment.draft is not None:
            segment.draft.cancel()
        end = self._seen
        audio = self._cut(segment.trimmed_until, end)
        self._transcribed += end - segment.start
        self._counted_until = end
        await self._send(
            {
                "type": "speech_end",
                "segment_id": segment.number,
                "timestamp": segment.spoken_until / RATE,
                "duration": (segment.spoken_until - segment.start) / RATE,
            }
        )
        answer = self._transcriber.final(audio, self.config["enable_timestamps"])
        before = self._finals
        self._finals = asyncio.create_task(
            self._finish(segment, answer, decided, probability, reason, before)
        )

    async def _finish(
        self,
        segment: Segment,
        answer: asyncio.Future,
        decided: float,
        probability: float | None,
        reason: str,
        before: asyncio.Task[None] | None,
    ) -> None:
        if before is not None:
            await before
        try:
            pieces, info = await answer
        except Exception as error:  # noqa: BLE001 - the client is told
            await self._send(
                {
                    "type": "error",
                    "code": "TRANSCRIPTION_FAILED",
                    "message": str(error),
                    "recoverable": True,
                    "segment_id": segment.number,
                }
            )
            return
        text = " ".join(segment.trimmed) + "".join(piece.text for piece in pieces)
        log_probability = sum(piece.avg_logprob for piece in pieces) / max(1, len(pieces))
        message: dict[str, Any] = {
            "type": "final",
            "segment_id": segment.number,
            "text": text.strip(),
            "start_time": segment.start / RATE,
            "end_time": segment.spoken_until / RATE,
            "end_sample": segment.spoken_until,
            "language": info.language,
            "confidence": math.exp(log_probability),
            "no_speech_prob": max((piece.no_speech_prob for piece in pieces), default=1.0),
            "latency_ms": round((time.monotonic() - decided) * 1000),
        }
        if self.config["enable_timestamps"]:
            message["words"] = [
                {
                    "word": word.word.strip(),
                    "start": word.start + segment.trimmed_until / RATE,
                    "end": word.end + segment.trimmed_until / RATE,
                    "confidence": word.probability,
                }
                for piece in pieces
                for word in piece.words or []
            ]
        await self._send(message)
        if self.config["final_on"] == "turn_end":
            await self._send(
                {
                    "type": "turn_end",
                    "segment_id": segment.number,
                    "probability": probability,
                    "reason": reason,
                }
            )

    async def finalize(self, reason: str) -> None:
        if self._segment is not None:
            await self._end(self._segment, None, reason)
            self._detector.reset()
        if self._finals is not None:
            await self._finals

    async def close(self) -> dict[str, Any]:
        await self.finalize("close")
        return {
            "type": "closed",
            "received_samples": self._received,
            "transcribed_samples": self._transcribed,
            "silence_samples": self._received - self._transcribed,
            "discarded_samples": 0,
            "segments": self._n_segments,
        }

    def abandon(self) -> None:
        """The user has gone: nothing of theirs should be computed any more."""
        if self._finals is not None:
            self._finals.cancel()
        if self._segment is not None and self._segment.draft is not None:
            self._segment.draft.cancel()

    def _cut(self, start: int, end: int) -> np.ndarray:
        return self._audio[start - self._audio_start : end - self._audio_start]

    def _forget(self, before: int) -> None:
        drop = before - self._audio_start
        # In steps of a second, or every frame would copy the buffer once more.
        if drop >= RATE:
            self._audio = self._audio[drop:]
            self._audio_start = before
