"""The judges of what a program sees, as one: each operation goes to those that know about it."""

from __future__ import annotations

from collections import Counter
from typing import Final

from hsl.agents.access import KINDS, Order, Ticket
from hsl.agents.atc import Translated
from hsl.agents.invariants import InvariantError
from hsl.codec.message import Message
from hsl.verify.deadlines import Deadlines
from hsl.verify.fences import Fences
from hsl.verify.last_writer import LastWriters
from hsl.verify.layout import SILENT
from hsl.verify.moves import Moves
from hsl.verify.operation import PAGES, POISON, Operation
from hsl.verify.pages import Pages
from hsl.verify.parties import Parties
from hsl.verify.poison import Poison, mark
from hsl.verify.streams import Streams

__all__ = ["Judges"]

CHANGE: Final = "trans_inv"
KIND_OF_JUDGE: Final = {POISON: "poison", PAGES: "translation"}


class Judges:
    """Call `taken` for each operation in the order of ids, `begun` before it is submitted, `sent` after that.

    Then `ended` or `translated`. All raise InvariantError for what a program must not see.
    """

    def __init__(self, parties: Parties) -> None:
        self.writers = LastWriters(parties.stored)
        self.fences = Fences()
        self.poison = Poison(parties)
        self.streams = Streams()
        self.deadlines = Deadlines(parties.layout)
        self.pages = Pages(parties)
        self.moves = Moves(parties)
        self.counts: Counter[str] = Counter()  # operations that ended, by kind (KINDS)
        self._plain_lines = frozenset(parties.lines)

    def begun(self, operation: Operation) -> None:
        """An operation is about to be submitted."""
        self.writers.begun(operation)
        self.fences.begun(operation)
        if self.moves.lines:
            self.moves.begun(operation)
        kind = operation.access.kind
        if kind == CHANGE:
            self.pages.change(operation)
        elif KINDS[kind].ncr and operation.access.dst not in SILENT:
            self.streams.begun(operation)

    def sent(self, operation: Operation, outbox: list[Message], now: int) -> None:
        """Note that an operation was submitted; `outbox`: the messages of its agent, which may be changed."""
        if operation.judge == POISON:
            self.poison.begun(operation, operation.poison and mark(operation, outbox))
        elif operation.late or operation.access.dst in SILENT:
            self.deadlines.begun(operation, outbox, now)

    def ended(self, operation: Operation, ticket: Ticket, now: int) -> None:
        """Judge an operation that ended, by its ticket."""
        if self.moves.lines and self.moves.ended(operation, ticket):
            self.writers.refused(operation)
            self.fences.performed(operation)
            return
        self.writers.ended(operation, ticket)
        performed = True
        if operation.judge == POISON:
            self.poison.ended(operation, ticket)
        elif operation.late or operation.access.dst in SILENT:
            performed = self.deadlines.ended(operation, ticket, now)
        elif ticket.err or ticket.poison:
            raise InvariantError(f"{operation} ended with {ticket!r}, though nothing was done to it")
        kind = operation.access.kind
        if kind == CHANGE:
            self.pages.changed(operation)
        elif KINDS[kind].ncr:
            self.streams.ended(operation)
        if performed:
            self.fences.performed(operation)
        self._count(operation, performed)

    def moved(self, operation: Operation) -> None:
        """A move ended."""
        self.writers.forget(operation)
        self.counts["moves"] += 1

    def translated(self, operation: Operation, done: Translated) -> None:
        """A virtual access ended."""
        self.writers.forget(operation)
        self.pages.ended(operation, done)
        self._count(operation, True)

    def _count(self, operation: Operation, performed: bool) -> None:
        access = operation.access
        if not performed:
            self.counts["timeouts"] += 1
        elif access.kind == "fence":
            self.counts["fences"] += access.order != Order.ALL
        elif operation.judge in KIND_OF_JUDGE:
            self.counts[KIND_OF_JUDGE[operation.judge]] += 1
        elif KINDS[access.kind].ncr:
            self.counts["ncr"] += 1

    def judge_rest(self, line: int, copy: bytes | None, stored: bytes) -> None:
        """Check that a line at rest holds the last value; `copy`: of its owner, `stored`: in memory."""
        if line in self._plain_lines:
            self.writers.judge_rest(line, stored if copy is None else copy)
        else:
            self.poison.judge_rest(line, copy)
