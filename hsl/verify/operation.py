"""One operation of a test program: an access of an agent, and the operations that must end before it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Literal, NamedTuple, get_args

from hsl._generated.constants import LINE_BYTES, Aop
from hsl.agents.access import KINDS, Access, Order, check_access
from hsl.errors import ConfigError
from hsl.nearest import expected
from hsl.shown import TYPES, shown

__all__ = [
    "EXACT",
    "GAP_LIMIT",
    "MAX_AFTER",
    "NOTHING",
    "PAGES",
    "POISON",
    "VALUES",
    "WORD",
    "WORDS",
    "Judge",
    "Operation",
    "without",
]

Judge = Literal["exact", "words", "nothing", "poison", "pages"]
JUDGES = get_args(Judge)
EXACT, WORDS, NOTHING, POISON, PAGES = JUDGES
VALUES = (EXACT, WORDS)  # judged by the table of last writers

MAX_AFTER = 1 << 12  # operations that one may wait for: more than any thread has in flight
GAP_LIMIT = 1 << 16  # ns: a run of a recording that only waits would have no end
MAPS = 3  # of `maps`: space, what, frame
WORD = 8  # bytes that are judged as one
_FIELDS = {
    "kind": str,
    "addr": int,
    "size": int,
    "be": int,
    "aop": int,
    "dst": int,
    "stream": int,
    "order": int,
    "pasid": int,
}
PLACELESS = frozenset({"fence", *(name for name, kind in KINDS.items() if kind.ncr)})  # have no line
_FLAGS = ("poison", "late")
_DEFAULT = Access("")


class Operation(NamedTuple):
    """An access of request agent `agent`, the `id`-th of the program.

    It belongs to a `thread`, whose operations begin in the order of their ids; it begins `gap` ns after the
    one before it has begun and all of `after` have ended. `orders`: a fence, the operations of its agent that
    end before it does. `judge` says what its values are held against, besides the memory of the run: EXACT,
    the last write before it by id, as no other operation races with it; WORDS, any write of whole words that
    can be there, and of atomics that each adds 1 to its word; POISON, the mark of its line; PAGES, the page
    tables; NOTHING. A coherent access with a PASID has a virtual address.

    `poison`: the network marks the data of its request; `late`: it holds the completion until T_REQ is over;
    `maps`: what a TransInv changes in the page tables (space, what, frame).
    """

    id: int
    thread: int
    agent: int
    access: Access
    gap: int = 0
    after: tuple[int, ...] = ()
    orders: tuple[int, ...] = ()
    judge: Judge = NOTHING
    poison: bool = False
    late: bool = False
    maps: tuple[int, ...] = ()

    @property
    def line(self) -> int | None:
        """The line of its physical address, None where it has none."""
        access = self.access
        if access.kind in PLACELESS or access.pasid:
            return None
        return access.addr - access.addr % LINE_BYTES

    @property
    def moves(self) -> bool:
        """True if it moves a range of memory."""
        return self.access.kind == "cfg_write"

    @property
    def virtual(self) -> bool:
        """True if its address is translated."""
        return self.access.pasid != 0 and self.access.kind not in PLACELESS

    def __str__(self) -> str:
        """As a report names it."""
        access = self.access
        what = f" {access.data.hex()}" if access.data else ""
        what += f" PASID {access.pasid}" if access.pasid else ""
        what += f" order {access.order.name}" if access.order != Order.ALL else ""
        what += f" maps {self.maps}" if self.maps else ""
        what += "".join(f" {name}" for name in _FLAGS if getattr(self, name))
        return f"#{self.id} node {self.agent} {access.kind} {access.addr:#x}+{access.size}{what}"

    def record(self) -> dict[str, Any]:
        """Return the operation as JSON without the fields that have their default."""
        access = {
            name: int(value) if isinstance(value, int) else value
            for name in _FIELDS
            if (value := getattr(self.access, name)) != getattr(_DEFAULT, name)
        }
        data = {"data": self.access.data.hex()} if self.access.data else {}
        lists = {
            name: list(getattr(self, name)) for name in ("after", "orders", "maps") if getattr(self, name)
        }
        flags = {name: True for name in _FLAGS if getattr(self, name)}
        head = {"id": self.id, "thread": self.thread, "agent": self.agent, "gap": self.gap}
        return head | access | data | lists | flags | {"judge": self.judge}

    @classmethod
    def of(cls, record: dict[str, Any]) -> Operation:
        """Read a `record` back. Raises ConfigError for an invalid operation."""
        head: dict[str, Any] = {name: _integer(record, name) for name in ("id", "thread", "agent", "gap")}
        values = {name: record[name] for name in _FIELDS if name in record}
        for name, value in values.items():
            if type(value) is not _FIELDS[name]:
                raise ConfigError(
                    f"operation {head['id']}: {name} = {shown(value)}; expected {TYPES[_FIELDS[name]]}"
                )
        if "order" in values:
            values["order"] = _order(values["order"])
        try:
            data = bytes.fromhex(record.get("data", ""))
        except (TypeError, ValueError):
            raise ConfigError(
                f"operation {head['id']}: data = {shown(record['data'])} is not hexadecimal"
            ) from None
        if "kind" not in values:
            raise ConfigError(f"operation {head['id']} has no kind")
        access = Access(**values, data=data)
        check_access(access)
        lists: dict[str, Any] = {name: _ids(record.get(name, []), head["id"]) for name in ("after", "orders")}
        flags: dict[str, Any] = {name: _flag(record, name) for name in _FLAGS}
        maps = _maps(record.get("maps", []), access)
        judge: Any = record.get("judge")
        if judge not in JUDGES:
            raise ConfigError(f"operation {head['id']}: judge {shown(judge)}; {expected(JUDGES, judge)}")
        if head["gap"] > GAP_LIMIT:
            raise ConfigError(f"operation {head['id']}: gap = {head['gap']}; expected 0..{GAP_LIMIT} ns")
        operation = cls(**head, access=access, **lists, judge=judge, maps=maps, **flags)
        if judge in VALUES and not _judgeable(access):
            raise ConfigError(f"operation {operation}: only whole words and atomics that add 1 are judged")
        return operation


def _judgeable(access: Access) -> bool:
    """True if a judge can tell the effect of an access: on whole aligned words, or on none."""
    if access.kind in ("evict", "flush", "fence", "intr"):
        return True
    if access.kind in ("atomic_load", "atomic_store"):
        plain = access.aop == Aop.ADD and access.size == WORD
        return plain and access.addr % WORD == 0 and int.from_bytes(access.data, "little") == 1
    words = (access.enables >> at & 0xFF for at in range(0, access.size, WORD))
    return access.addr % WORD == access.size % WORD == 0 and all(each in (0, 0xFF) for each in words)


def _integer(record: dict[str, Any], name: str) -> int:
    value = record.get(name)
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ConfigError(f"operation: {name} = {shown(value)}; expected an integer of 0..2^63-1")
    return value


def _flag(record: dict[str, Any], name: str) -> bool:
    value = record.get(name, False)
    if type(value) is not bool:
        raise ConfigError(f"operation {record['id']}: {name} = {shown(value)} must be true or false")
    return value


def _maps(values: Any, access: Access) -> tuple[int, ...]:
    good = isinstance(values, list) and all(type(value) is int and value >= 0 for value in values)
    if not good or len(values) != (MAPS if access.kind == "trans_inv" else 0):
        raise ConfigError(
            f"operation: maps = {shown(values)}; a trans_inv needs {MAPS} integers, others none"
        )
    return tuple(values)


def _order(value: int) -> Order:
    if not 0 <= value <= Order.ALL:
        raise ConfigError(f"operation: order = {value}; expected 0..{int(Order.ALL)}")
    return Order(value)


def _ids(values: Any, before: int) -> tuple[int, ...]:
    legal = isinstance(values, list) and len(values) <= MAX_AFTER
    if not legal or any(type(value) is not int or not 0 <= value < before for value in values):
        raise ConfigError(f"operation {before}: {shown(values)}; expected at most {MAX_AFTER} lower ids")
    return tuple(values)


def without(operations: Sequence[Operation], kept: Collection[int]) -> list[Operation]:
    """The program of the operations `kept` alone.

    What waited for one that is gone waits for what that one ensured. So an operation that raced with no other
    one still does not.
    """
    implied: dict[int, tuple[int, ...]] = {}  # of those that are gone
    program = []
    for operation in operations:
        after = _resolved(operation.after, implied)
        if operation.id in kept:
            orders = tuple(each for each in operation.orders if each in kept)
            inherited = set(_resolved(operation.orders, implied)) - set(orders)  # may be of other agents
            after = tuple(sorted({*after, *inherited}))
            program.append(operation._replace(after=after, orders=orders))
        else:
            implied[operation.id] = tuple(sorted({*after, *_resolved(operation.orders, implied)}))
    return program


def _resolved(ids: Iterable[int], implied: dict[int, tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(sorted({real for each in ids for real in implied.get(each, (each,))}))
