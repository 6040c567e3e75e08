"""Requests, recalls and losses of an owner that wait for a line at its home (HSL 5.4 T5, T10)."""

from __future__ import annotations

from typing import Final, NamedTuple

from hsl.agents.shares import Key
from hsl.agents.transaction import NO_NODE
from hsl.codec.message import Message

__all__ = ["LOST", "RECALL", "Recall", "Waiting"]

RECALL: Final = "Recall"
LOST: Final = "lost"


class Recall:
    """An open recall: `lines` it has still to take; done when there is none."""

    def __init__(self, lines: int) -> None:
        self.lines = lines

    @property
    def done(self) -> bool:
        """True if each line that was listed, busy or waited for has been taken."""
        return self.lines == 0


class Waiting(NamedTuple):
    """A request in its credited buffer, a recall, or the loss of the node that owns the line."""

    key: Key
    op: str
    message: Message
    recall: Recall | None = None

    @property
    def src(self) -> int:
        """The NID of the requester; NO_NODE for a recall and a loss."""
        return self.message.src if self.request else NO_NODE

    @property
    def request(self) -> bool:
        """True for a request of an agent, which has a credit."""
        return self.op not in (RECALL, LOST)
