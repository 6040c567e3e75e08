"""The entries of a directory: which lines have one, and which request gets the next (HSL 5.2 D10)."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["DIRECTORY_LINES", "Entries"]

DIRECTORY_LINES = 1 << 16  # 4 MiB of cached lines, more than all caches of an emulated system hold


class Entries:
    """Lines that have an entry, oldest first, and lines that wait for one, in order of arrival.

    A waiting line has a victim as soon as there is one. The entry of the victim belongs to it from then on.
    A line that isolates is laid aside until `restore`: it costs one look, not one a search.
    All containers are bounded by the entries and by the requests that wait at the home.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lines: set[int] = set()
        self._order: dict[int, None] = {}  # those that have no heir and are not laid aside, oldest first
        self._aside: dict[int, None] = {}  # those that isolate
        self._wishes: dict[int, int] = {}  # lines without a victim, first come first, and for which requester
        self._victims: dict[int, int] = {}  # of a line that waits
        self._heirs: dict[int, int] = {}  # of a victim: the line that gets its entry
        self._owed: set[int] = set()  # lines that got an entry for a request that has not begun

    def __len__(self) -> int:
        return len(self._lines)

    def ask(self, line: int, src: int) -> bool:
        """Return True if a line has an entry or gets a free one; else it waits for `src`.

        HSL 5.2 D10 [HSL-TXN-010].
        """
        if line in self._lines:
            return True
        if line in self._victims or line in self._wishes:
            return False
        if len(self._lines) < self._limit and not self._wishes:
            self._add(line)
            return True
        self._wishes[line] = src
        return False

    def begin(self, line: int) -> None:
        """The request that the entry of a line is for has begun."""
        self._owed.discard(line)

    def _add(self, line: int) -> None:
        self._lines.add(line)
        self._order[line] = None

    def choose(self, still: Callable[[int], bool], isolates: Callable[[int], bool]) -> tuple[int, int] | None:
        """Choose a victim for the line that waits longest, a `still` one if there is one; and who waits.

        None if no line may be one: what isolates waits for proof, and has nobody else wait (6.2 F1).
        """
        if not self._wishes:
            return None
        victim = self._unclaimed(still, isolates)
        if victim is None:
            return None
        line, src = next(iter(self._wishes.items()))
        del self._wishes[line], self._order[victim]
        self._victims[line], self._heirs[victim] = victim, line
        return victim, src

    def _unclaimed(self, still: Callable[[int], bool], isolates: Callable[[int], bool]) -> int | None:
        """Return the oldest line without an heir that is still, else the oldest; none that isolates."""
        busy = found = None
        aside = []
        for line in self._order:
            if isolates(line):
                aside.append(line)
            elif still(line):
                found = line
                break
            elif busy is None:
                busy = line
        for line in aside:
            del self._order[line]
            self._aside[line] = None
        return busy if found is None else found

    def restore(self) -> None:
        """A node was walked: what isolated may be a victim again."""
        if self._aside:
            self._order = self._aside | self._order
            self._aside = {}

    def free(self, line: int) -> int | None:
        """Nobody holds a line that is idle: return the line that its entry goes to. HSL 5.2 D10."""
        if line not in self._lines or line in self._owed:
            return None
        self._lines.discard(line)
        self._order.pop(line, None)
        self._aside.pop(line, None)
        heir = self._heirs.pop(line, None)
        if heir is not None:
            del self._victims[heir]
        elif self._wishes:
            heir = next(iter(self._wishes))
            del self._wishes[heir]
        else:
            return None
        self._add(heir)
        self._owed.add(heir)
        return heir

    def waiting(self) -> list[int]:
        """Return the lines that wait for an entry, or have one for a request that has not begun."""
        return [*self._wishes, *self._victims, *self._owed]

    def forget(self, line: int) -> int | None:
        """The requests that wait for the entry of a line are gone; return its victim, which is spared."""
        self._wishes.pop(line, None)
        self._owed.discard(line)
        victim = self._victims.pop(line, None)
        if victim is not None:
            del self._heirs[victim]
            self._order[victim] = None
        return victim
