"""The graph of a trace: which operation must have been performed before which, by a memory model (HSL 5.9).

All models here have one memory, so a trace is explained exactly if its operations can be put into one order
in which every read finds the write before it. Edges say what every such order must have. Joins are nodes that
stand for no operation: "all before" and "all after" pass through them, so that the edges stay few.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

from hsl.errors import ConfigError
from hsl.verify.trace_operation import Trace, TraceOperation

__all__ = ["MODELS", "TRANSITIVE", "Graph", "NoWriter", "Reason", "build"]


# Relations that go on: what comes before what comes before something comes before it.
TRANSITIVE = frozenset({"po", "time"})


class NoWriter(Exception):
    """A read has a value that nothing wrote; `operation` is its number."""

    def __init__(self, operation: int) -> None:
        super().__init__()
        self.operation = operation


class Reason(NamedTuple):
    """The path of edges of earlier rounds, by its ends, that an edge was inferred from; None for a guess."""

    round: int
    path: tuple[int, int] | None


class Graph:
    """Nodes by number: the operations of the trace first, then joins and initial writes."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.after: list[dict[int, str]] = [{} for _ in trace.operations]
        self.writes: dict[int, list[int]] = defaultdict(list)  # by address; the initial one first
        self.reads: list[tuple[int, int]] = []  # (read, the write it reads)
        self.initial: dict[int, int] = {}  # node -> address
        self.reasons: dict[tuple[int, int], Reason] = {}  # of the edges that were inferred
        self.round = 0  # of inference

    def node(self) -> int:
        """Add a node that stands for no operation, and return its number."""
        self.after.append({})
        return len(self.after) - 1

    def add(self, source: int | None, target: int, why: str) -> bool:
        """An edge, unless it is there; None adds none."""
        if source is None or target in self.after[source]:
            return False
        self.after[source][target] = why
        return True

    def infer(self, source: int, target: int, why: str, path: tuple[int, int] | None) -> None:
        """An edge that follows from a path; None: that is a guess."""
        if self.add(source, target, why):
            self.reasons[source, target] = Reason(self.round, path)

    def copy(self) -> Graph:
        """The same graph, whose edges may go their own way."""
        other = Graph.__new__(Graph)
        other.trace, other.writes, other.reads, other.initial = (
            self.trace,
            self.writes,
            self.reads,
            self.initial,
        )
        other.after = [dict(edges) for edges in self.after]
        other.reasons, other.round = dict(self.reasons), self.round
        return other

    def real(self, node: int) -> bool:
        """True if the node stands for a write or a read, false for a join."""
        return node < len(self.trace.operations) or node in self.initial

    def name(self, node: int) -> str:
        """A node that is real, in words."""
        if node < len(self.trace.operations):
            return str(self.trace.operations[node])
        addr = self.initial[node]
        return f"the initial value {self.trace.initial.get(addr, 0)} of {addr:#x}"


def build(trace: Trace, model: str, global_clock: bool = False) -> Graph:
    """The graph of a trace: program order of the model, reads-from, and time if clocks are one.

    Raises NoWriter, ConfigError when two writes of one address have the same value.
    """
    graph = Graph(trace)
    threads: dict[int, list[int]] = defaultdict(list)
    for number, each in enumerate(trace.operations):
        if each.kind != "final":
            threads[each.agent].append(number)
    for numbers in threads.values():
        MODELS[model](graph, numbers)
    _reads_from(graph, forwards=model == "tso")
    if global_clock:
        _time(graph)
    return graph


# ---- program order


def _sc(graph: Graph, numbers: list[int]) -> None:
    """Each after the one before."""
    for one, other in pairwise(numbers):
        graph.add(one, other, "po")


def _tso(graph: Graph, numbers: list[int]) -> None:
    """All but a write before a later read; a fence and an atomic order all."""
    read: int | None = None
    write: int | None = None
    for number in numbers:
        kind = graph.trace.operations[number].kind
        graph.add(read, number, "po")
        if kind != "load":
            graph.add(write, number, "po")
        read = read if kind == "store" else number
        write = write if kind == "load" else number


def _hsl(graph: Graph, numbers: list[int]) -> None:
    """One line (F2), fences (F1), acquire and release; dependencies (F3) are not in a trace."""
    lines: dict[int, int] = {}
    before: int | None = None  # join of all so far
    barrier: int | None = None  # join of what all later ones come after
    for number in numbers:
        each = graph.trace.operations[number]
        graph.add(barrier, number, "po")
        if each.kind == "fence" or each.release:
            graph.add(before, number, "po")
        if each.kind == "fence":
            barrier = number
        else:
            graph.add(lines.get(each.line), number, "po")
            lines[each.line] = number
        if each.acquire:
            join = graph.node()
            graph.add(barrier, join, "po")
            graph.add(number, join, "po")
            barrier = join
        join = graph.node()
        graph.add(before, join, "po")
        graph.add(number, join, "po")
        before = join


MODELS: dict[str, Callable[[Graph, list[int]], None]] = {"sc": _sc, "tso": _tso, "hsl": _hsl}


# ---- reads from


def _reads_from(graph: Graph, forwards: bool) -> None:
    """Add edges from each write to its reads, found by value. `forwards`: none to the writer's own reads."""
    operations = graph.trace.operations
    writer: dict[tuple[int, int], int] = {}
    for addr in sorted({each.addr for each in operations if each.kind != "fence"}):
        node = graph.node()
        graph.initial[node] = addr
        graph.writes[addr].append(node)
        writer[addr, graph.trace.initial.get(addr, 0)] = node
    for number, each in enumerate(operations):
        if each.value is None:
            continue
        if (each.addr, each.value) in writer:
            raise ConfigError(
                f"#{each.source}: {each.value} is written to {each.addr:#x} again, or is its initial value; "
                "each write of an address must have a value of its own, which tells it from the others"
            )
        writer[each.addr, each.value] = number
        graph.add(graph.writes[each.addr][0], number, "co")
        graph.writes[each.addr].append(number)
    own: dict[tuple[int, int], int] = {}  # (agent, address): its last write so far
    for number, each in enumerate(operations):
        if each.read is not None:
            _read(graph, number, each, writer, own.get((each.agent, each.addr)), forwards)
        if each.value is not None:
            own[each.agent, each.addr] = number


def _read(
    graph: Graph,
    number: int,
    each: TraceOperation,
    writer: dict[tuple[int, int], int],
    own: int | None,
    forwards: bool,
) -> None:
    assert each.read is not None
    source = writer.get((each.addr, each.read))
    if source is None or source == number:
        raise NoWriter(number)
    if each.kind == "final":
        for write in graph.writes[each.addr]:
            graph.add(write if write != source else None, source, "final")
        return
    graph.reads.append((number, source))
    if not (forwards and source == own):
        graph.add(source, number, "rf")
        if forwards and own is not None:  # it must not read what is older than what it wrote itself
            graph.infer(own, source, "co", (own, number))


def _time(graph: Graph) -> None:
    """Add an edge from each operation to those that began after it had ended."""
    timed = [
        (n, each) for n, each in enumerate(graph.trace.operations) if each.kind not in ("fence", "final")
    ]
    ends = sorted((each.end, n) for n, each in timed if each.end is not None)
    begins = sorted((each.begin, n) for n, each in timed if each.begin is not None)
    at, join = 0, None
    for begin, number in begins:
        while at < len(ends) and ends[at][0] < begin:
            new = graph.node()
            graph.add(join, new, "time")
            graph.add(ends[at][1], new, "time")
            join, at = new, at + 1
        graph.add(join, number, "time")
