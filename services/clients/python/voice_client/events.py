"""What streams tell. Names and meanings are those of the protocol; segments, chunks, times and samples count through all connections."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, Union

from .errors import Break

T = TypeVar("T")


@dataclass(frozen=True)
class Ready:
    """The stream is open. First, and once."""

    session_id: str
    instance: str
    config: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)
    protocol: int = 1


@dataclass(frozen=True)
class Resumed:
    """The connection had broken, and another instance has taken over. Partials of a segment without its ``Final`` begin anew."""

    start_sample: int
    instance: str
    session_id: str


@dataclass(frozen=True)
class SpeechStart:
    """Somebody speaks."""

    segment_id: int
    timestamp: float


@dataclass(frozen=True)
class Partial:
    """The text so far."""

    segment_id: int
    revision: int
    text: str
    stable_text: str
    timestamp: float
    confidence: float


@dataclass(frozen=True)
class SpeechEnd:
    """The speech of a segment has ended."""

    segment_id: int
    timestamp: float
    duration: float


@dataclass(frozen=True)
class Final:
    """The text of a segment, for good."""

    segment_id: int
    text: str
    start_time: float
    end_time: float
    end_sample: int
    language: str = ""
    confidence: float = 0.0
    no_speech_prob: float = 0.0
    latency_ms: int = 0
    words: list[dict[str, Any]] | None = None


@dataclass(frozen=True)
class TurnEnd:
    """The speaker has finished. If it was lost in a break, the client says it, with the reason ``close``."""

    segment_id: int
    reason: str
    probability: float | None = None


@dataclass(frozen=True)
class Finalized:
    """Answers ``finalize``."""

    id: str | None = None


@dataclass(frozen=True)
class Error:
    """Something went wrong, and the stream goes on. With a ``segment_id`` it stands in place of that segment's ``Final``."""

    code: str
    message: str
    segment_id: int | None = None


@dataclass(frozen=True)
class Closed:
    """The accounts of one connection, which begin where it began."""

    received_samples: int
    transcribed_samples: int
    silence_samples: int
    discarded_samples: int
    segments: int


@dataclass(frozen=True)
class Receipt:
    """What became of a whole stream. Last, and only after ``finish``."""

    samples: int
    """All samples that were sent. Each was delivered to a server that answered for it."""
    segments: int
    connections: int
    """How many connections it took; 1 if nothing broke."""
    last: Closed


Event = Union[Ready, Resumed, SpeechStart, Partial, SpeechEnd, Final, TurnEnd, Finalized, Error, Receipt]


@dataclass(frozen=True)
class Started:
    """The speech begins."""

    voice_id: str
    encoding: str
    sample_rate: int
    seed: int
    text_length: int = 0
    estimated_duration_ms: int = 0


@dataclass(frozen=True)
class SpeechResumed:
    """The connection had broken, and another instance goes on. What is before ``start_sample`` has come."""

    start_sample: int
    instance: str


@dataclass(frozen=True)
class Chunk:
    """Audio. Each begins where the one before it ended, the first at 0."""

    chunk_id: int
    start_sample: int
    samples: int
    sample_rate: int
    text_start: int
    text_end: int
    estimated_words: list[dict[str, Any]]
    audio: bytes


@dataclass(frozen=True)
class Complete:
    """All of the speech has come. Last."""

    total_samples: int
    connections: int


@dataclass(frozen=True)
class Cancelled:
    """The speech was stopped. Last."""

    end_sample: int
    connections: int


SpeechEvent = Union[Started, SpeechResumed, Chunk, Complete, Cancelled]


def make(kind: type[T], message: dict[str, Any]) -> T:
    """An event from a message. Fields that are not known are newer than this client."""
    known = {it.name for it in fields(kind)}  # type: ignore[arg-type]
    return kind(**{key: value for key, value in message.items() if key in known})


def read(text: str) -> dict[str, Any]:
    """A message from a text frame."""
    try:
        message = json.loads(text)
    except ValueError as error:
        raise Break.protocol(f"{error}: {text:.200}") from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise Break.protocol(f"a message has no `type`: {text:.200}")
    return message
