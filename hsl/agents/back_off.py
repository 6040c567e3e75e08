"""Lines whose oldest access waits for the end of T_BUSY, since its home was busy (HSL 5.4 T4, 5.11)."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush

from hsl._generated.constants import N_BUSY
from hsl.agents.access import Ticket
from hsl.agents.cache import Line

__all__ = ["BackOff"]


class BackOff:
    """The lines in back-off, in the order of its end; at most the pending accesses. `t_busy` in ns."""

    def __init__(self) -> None:
        self.t_busy = 0
        self._ends: list[tuple[int, int]] = []  # a heap: end and address

    def begin(self, line: Line, ticket: Ticket, now: int) -> None:
        """Start T_BUSY for the oldest access of a line; it doubles with each BUSY of the access."""
        heappush(self._ends, (now + (self.t_busy << min(ticket.refusals, N_BUSY)), line.addr))
        ticket.refusals += 1
        line.backing_off = True

    def earliest(self, other: int | None) -> int | None:
        """Return the first end, or `other` if that is earlier."""
        if not self._ends:
            return other
        return self._ends[0][0] if other is None else min(other, self._ends[0][0])

    def ended(self, now: int) -> Iterator[int]:
        """Take the lines whose T_BUSY is over, by address."""
        while self._ends and self._ends[0][0] <= now:
            yield heappop(self._ends)[1]
