"""The state of an agent as one hashable value: equal exactly if no answer can tell two agents apart.

Every attribute counts, also one that is added later, unless it is named here with its reason.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hsl.agents.memory import Memory
from hsl.agents.tags import Tags

__all__ = ["IGNORED", "freeze"]

# Statistics; configuration and what is built from it; time. No timer of the transaction layer expires in the
# runs that use this, and of arrivals only the order counts, which the queues keep.
IGNORED = frozenset({
    "counters", "coverage", "config", "_interpreter", "_table", "_sends", "_peers", "_map", "_finish",
    "now", "_now", "_arrivals", "deadline", "ack_deadline", "_deadlines", "t_req", "t_mem", "t_snp", "t_cack",
    "t_busy", "key", "finished", "missed", "registers", "_management", "_services", "_handlers",
})  # fmt: skip
# Dictionaries that agents look up, or walk in sorted order; the order of all others counts.
UNORDERED = frozenset({"lines", "_lines", "_requests", "_busy", "_waiting", "snoops", "acks", "outstanding"})


def freeze(parts: Mapping[str, Any]) -> Any:
    """The objects `parts`, and all that they hold, as nested tuples."""
    return _Freezer({id(part): name for name, part in parts.items()}).whole(parts)


class _Freezer:
    def __init__(self, names: dict[int, str]) -> None:
        self._names = names
        self._seen: dict[int, int] = {}

    def whole(self, parts: Mapping[str, Any]) -> Any:
        return tuple(
            (name, (HANDLERS[type(part)](self, part) if type(part) in HANDLERS else self._fields(part)))
            for name, part in parts.items()
        )

    def value(self, value: Any, name: str = "") -> Any:
        kind = type(value)
        if kind in PLAIN:
            return value
        if isinstance(value, int):
            return int(value)
        if id(value) in self._names:
            return self._names[id(value)]
        if kind in HANDLERS:
            return HANDLERS[kind](self, value)
        if kind is dict and name in UNORDERED:
            return tuple((key, self.value(value[key])) for key in sorted(value))
        if isinstance(value, dict):
            return tuple((self.value(key), self.value(each)) for key, each in value.items())
        if isinstance(value, tuple) and "key" not in getattr(value, "_fields", ("key",)):
            return value  # a message, an access: plain all through
        if kind is tuple:
            return tuple(map(self.value, value))
        return self._object(value)

    def _object(self, value: Any) -> Any:
        """By its fields the first time, by its number when it is met again."""
        seen = self._seen.get(id(value))
        if seen is not None:
            return ("again", seen)
        self._seen[id(value)] = len(self._seen)
        return (type(value).__name__, self._fields(value))

    def _fields(self, value: Any) -> Any:
        return tuple(self.value(each, name) for name, each in _attributes(value) if name not in IGNORED)

    def sequence(self, value: Any) -> Any:
        return tuple(map(self.value, value))


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    names = getattr(value, "_fields", None) or getattr(type(value), "__slots__", None) or vars(value)
    for name in names:
        if hasattr(value, name):
            yield name, getattr(value, name)


def _tags(_: _Freezer, tags: Tags) -> Any:
    """The numbers that are taken: which is the lowest free one follows from them."""
    free = set(tags._free)  # noqa: SLF001
    return tags.limit, tuple(n for n in range(tags._fresh) if n not in free)  # noqa: SLF001


def _memory(freezer: _Freezer, memory: Memory) -> Any:
    """Return the bytes of a memory without the zeros at its end; its size is the same in each state."""
    return bytes(memory._bytes).rstrip(b"\0"), freezer.value(memory._poison), freezer.value(memory._failed)  # noqa: SLF001


PLAIN = frozenset({int, str, bytes, bool, type(None)})
HANDLERS: dict[type, Callable[[_Freezer, Any], Any]] = {
    Tags: _tags,
    Memory: _memory,
    list: _Freezer.sequence,
    deque: _Freezer.sequence,
    bytearray: lambda _, value: bytes(value),
    set: lambda _, value: tuple(sorted(value)),
    frozenset: lambda _, value: tuple(sorted(value)),
}
