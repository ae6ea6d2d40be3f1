"""Why a stream is over though it was not finished, and how connections end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


class VoiceError(Exception):
    """A stream is over though it was not finished."""


class Impossible(VoiceError):
    """What was asked for is impossible; nothing was sent."""


class Refused(VoiceError):
    """The server said no, and would say so again."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"refused: {code}: {message}")
        self.code = code
        self.message = message


class GaveUp(VoiceError):
    """No connection did any better than the one before it, so many times in a row."""

    def __init__(self, attempts: int, last: str) -> None:
        super().__init__(f"gave up after {attempts} attempts without progress; the last one: {last}")
        self.attempts = attempts
        self.last = last


class ProtocolError(VoiceError):
    """The server said something that the protocol does not allow."""


class Over(VoiceError):
    """The stream is over; its events, or the result of ``finish``, tell how it ended."""


# What another instance, or the same one later, may answer differently. A list of what passes, so that a code that is new does not make
# clients call again and again.
PASSING: Final = frozenset({
    "DRAINING", "AT_CAPACITY", "OVERLOADED", "NOT_READY", "SLOW_CONSUMER", "IDLE_TIMEOUT", "INTERNAL", "STORAGE_FAILED", "TIMEOUT",
})
_LAST_CLOSES: Final = frozenset({1002, 1003, 1007, 1008, 1009, 1010})


@dataclass(eq=False)
class Break(Exception):
    """How a connection ended, or why there is none. Inside the client only."""

    what: str
    final: VoiceError | None = None
    retry_after: float = 0.0

    def __str__(self) -> str:
        return self.what

    @staticmethod
    def refused(status: int, code: str, message: str, retry_after: float = 0.0) -> Break:
        """The upgrade was answered with something else."""
        passes = status >= 500 or status in (408, 425, 429)
        return Break(f"answered {status} {code}: {message}", None if passes else Refused(code, message), retry_after)

    @staticmethod
    def said(code: str, message: str) -> Break:
        """The server said why it would close, or could not do what was asked."""
        return Break(f"{code}: {message}", None if code in PASSING else Refused(code, message))

    @staticmethod
    def closed(code: int, reason: str) -> Break:
        """The server closed and gave a code."""
        return Break(f"closed with {code} {reason}", Refused(f"CLOSED_{code}", reason) if code in _LAST_CLOSES else None)

    @staticmethod
    def untrusted(what: str) -> Break:
        """Somebody else seems to answer, or nobody vouches for who does. No other attempt would change that."""
        return Break(what, Impossible(f"cannot connect: {what}"))

    @staticmethod
    def protocol(what: str) -> Break:
        """The server said what it may not."""
        return Break(what, ProtocolError(f"the server broke the protocol: {what}"))
