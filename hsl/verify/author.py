"""The author of a random program: operations with rising ids, and values that no other operation writes."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from hsl.agents.access import Access
from hsl.verify.operation import WORD, Operation

__all__ = ["NUMBER_SHIFT", "Author"]

MAX_GAP = 40  # ns before an operation begins: about two hops of the network, so that any two can meet
NUMBER_SHIFT = 8  # the value of a word is the number of its operation and, in this many bits, which word


class Author:
    """The operations of one program; `agents`: the agent of each thread."""

    def __init__(self, rng: Random, agents: Sequence[int]) -> None:
        self.rng = rng
        self.agents = agents
        self.next = 0

    def operation(self, thread: int, access: Access, **more: object) -> Operation:
        """Return the next operation; it begins after a random gap."""
        number = self.next
        self.next += 1
        gap = self.rng.randrange(MAX_GAP)
        return Operation(number, thread, self.agents[thread], access, gap, **more)  # type: ignore[arg-type]

    def value(self, size: int) -> bytes:
        """Return `size` bytes of words that tell the operation that comes next."""
        words = range(size // WORD)
        return b"".join((self.next << NUMBER_SHIFT | at).to_bytes(WORD, "little") for at in words)
