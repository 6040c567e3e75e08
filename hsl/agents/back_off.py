"""Lines whose oldest access ended BUSY, and the instants at which it is presented again (HSL 5.4 T4)."""

from __future__ import annotations

from collections import deque
from collections.abc import Container

from hsl._generated.constants import N_BUSY, TIMERS
from hsl.agents.access import Ticket
from hsl.agents.cache import Cache

__all__ = ["BackOff"]


class BackOff:
    """Lines by address, each with the end of its pause in ns; at most one for each pending access."""

    def __init__(self) -> None:
        self.tu = 0  # ns
        self._ends: dict[int, int] = {}

    def __contains__(self, addr: object) -> bool:
        return addr in self._ends

    def __bool__(self) -> bool:
        return bool(self._ends)

    def put(self, addr: int, refusals: int, now: int) -> None:
        """Let a line wait; `refusals`: times that its access ended BUSY before. HSL 5.4 T4 [HSL-COH-060]."""
        self._ends[addr] = now + (TIMERS["T_BUSY"].tu << min(refusals, N_BUSY)) * self.tu

    def withdraw(self, cache: Cache, tickets: Container[Ticket]) -> list[Ticket]:
        """Take some accesses out of the lines that wait; return them, each line in order. [HSL-COH-062]."""
        taken: list[Ticket] = []
        for addr in list(self._ends):
            line = cache.line(addr)
            gone = [ticket for ticket in line.waiting if ticket in tickets]
            if gone:
                taken += gone
                line.waiting = deque(ticket for ticket in line.waiting if ticket not in tickets)
            if not line.waiting:
                del self._ends[addr]
                if line.state == "I" and line.request is None:
                    cache.forget(line)
        return taken

    def drop(self, addr: int) -> None:
        """End the pause of a line, if it has one: its home is lost. HSL 6.2 F6."""
        self._ends.pop(addr, None)

    def due(self, now: int) -> list[int]:
        """Take out the lines whose pause is over, first those that ended first."""
        ended = sorted((end, addr) for addr, end in self._ends.items() if end <= now)
        for _, addr in ended:
            del self._ends[addr]
        return [addr for _, addr in ended]

    def next_deadline(self) -> int | None:
        """The next instant (ns) at which a pause ends."""
        return min(self._ends.values(), default=None)
