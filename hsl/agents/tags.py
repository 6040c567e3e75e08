"""Numbers of one space: the lowest free one is taken (HSL 2.6)."""

from __future__ import annotations

from heapq import heappop, heappush

from hsl._generated.constants import MAX_TXN

__all__ = ["Tags"]


class Tags:
    """A space of at most `limit` numbers, 0 up; TXN and HTXN have 12 bits, so none is larger than MAX_TXN."""

    def __init__(self, limit: int = MAX_TXN) -> None:
        self.limit = min(limit, MAX_TXN)
        self._fresh = 0
        self._free: list[int] = []  # numbers below _fresh, at most `limit`

    @property
    def lowest(self) -> int:
        """The number that `take` gives next, unless it is `limit`."""
        return self._free[0] if self._free else self._fresh

    def take(self) -> int | None:
        """The lowest free number, or None when all are taken. HSL 2.6."""
        if self._free:
            return heappop(self._free)
        if self._fresh == self.limit:
            return None
        self._fresh += 1
        return self._fresh - 1

    def free(self, tag: int) -> None:
        """Give back a number that was taken."""
        heappush(self._free, tag)
