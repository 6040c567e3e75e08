"""Part of a trace: whatever refutes it refutes the whole.

Of an order that explains a trace, what is left of it explains each part of the trace that has the writes its
reads read from: nothing comes between them that did not before. So a part without an order is a proof.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable

from hsl.verify.trace_operation import Trace

__all__ = ["Excerpts"]


class Excerpts:
    """Cuts parts out of a trace, around some of its operations."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._agents: dict[int, list[int]] = defaultdict(list)
        self._addresses: dict[int, list[int]] = defaultdict(list)
        self._finals: dict[int, int] = {}
        self._writer: dict[tuple[int, int], int] = {}
        for number, each in enumerate(trace.operations):
            if each.kind == "final":
                self._finals[each.addr] = number
                continue
            self._agents[each.agent].append(number)
            if each.kind != "fence":
                self._addresses[each.addr].append(number)
            if each.value is not None:
                self._writer[each.addr, each.value] = number

    def around(self, centre: Iterable[int], width: int) -> Trace:
        """The operations within `width` of those of `centre`, in their agents and at their addresses."""
        operations = self._trace.operations
        chosen: set[int] = set()
        for number in centre:
            each = operations[number]
            for row in (self._agents[each.agent], self._addresses.get(each.addr, [])):
                at = bisect_left(row, number)
                chosen.update(row[max(at - width, 0) : at + width + 1])
        addresses = {operations[number].addr for number in chosen if operations[number].kind != "fence"}
        chosen.update(self._finals[addr] for addr in addresses & self._finals.keys())
        # A write that is there for its readers only need not have read anything.
        needed = {
            self._writer[each.addr, each.read]
            for each in map(operations.__getitem__, chosen)
            if each.read is not None and (each.addr, each.read) in self._writer
        }
        kept = []
        for number in sorted(chosen | needed):
            each = operations[number]
            if number not in chosen and each.kind == "atomic":
                each = each._replace(kind="store", read=None)
            kept.append(each)
        return Trace(kept, self._trace.initial)
