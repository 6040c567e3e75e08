"""Looks for one order of all operations of a trace in which every read finds the write before it.

One pass: whatever may come next does. A read never stands in the way, so it goes as soon as all before it are
gone; a write waits until all have gone that read what it overwrites. What is left to choose is which of
several writes goes first, and that is guessed: such an order proves a trace, none proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

from hsl.verify.memory_graph import Graph
from hsl.verify.trace_operation import TraceOperation

__all__ = ["RULES", "Attempt"]

Rule = Callable[[int, TraceOperation, float], tuple[float, int]]

# Which write goes first, by its place in the trace, itself, and its place among those of its agent (0 to 1).
RULES: dict[str, Rule] = {
    "place in the trace": lambda number, _, __: (number, number),
    "end": lambda number, each, __: (number if each.end is None else each.end, number),
    "place in the agent": lambda number, _, share: (share, number),
}


class Attempt:
    """`order`: the nodes in the order in which they went; all of them where the guesses were good."""

    def __init__(self, graph: Graph, rule: Rule = RULES["place in the trace"]) -> None:
        self.order: list[int] = []
        self._graph = graph
        operations = graph.trace.operations
        self._source = dict(graph.reads)
        self._readers = [0] * len(graph.after)  # of each write, those still to come
        for write in self._source.values():
            self._readers[write] += 1
        self._before = [0] * len(graph.after)
        for edges in graph.after:
            for target in edges:
                self._before[target] += 1
        self._rank = {
            number: rule(number, operations[number], share)
            for number, share in _shares(operations).items()
            if operations[number].value is not None
        }
        self._last: dict[int, int] = {}  # address -> the write that its value is of
        self._open: list[tuple[tuple[float, int], int]] = []  # writes that may go
        self._parked: dict[int, list[tuple[tuple[float, int], int]]] = {}  # address -> writes that wait
        self._atomics: dict[int, list[int]] = {}  # write -> atomics that wait to be its only reader
        self._go([node for node, count in enumerate(self._before) if not count])
        while self._open:
            self._write(heappop(self._open)[1])

    def _go(self, ready: list[int]) -> None:
        """Release the operations without predecessors: at once, or as a write that has its turn."""
        while ready:
            node = ready.pop()
            if node in self._rank:
                heappush(self._open, (self._rank[node], node))
                continue
            if node in self._graph.initial:
                self._last[self._graph.initial[node]] = node
            self._leave(node, ready)

    def _leave(self, node: int, ready: list[int]) -> None:
        self.order.append(node)
        source = self._source.get(node)
        if source is not None:
            self._readers[source] -= 1
            self._unpark(source)
        for target in self._graph.after[node]:
            self._before[target] -= 1
            if not self._before[target]:
                ready.append(target)

    def _unpark(self, write: int) -> None:
        """The value of `write` has one reader less, or is new: one of those that wait for it may go."""
        addr = self._addr(write)
        if self._last.get(addr) != write:
            return
        if self._readers[write] == 1 and self._atomics.get(write):
            node = self._atomics[write].pop()
            heappush(self._open, (self._rank[node], node))
        elif not self._readers[write] and self._parked.get(addr):
            heappush(self._open, heappop(self._parked[addr]))

    def _addr(self, write: int) -> int:
        initial = self._graph.initial.get(write)
        return self._graph.trace.operations[write].addr if initial is None else initial

    def _write(self, node: int) -> None:
        """Release a write if no other agent has yet to read the value that it overwrites."""
        addr = self._graph.trace.operations[node].addr
        last, atomic = self._last[addr], node in self._source
        if self._readers[last] > atomic:
            if atomic:
                self._atomics.setdefault(last, []).append(node)
            else:
                heappush(self._parked.setdefault(addr, []), (self._rank[node], node))
            return
        self._last[addr] = node
        ready: list[int] = []
        self._leave(node, ready)
        self._unpark(node)
        self._go(ready)

    # ---- where it ends
    @property
    def complete(self) -> bool:
        """The order explains the trace."""
        return len(self.order) == len(self._graph.after)

    def knot(self) -> list[int]:
        """Return a cycle among the nodes left: each waits for the next, and the last for the first."""
        gone = set(self.order)
        before: dict[int, int] = {}  # what a node waits for
        readers: dict[int, list[int]] = {}
        for node, edges in enumerate(self._graph.after):
            if node not in gone:
                for target, why in edges.items():
                    if why == "po" or target not in before:  # an agent's own program makes the shortest knots
                        before[target] = node
                if node in self._source:
                    readers.setdefault(self._source[node], []).append(node)
        seen: dict[int, int] = {}
        path: list[int] = []
        node = next(node for node in range(len(self._graph.after)) if node not in gone)
        while node not in seen:
            seen[node] = len(path)
            path.append(node)
            if node in before:
                node = before[node]
            else:  # a write, which waits for another to read what it overwrites
                last = self._last[self._addr(node)]
                node = next(read for read in readers[last] if read != node)
        return path[seen[node] :][::-1]

    def guess(self, knot: list[int]) -> tuple[int, int] | None:
        """A write of a knot, and the write that went before it and should have come after it."""
        found = [
            (self._last[self._addr(write)], write)
            for write in knot
            if write in self._rank and not self._before[write]
        ]
        free = [(last, write) for last, write in found if last not in self._graph.initial]
        return max(free, key=lambda pair: self.order.index(pair[0])) if free else None


def _shares(operations: list[TraceOperation]) -> dict[int, float]:
    """Return the place of each operation among those of its agent, from 0 to 1."""
    numbers: dict[int, list[int]] = {}
    for number, each in enumerate(operations):
        numbers.setdefault(each.agent, []).append(number)
    return {number: at / len(own) for own in numbers.values() for at, number in enumerate(own)}
