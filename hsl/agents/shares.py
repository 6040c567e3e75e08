"""Shares of local agents and ports in a home's TSHRs, and their turns (HSL 5.4 T5, 6.3)."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush
from typing import NamedTuple

from hsl.agents.peers import Peers
from hsl.agents.transaction import NO_NODE

__all__ = ["Key", "Place", "Shares"]

Key = tuple[int, bool, int, int]  # of a request, by T5: time, RWD first, SRC, as received


class Place(NamedTuple):
    """An idle line stands where its first request does."""

    key: Key
    line: int


class Shares:
    """The free TSHRs of a home, and the idle lines that wait for one, in the group of who asks first.

    Half of the TSHRs are shared out among the groups of `peers`. Each can count on its part, the rest goes to
    the group that comes first. A port that never sends CmpAck exhausts its own part and that rest, no more.
    Recalls by management (NO_NODE) are a group without a part: holders may answer them late, and nobody else
    must wait for that.
    The cost of a call depends on the number of groups, not on how many lines wait or TSHRs are in use.
    """

    def __init__(self, tshrs: int, peers: Peers) -> None:
        self._tshrs = tshrs
        self._peers = peers
        self.renew((), ())

    def renew(self, busy: Iterable[int], idle: Iterable[tuple[Place, int]]) -> None:
        """Count anew: the requesters of busy lines, and each idle line under its first requester."""
        groups = self._peers.groups
        self._free = self._tshrs
        self._parts = [self._tshrs // (2 * groups)] * groups + [0]
        self._held = [0] * (groups + 1)
        self._kept = sum(self._parts)  # what groups that hold less than their part can still count on
        self._idle: list[list[Place]] = [[] for _ in self._parts]  # heaps; one place for each request
        self._listed: set[Key] = set()  # what is in them
        for nid in busy:
            self.take(nid)
        for place, nid in idle:
            self.wait(place, nid)

    def _group(self, nid: int) -> int:
        return len(self._parts) - 1 if nid == NO_NODE else self._peers.group(nid)

    def take(self, nid: int) -> None:
        """A request of `nid` has got a TSHR."""
        group = self._group(nid)
        self._free -= 1
        self._kept -= self._held[group] < self._parts[group]
        self._held[group] += 1

    def give(self, nid: int) -> None:
        """The TSHR of a request of `nid` is free again."""
        group = self._group(nid)
        self._free += 1
        self._held[group] -= 1
        self._kept += self._held[group] < self._parts[group]

    def wait(self, place: Place, nid: int) -> None:
        """A line is idle, and its first request is of `nid`; `next` gives it also when that has changed."""
        if place.key not in self._listed:
            self._listed.add(place.key)
            heappush(self._idle[self._group(nid)], place)

    def next(self) -> Place | None:
        """The place that came first of those whose group may take a TSHR, which wait no longer. HSL 6.3."""
        first: list[Place] = []
        for group, idle in enumerate(self._idle):
            kept = self._kept - max(0, self._parts[group] - self._held[group])
            if idle and self._free > kept and (not first or idle[0] < first[0]):
                first = idle
        if not first:
            return None
        place = heappop(first)
        self._listed.remove(place.key)
        return place
