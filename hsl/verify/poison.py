"""Poison: a read of a poisoned line says so, and only whole-line writes clear the mark (HSL 6.1).

The operations on a line that are judged here do not race, so what each of them must find is known when it
begins: the bytes and the mark that the ones before have left.
"""

from __future__ import annotations

from hsl._generated.constants import LINE_BYTES, Err, Op
from hsl.agents.access import Ticket
from hsl.agents.invariants import InvariantError
from hsl.codec.message import Message
from hsl.verify.operation import Operation
from hsl.verify.parties import Parties

__all__ = ["Poison", "mark"]

MARKED = frozenset(
    {Op.WriteFull, Op.WritePtl, Op.AtomicLoad, Op.AtomicStore}
)  # requests with data of a program
WHOLE = frozenset({"store_line", "write_full"})
ALL_BYTES = (1 << LINE_BYTES) - 1


def mark(operation: Operation, outbox: list[Message]) -> bool:
    """Mark the data of the request of an operation, as its way to the home may; True if it has sent one."""
    for place, message in enumerate(outbox):
        if message.op in MARKED and operation.access.data in message.data:  # no other has the same
            outbox[place] = message._replace(poison=1)
            return True
    return False


class Poison:
    """The contents of the lines that can be poisoned; every second one is poisoned at the start."""

    def __init__(self, parties: Parties) -> None:
        self._parties = parties
        self._lines: dict[int, tuple[bytes, bool]] = {}
        self._expected: dict[int, tuple[Err, bool, bytes]] = {}  # by operation under way
        for index, line in enumerate(parties.layout.poison_lines):
            data = parties.stored(line)
            self._lines[line] = data, index % 2 == 1
            parties.write(line, *self._lines[line])

    def begun(self, operation: Operation, marked: bool) -> None:
        """An operation begins; `marked`: its request has poisoned data."""
        access, line = operation.access, operation.line
        assert line is not None
        data, poison = self._lines[line]
        at = access.addr - line
        found = data[at : at + access.size]
        err, shown, seen = Err.OK, False, b""
        if access.kind in ("load", "read_once"):
            shown, seen = poison, found
        elif access.kind in WHOLE:
            self._lines[line] = access.data, marked
        elif access.kind in ("store", "write_ptl"):
            merged = bytes(
                new if access.enables >> i & 1 else was
                for i, (new, was) in enumerate(zip(access.data, found, strict=True))
            )
            whole = access.kind == "write_ptl" and access.enables == ALL_BYTES
            self._lines[line] = (
                data[:at] + merged + data[at + access.size :],
                marked or (poison and not whole),
            )
        elif access.kind in ("atomic_load", "atomic_store"):
            if poison or marked:
                err = Err.DATA
            else:
                total = int.from_bytes(found, "little") + int.from_bytes(access.data, "little")
                added = (total % (1 << 8 * access.size)).to_bytes(access.size, "little")
                self._lines[line] = data[:at] + added + data[at + access.size :], poison
                seen = found if access.kind == "atomic_load" else b""
        self._expected[operation.id] = err, shown, seen

    def ended(self, operation: Operation, ticket: Ticket) -> None:
        """Judge an operation that ended. Raises InvariantError for a wrong value or a wrong mark."""
        err, poison, data = self._expected.pop(operation.id)
        if (ticket.err, ticket.poison) != (err, poison) or (not err and not poison and ticket.data != data):
            raise InvariantError(
                f"{operation} ended with {_said(ticket.err, ticket.poison, ticket.data)}; "
                f"expected {_said(err, poison, data)} (6.1)"
            )

    def judge_rest(self, line: int, copy: bytes | None) -> None:
        """Check that memory at rest, or the `copy` of an owner, holds the last value, and memory its mark."""
        if line not in self._lines:
            return
        data, poison = self._lines[line]
        if copy is None and self._parties.poisoned(line) != poison:
            marks = "is not poisoned, and must be" if poison else "is poisoned, and must not be"
            raise InvariantError(f"at rest line {line:#x} {marks} (6.1)")
        held = self._parties.stored(line) if copy is None else copy
        if not poison and held != data:
            raise InvariantError(f"at rest line {line:#x} holds {held.hex()}; {data.hex()} was written last")


def _said(err: Err, poison: bool, data: bytes) -> str:
    return err.name if err else "poisoned data" if poison else f"good data {data.hex()}"
