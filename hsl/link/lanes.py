"""The messages of a port that wait for credits (HSL 3.5 F2, F10).

A lane is a queue of its own: each VC has one, and the NCR that sink have another. Ordinary NCR leave the last
credit to those that sink: a receiver that lets an ordinary NCR wait can always be sent what it waits for.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from hsl._generated.constants import Vc
from hsl._generated.tables import OPCODES

__all__ = ["LANES", "SINKING", "Lanes", "lane_of"]

SINKING: Final = 0  # no VC has this number
LANES: Final = (*(int(vc) for vc in Vc), SINKING)
_SINKS: Final = frozenset(info.code for info in OPCODES.values() if info.sinks)


def lane_of(op: int) -> int:
    """Return the lane of an opcode: SINKING or its VC."""
    return SINKING if op in _SINKS else op >> 5


class Lanes:
    """Messages by lane, encoded, each with its opcode; at most `cap` in a lane."""

    __slots__ = ("_cap", "_queues", "_sank", "waiting")

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._queues: dict[int, deque[tuple[int, bytes]]] = {lane: deque() for lane in LANES}
        self._sank = False  # the last NCR that left was one that sinks
        self.waiting = 0  # in all lanes

    def clear(self) -> None:
        """Forget all messages."""
        for queue in self._queues.values():
            queue.clear()
        self._sank = False
        self.waiting = 0

    def room(self, lane: int) -> bool:
        """True if a lane takes another message."""
        return len(self._queues[lane]) < self._cap

    def backlog(self, vc: int) -> int:
        """Messages of a VC that wait."""
        return len(self._queues[vc]) + (len(self._queues[SINKING]) if vc == Vc.NCR else 0)

    def put(self, op: int, granules: bytes) -> None:
        """Add a message to its lane, which must have room."""
        self._queues[lane_of(op)].append((op, granules))
        self.waiting += 1

    def eligible(self, available: list[int], granted: list[int]) -> list[int]:
        """Return the VCs with a message that may use a credit; credits are listed by VC. HSL 3.5 F10."""
        if not self.waiting:
            return []
        queues = self._queues
        vcs = [vc for vc, queue in queues.items() if queue and vc and available[vc]]
        ncr = available[Vc.NCR]
        if ncr and (queues[SINKING] or queues[Vc.NCR]):
            sinks, ordinary = self._ncr(ncr, granted[Vc.NCR])
            vcs = [vc for vc in vcs if vc != Vc.NCR] + [int(Vc.NCR)] * (sinks or ordinary)
        return vcs

    def _ncr(self, available: int, granted: int) -> tuple[bool, bool]:
        """Return whether an NCR that sinks may leave, and whether another may. HSL 3.5 F2 [HSL-NCR-005].

        A peer without an I/O agent may give one credit in all, which is for all.
        """
        return bool(self._queues[SINKING]), bool(self._queues[Vc.NCR]) and (available > 1 or granted == 1)

    def take(self, vc: int, available: int, granted: int) -> tuple[int, bytes]:
        """Return the opcode and granules of the next message of a VC that is eligible.

        The two lanes of NCR take turns while both may send. HSL 3.5 F10.
        """
        lane = vc
        if vc == Vc.NCR:
            sinks, ordinary = self._ncr(available, granted)
            self._sank = sinks and not (ordinary and self._sank)
            lane = SINKING if self._sank else vc
        self.waiting -= 1
        return self._queues[lane].popleft()
