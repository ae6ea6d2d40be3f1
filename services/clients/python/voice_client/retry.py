"""How often and how soon to connect again. Pure: what is random is given."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import Break, GaveUp


@dataclass(frozen=True)
class Patience:
    """How long a stream bears a server that does not answer. Times are in seconds."""

    attempts: int = 12
    """Attempts in a row without progress before the stream fails. Progress is what was delivered, or to be ready for longer than
    ``longest_wait``."""
    first_wait: float = 0.1
    """The wait before the second attempt is a random part of this, before the third of twice this, and so on."""
    longest_wait: float = 5.0
    """No random wait is longer. A ``Retry-After`` of the server comes on top."""
    longest_retry_after: float = 60.0
    """A ``Retry-After`` counts as at most this."""
    connect: float = 10.0
    """A connection that is not made within this time has failed."""
    silence: float = 30.0
    """A connection on which a ping is not answered for this long is broken."""


class Retry:
    """The attempts since the last progress."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._n_failed = 0

    def progressed(self) -> None:
        """Something was delivered, or could have been for long: whatever happens next is a new trouble."""
        self._n_failed = 0

    def after(self, why: Break, random: float) -> float:
        """How long to wait before the next attempt; raises if there is none. ``random`` is in [0, 1)."""
        if why.final is not None:
            raise why.final
        self._n_failed += 1
        if self._n_failed >= self._patience.attempts:
            raise GaveUp(self._n_failed, str(why))
        window = min(self._patience.first_wait * 2 ** min(self._n_failed - 1, 30), self._patience.longest_wait)
        return min(why.retry_after, self._patience.longest_retry_after) + window * random
