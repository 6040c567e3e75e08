"""Fences: none ends before the accesses that it orders are performed (HSL 5.9 F1)."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from hsl.agents.access import Order
from hsl.agents.invariants import InvariantError
from hsl.verify.operation import Operation

__all__ = ["Fences"]

READS: Final = Order.LOAD
WRITES: Final = Order.STORE
# What each kind of access is to a fence, by the text: a table of our own, since that of the agents is judged.
ORDERED: Final = {
    "load": READS,
    "read_once": READS,
    "store": WRITES,
    "store_line": WRITES,
    "write_full": WRITES,
    "write_ptl": WRITES,
    "flush": WRITES,
    "atomic_load": READS | WRITES,
    "atomic_store": WRITES,
    "ncread": Order.NCR,
    "ncwrite": Order.NCR,
    "intr": Order.NCR,
    "trans_inv": Order.NCR,
}


class Fences:
    """Accesses that are not performed, by agent, and what each fence waits for.

    A virtual access is unknown to the agent while its page is looked up, so it is not judged.
    """

    def __init__(self) -> None:
        # Both are bounded by the operations under way.
        self._open: dict[int, dict[int, tuple[Order, Operation]]] = defaultdict(dict)
        self._waits: dict[int, set[int]] = {}

    def begun(self, operation: Operation) -> None:
        """An operation begins."""
        access = operation.access
        mine = self._open[operation.agent]
        if access.kind == "fence":
            self._waits[operation.id] = {number for number, (kind, _) in mine.items() if kind & access.order}
        elif access.kind in ORDERED and not operation.virtual:
            mine[operation.id] = ORDERED[access.kind], operation

    def performed(self, operation: Operation) -> None:
        """An access is performed. Raises InvariantError when a fence ends too early."""
        mine = self._open[operation.agent]
        mine.pop(operation.id, None)
        left = self._waits.pop(operation.id, set()) & mine.keys()
        if left:
            _, first = mine[min(left)]
            raise InvariantError(
                f"{operation} ended, but {first}, which it orders, is not performed (5.9 F1)"
            )
