"""The fences of episodes: the accesses that each orders, and those still to wait for (HSL 5.9 F1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from hsl.agents.access import Access, Order
from hsl.verify.author import Author
from hsl.verify.fences import ORDERED
from hsl.verify.layout import Layout
from hsl.verify.operation import Operation

__all__ = ["FenceOrders", "Release"]

ACQUIRES: Final = (Order.LOAD, Order.STORE, Order.LOAD | Order.STORE, Order.ALL)  # all order an AtomicLoad
RELEASES: Final = (Order.STORE, Order.STORE, Order.LOAD, Order.LOAD | Order.STORE, Order.ALL)


class Release(NamedTuple):
    """A fence at the end of an episode: the ids that it orders, and those that it does not."""

    access: Access
    orders: tuple[int, ...]
    others: tuple[int, ...]


class FenceOrders:
    """Chooses what fences order: everything, unless the program has partial ones.

    A fence of the agent whose NCR are not answered orders no NCR: it would never end.
    """

    def __init__(self, author: Author, layout: Layout) -> None:
        self._author = author
        self._partial = "fences" in layout.config.having
        self._patient = layout.patient

    def _fence(self, thread: int, orders: Sequence[Order]) -> Access:
        order = self._author.rng.choice(orders) if self._partial else Order.ALL
        return Access(
            "fence", order=order & ~Order.NCR if self._author.agents[thread] == self._patient else order
        )

    def acquire(self, thread: int) -> Access:
        """A fence behind the atomic that begins an episode."""
        return self._fence(thread, ACQUIRES)

    def release(self, thread: int, body: Sequence[Operation]) -> Release:
        """A fence behind the accesses of an episode."""
        access = self._fence(thread, RELEASES)
        kept = [bool(ORDERED[operation.access.kind] & access.order) for operation in body]
        split = [
            tuple(op.id for op, is_in in zip(body, kept, strict=True) if is_in == want)
            for want in (True, False)
        ]
        return Release(access, *split)
