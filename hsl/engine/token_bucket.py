"""The token bucket of a port: how fast credits of requests go back to a peer that floods (HSL 6.3)."""

from __future__ import annotations

from collections import deque
from typing import Final

from hsl._generated.constants import Vc

__all__ = ["LIMITED", "TokenBucket"]

LIMITED: Final = frozenset({Vc.REQ, Vc.RWD, Vc.NCR})
RATE_TU: Final = 1024  # the register counts messages per 1024 TU (5.14)


class TokenBucket:
    """A token is a credit that may go back at once. `messages` per 1024 TU fill it up to `bucket`; 0 = off.

    The credits that wait are bounded by what the port advertises. All times in ns; the fill is counted in
    1/(1024 TU) of a token, so nothing is rounded.
    """

    def __init__(self) -> None:
        self.tu = 1
        self.delayed: deque[int] = deque()  # VCs, oldest first
        self._messages = self._bucket = 0
        self._filled = 0  # in parts of a token
        self._at = 0

    @property
    def on(self) -> bool:
        """True if there is a limit."""
        return self._messages > 0

    def set(self, messages: int, bucket: int, now: int) -> None:
        """The registers: a new bucket is full, and holds one token at least."""
        self._messages, self._bucket, self._at = messages, max(1, bucket), now
        self._filled = self._bucket * self._part

    @property
    def _part(self) -> int:
        return RATE_TU * self.tu

    def _fill(self, now: int) -> None:
        most = self._bucket * self._part
        self._filled = min(most, self._filled + (now - self._at) * self._messages)
        self._at = now

    def take(self, vc: int, now: int) -> bool:
        """True if a credit of `vc` may go back now; else it is delayed."""
        if not self._messages or vc not in LIMITED:
            return True
        self._fill(now)
        if not self.delayed and self._filled >= self._part:
            self._filled -= self._part
            return True
        self.delayed.append(vc)
        return False

    def due(self, now: int) -> list[int]:
        """The delayed credits that may go back by now."""
        ready: list[int] = []
        if self.delayed:
            self._fill(now)
        while self.delayed and (not self.on or self._filled >= self._part):
            self._filled -= self._part if self.on else 0
            ready.append(self.delayed.popleft())
        return ready

    def next_deadline(self) -> int | None:
        """The time at which the next delayed credit may be returned, in ns."""
        if not self.delayed:
            return None
        missing = max(0, self._part - self._filled) if self.on else 0
        return self._at + (-(-missing // self._messages) if self.on else 0)

    def clear(self) -> None:
        """The port is down: credits begin anew."""
        self.delayed.clear()
