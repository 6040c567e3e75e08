"""Numbers of one space: the lowest free one is taken (HSL 2.6)."""

from __future__ import annotations

from bisect import bisect_right, insort

from hsl._generated.constants import MAX_TXN

__all__ = ["Tags"]


class Tags:
    """A space of at most `limit` numbers, 0 up; TXN and HTXN have 12 bits, so none is larger than MAX_TXN."""

    def __init__(self, limit: int = MAX_TXN) -> None:
        self.limit = min(limit, MAX_TXN)
        self._fresh = 0  # the numbers from here up are free
        self._free: list[int] = []  # those below that are free, negated, so the lowest is the last

    def lowest(self, least: int = 0) -> int:
        """The number that `take` gives next; `limit` or more if there is none."""
        place = bisect_right(self._free, -least) - 1
        return -self._free[place] if place >= 0 else max(least, self._fresh)

    def take(self, least: int = 0) -> int | None:
        """The lowest free number that is `least` or more, or None when all are taken. HSL 2.6."""
        tag = self.lowest(least)
        if tag >= self.limit:
            return None
        if tag < self._fresh:
            del self._free[bisect_right(self._free, -tag) - 1]
        else:
            self._free[:0] = range(1 - tag, 1 - self._fresh)
            self._fresh = tag + 1
        return tag

    def free(self, tag: int) -> None:
        """Give back a number that was taken."""
        insort(self._free, -tag)
