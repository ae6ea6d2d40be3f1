"""One faster-whisper model for all users, behind one queue with one worker."""

from __future__ import annotations

import asyncio
import io
import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Callable

import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.audio import decode_audio

FINAL, PARTIAL, FILE = 0, 1, 2


@dataclass(order=True)
class Job:
    rank: int
    number: int
    run: Callable[[], Any] = field(compare=False)
    answer: asyncio.Future = field(compare=False)


class Transcriber:
    """The queue is first in, first out; with `finals_first` a final overtakes waiting partials and files."""

    def __init__(self, model: str, threads: int, compute_type: str, finals_first: bool) -> None:
        self.model = WhisperModel(
            model, device="cpu", compute_type=compute_type, cpu_threads=threads, num_workers=1
        )
        self._finals_first = finals_first
        self._jobs: asyncio.PriorityQueue[Job] = asyncio.PriorityQueue()
        self._numbers = itertools.count()
        # One thread: CTranslate2 spreads a call over `threads` cores by itself, so a second call at
        # the same time would only make both slower.
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="whisper")

    async def work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            job = await self._jobs.get()
            if job.answer.cancelled():
                continue
            try:
                result = await loop.run_in_executor(self._pool, job.run)
                if not job.answer.cancelled():
                    job.answer.set_result(result)
            except Exception as error:  # noqa: BLE001 - told to whoever asked
                if not job.answer.cancelled():
                    job.answer.set_exception(error)

    def submit(self, rank: int, run: Callable[[], Any]) -> asyncio.Future:
        answer = asyncio.get_running_loop().create_future()
        self._jobs.put_nowait(Job(rank if self._finals_first else 0, next(self._numbers), run, answer))
        return answer

    def final(self, audio: np.ndarray, words: bool) -> asyncio.Future:
        """Full quality: faster-whisper's defaults, which are beam 5 with temperature fallback."""

        def run() -> tuple[list[Any], Any]:
            segments, info = self.model.transcribe(audio, word_timestamps=words)
            return list(segments), info

        return self.submit(FINAL, run)

    def partial(self, audio: np.ndarray) -> asyncio.Future:
        """A cheap draft: greedy and without fallback, which costs a fraction of the final's beam."""

        def run() -> tuple[list[Any], Any]:
            segments, info = self.model.transcribe(
                audio, beam_size=1, best_of=1, temperature=0.0, condition_on_previous_text=False
            )
            return list(segments), info

        return self.submit(PARTIAL, run)

    def file(self, upload: bytes, options: dict[str, Any]) -> asyncio.Future:
        def run() -> tuple[list[Any], Any]:
            segments, info = self.model.transcribe(decode_audio(io.BytesIO(upload)), **options)
            return list(segments), info

        return self.submit(FILE, run)
