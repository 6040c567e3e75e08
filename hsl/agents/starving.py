"""The lines of a request agent that wait for an MSHR, a TXN or a way, by resource (HSL 5.2 D1)."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Container
from typing import Final

__all__ = ["LEASE", "MSHR", "Lack", "Starving"]

Lack = tuple[str, int]
# Others: ("txn", home), ("way", set), (LEASE, home), and ("ack", line), its own last request.
MSHR: Final[Lack] = ("mshr", 0)
LEASE: Final = "lease"


class Starving:
    """Lines by address, each with its age. Those that lack the same get it in the order of their ages.

    So who looks for one that can go on looks at the oldest of each kind, and not at all that wait.
    """

    def __init__(self) -> None:
        self._places: dict[int, tuple[int, Lack]] = {}  # age and lack; one for each pending access
        self._queues: dict[Lack, list[tuple[int, int]]] = {}  # (age, address), oldest first
        self._age = 0

    def __bool__(self) -> bool:
        return bool(self._places)

    def put(self, addr: int, lack: Lack) -> None:
        """A line lacks something; one that is here already keeps its age."""
        if (place := self._places.get(addr)) is None:
            self._age += 1
            age = self._age
        elif place[1] == lack:
            return
        else:
            age = place[0]
            self.drop(addr)
        self._places[addr] = age, lack
        insort(self._queues.setdefault(lack, []), (age, addr))

    def drop(self, addr: int) -> None:
        """A line lacks nothing any more."""
        age, lack = self._places.pop(addr)
        queue = self._queues[lack]
        del queue[bisect_left(queue, (age, addr))]
        if not queue:
            del self._queues[lack]

    def lack(self, addr: int) -> Lack:
        """Return what a starving line lacks."""
        return self._places[addr][1]

    def oldest(self, but: Container[Lack], kind: str = "") -> int | None:
        """The oldest line that lacks something else than `but`; `kind`: the first word of what it lacks."""
        queues = self._queues.items()
        heads = [queue[0] for lack, queue in queues if lack not in but and kind in ("", lack[0])]
        return min(heads)[1] if heads else None
