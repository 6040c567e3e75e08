"""A set-associative write-back cache: which lines are here, in what state, which one has to go (HSL 5.5)."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Container
from typing import TYPE_CHECKING

from hsl._generated.constants import LINE_BYTES
from hsl.agents.access import Ticket
from hsl.errors import ConfigError

if TYPE_CHECKING:
    from hsl.agents.outstanding import Request

STABLE = frozenset({"I", "S", "E", "M"})  # a waiting access is presented when a line enters one of these
# A line in one of these has a copy in its way, or a way kept for the copy that is coming (D1). The data of
# MI_A stay in the line until Cmp; its way is already free.
OCCUPYING = frozenset({"S", "E", "M", "IS_D", "IM_D", "IM_A", "SM_A"})
EVICTABLE = frozenset({"S", "E", "M"})
READABLE = frozenset({"S", "E", "M", "SM_A", "MI_A"})

MAX_SETS = 1 << 20  # 64 MiB per way: more than any emulated cache, and the tables of sets stay small
MAX_WAYS = 1 << 10  # finding a victim walks the ways


class Line:
    """A line that is cached, or on its way in or out, or that an access waits for.

    `addr` is a multiple of 64; `data` are its 64 bytes while the state is READABLE; `way`: it holds a way of
    its set; `home`: the NID that it came from, whatever becomes of the address map while it is here;
    `request`: its outstanding request, until the CmpAck has left (D4); `waiting`: accesses in program order
    (5.9 F2).
    """

    __slots__ = ("addr", "data", "home", "poison", "request", "state", "waiting", "way")

    def __init__(self, addr: int) -> None:
        self.addr = addr
        self.home: int | None = None
        self.state = "I"
        self.data = bytearray()
        self.poison = False
        self.way = False
        self.request: Request | None = None
        self.waiting: deque[Ticket] = deque()  # capped by the agent's pending accesses


class Cache:
    """Lines by address, and the ways of each set, least recently used first."""

    def __init__(self, sets: int, ways: int) -> None:
        for name, value, most in (("sets", sets, MAX_SETS), ("ways", ways, MAX_WAYS)):
            if not 1 <= value <= most:
                raise ConfigError(f"cache: {value} {name}; expected 1..{most}")
        self.sets = sets
        self.ways = ways
        self.lines: dict[int, Line] = {}  # at most sets x ways + outstanding requests + pending accesses
        self._sets: list[OrderedDict[int, Line]] = [OrderedDict() for _ in range(sets)]

    def index(self, addr: int) -> int:
        """Return the number of the set of an address."""
        return addr // LINE_BYTES % self.sets

    def _set(self, addr: int) -> OrderedDict[int, Line]:
        return self._sets[self.index(addr)]

    def line(self, addr: int) -> Line:
        """Return the line that begins at `addr`; a new one is in I."""
        found = self.lines.get(addr)
        if found is None:
            found = self.lines[addr] = Line(addr)
        return found

    def touch(self, line: Line) -> None:
        """Make a line that holds a way the most recently used."""
        self._set(line.addr).move_to_end(line.addr)

    def has_room(self, addr: int) -> bool:
        """A way of the set of `addr` is free."""
        return len(self._set(addr)) < self.ways

    def take_way(self, line: Line) -> None:
        """Give a free way of its set to a line."""
        ways = self._set(line.addr)
        assert len(ways) < self.ways
        ways[line.addr] = line
        line.way = True

    def free_way(self, line: Line) -> None:
        """Take the way back from a line."""
        del self._set(line.addr)[line.addr]
        line.way = False

    def victim(
        self, addr: int, paused: Container[int] = (), able: Callable[[Line], bool] = lambda line: True
    ) -> Line | None:
        """Return the least recently used line of the set of `addr` that is stable, not in use and `able`.

        The accesses of a `paused` line wait for a pause to end, and hold no way meanwhile. HSL 5.4 T4.
        """
        for line in self._set(addr).values():
            used = line.request is not None or (line.waiting and line.addr not in paused)
            if line.state in EVICTABLE and not used and able(line):
                return line
        return None

    def copies(self, first: int, last: int) -> list[Line]:
        """Return the lines of a byte range of which it has the bytes. HSL 5.1.4."""
        lines = self.lines.values()
        return [line for line in lines if first <= line.addr <= last and line.state in READABLE]

    def forget(self, line: Line) -> None:
        """Drop a line in I that no access waits for."""
        if line.way:
            self.free_way(line)
        self.lines.pop(line.addr, None)
