"""Requests, recalls and losses of an owner that wait for a line at its home (HSL 5.4 T5, T10)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from hsl._generated.constants import LINE_BYTES, MAX_NID, Vc
from hsl._generated.tables import OPCODES
from hsl.agents.directory import Directory
from hsl.agents.shares import Key
from hsl.agents.transaction import NO_NODE
from hsl.codec.message import Message

__all__ = ["LISTING", "LOST", "RECALL", "RECALL_LIMIT", "Recall", "Waiting", "asked_for", "place"]

RECALL: Final = "Recall"
LOST: Final = "lost"
GIVING_BACK: Final = frozenset({"Evict", "WbFull"})
LISTING: Final = frozenset(info.name for info in OPCODES.values() if any(info.grants))  # they need an entry
RECALL_SRC: Final = MAX_NID + 1  # a recall stands behind all requests of its instant (5.4 T10)
# Recalls that may be open at once: they come from management software, one range after the other.
RECALL_LIMIT: Final = 16


class Recall:
    """An open recall: `lines` it has still to take; done when there is none."""

    def __init__(self, lines: int) -> None:
        self.lines = lines

    @property
    def done(self) -> bool:
        """True if each line that was listed, busy or waited for has been taken."""
        return self.lines == 0


class Waiting(NamedTuple):
    """A request in its credited buffer, a recall, or the loss of the node that owns the line.

    SRC of `message` is who causes it, to whose share its TSHR counts (6.3): the requester; the one that waits
    for the entry of the recalled line; the lost node; NO_NODE for a recall by management.
    """

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


def asked_for(queues: Mapping[int, Iterable[Waiting]], directory: Directory) -> Iterator[int]:
    """The lines that a request waits for, other than one that gives back what its sender lacks.

    HSL 5.1.4 [HSL-COH-059].
    """
    for line, queue in queues.items():
        if any(each.op not in GIVING_BACK or each.src in directory.of(line).nids for each in queue):
            yield line


def place(
    op: str, message: Message, now: int, arrival: int, queue: Iterable[Waiting], directory: Directory
) -> Key:
    """Return the place of an arrival in the queue of its line. HSL 5.4 T5, T10.

    What a holder gives back goes before a Recall by register, which may wait long for a TSHR. HSL 6.3.
    """
    key = (now, message.vc != Vc.RWD, RECALL_SRC if op == RECALL else message.src, arrival)
    if op in GIVING_BACK and message.src in directory.of(message.addr - message.addr % LINE_BYTES).nids:
        begins = (each.key[0] for each in queue if each.recall is not None)
        key = next(((begin, True, MAX_NID, arrival) for begin in begins), key)
    return key
