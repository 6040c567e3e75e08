"""Decides whether a memory model explains a trace: consistent, violation, or undecided (HSL 5.9).

First one order is looked for, with guesses; it mostly exists, and is found in one pass. If not: the order of
writes is inferred until nothing more follows. If there is a cycle then, it is a violation, shown at its
shortest. If not, orders of the writes that are still free are tried, up to a cap. In a long trace all this is
done for parts of it around the place where the guesses failed, and the guess that led there is turned round.
To decide this in general is NP-hard: "undecided" is the third answer.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise

from hsl.verify.excerpt import Excerpts
from hsl.verify.linearize import RULES, Attempt
from hsl.verify.memory_cycle import explain, shortest
from hsl.verify.memory_graph import TRANSITIVE, Graph, NoWriter, build
from hsl.verify.trace_operation import Trace

__all__ = ["MAX_TRIES", "Finding", "check"]

MAX_TRIES = 256  # orders of writes that are tried: each costs some passes over the whole trace
MAX_WORK = 1 << 20  # orders tried times nodes: a large trace gets fewer of them, so that all end in a minute
# Operations of a trace that is inferred as a whole, or of a part of one: two bits for each pair of nodes.
MAX_WHOLE = MAX_PART = 1 << 12
MAX_GUESSES = 16  # guesses that are turned round in a long trace: each costs a pass over it
WIDTHS = (8, 64, 512)  # of the parts of a long trace, around where the guesses failed

CONSISTENT, VIOLATION, UNDECIDED = "consistent", "violation", "undecided"


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer: `verdict`, one sentence, the cycle as (operation, relation) and its flits in a capture.

    `because`: for each relation of the cycle that was inferred, what it follows from.
    """

    verdict: str
    sentence: str
    cycle: list[tuple[str, str]] = field(default_factory=list)
    because: list[str] = field(default_factory=list)
    flits: list[int] = field(default_factory=list)
    tries: int = 0


def check(trace: Trace, model: str, global_clock: bool = False) -> Finding:
    """Judge a trace. `global_clock`: begin and end of all agents are of one clock, and bind.

    Raises ConfigError when the writes of an address cannot be told apart by their values.
    """
    try:
        graph = build(trace, model, global_clock)
    except NoWriter as error:
        operation = trace.operations[error.operation]
        return Finding(
            VIOLATION,
            f"The {operation} found a value that nothing in the trace wrote.",
            [(str(operation), "is read from nowhere")],
            flits=sorted(operation.flits),
        )
    tries = 0
    for rule in RULES.values():
        tries += 1
        if Attempt(graph, rule).complete:
            return _order(model, tries)
    if len(trace.operations) > MAX_WHOLE:
        return _long(trace, graph, model, global_clock, tries)
    search = _Search(graph, tries)
    verdict, cycle = search.run()
    if verdict == VIOLATION:
        return _violation(search.failed, cycle, model)
    return _order(model, search.tries) if verdict == CONSISTENT else _undecided(search.tries)


def _order(model: str, tries: int) -> Finding:
    sentence = f"One order of all operations explains every read, by the model {model}."
    return Finding(CONSISTENT, sentence, tries=tries)


def _violation(graph: Graph, cycle: list[int], model: str) -> Finding:
    told = explain(graph, cycle)
    sentence = f"The model {model} has no order for this: {told.circle}."
    return Finding(VIOLATION, sentence, told.steps, told.because, told.flits)


def _undecided(tries: int) -> Finding:
    sentence = f"No violation was found, and no order that explains all, in {tries} tries."
    return Finding(UNDECIDED, sentence, tries=tries)


def _long(trace: Trace, graph: Graph, model: str, global_clock: bool, tries: int) -> Finding:
    """Refute a part of the trace, or turn guesses round until an order is found."""
    excerpts, guessed = Excerpts(trace), graph.copy()
    for _ in range(MAX_GUESSES):
        tries += 1
        attempt = Attempt(guessed)
        if attempt.complete:
            return _order(model, tries)
        knot = attempt.knot()
        for width in WIDTHS:
            part = excerpts.around(_corners(graph, knot), width)
            if len(part.operations) > MAX_PART:
                break
            failed = build(part, model, global_clock)
            cycle = saturate(failed)
            if isinstance(cycle, Cycle):
                return _violation(failed, cycle.nodes, model)
        guess = attempt.guess(knot)
        if guess is None or not guessed.add(guess[1], guess[0], "co"):
            break
    return _undecided(tries)


def _corners(graph: Graph, knot: list[int]) -> list[int]:
    """The operations of a knot that are not in the middle of one after another in program order."""
    whys = [graph.after[one].get(other) for one, other in zip(knot, [*knot[1:], knot[0]], strict=True)]
    count = len(graph.trace.operations)
    kept = [
        node
        for at, node in enumerate(knot)
        if node < count and not (whys[at] in TRANSITIVE and whys[at - 1] == whys[at])
    ]
    return kept or [node for node in knot if node < count]


class _Search:
    """Depth-first search over the order of writes. `failed`: the graph of the cycle that is shown."""

    def __init__(self, graph: Graph, tries: int = 0) -> None:
        self.failed = graph
        self.tries = tries
        self._graph = graph
        self._limit = min(MAX_TRIES, MAX_WORK // len(graph.after) + 1)

    def run(self) -> tuple[str, list[int]]:
        """The verdict, and a cycle for a violation."""
        first: list[int] = []
        todo: list[tuple[Graph, int | None, int]] = [(self._graph, None, 0)]
        while todo:
            if self.tries >= self._limit:
                return UNDECIDED, []
            self.tries += 1
            parent, source, target = todo.pop()
            graph = parent.copy()
            if source is not None:
                graph.infer(source, target, "co", None)
            order = saturate(graph)
            if isinstance(order, Cycle):
                if not first:
                    first, self.failed = order.nodes, graph
                continue
            free = _free(graph, order)
            if free is None or Attempt(graph).complete:
                return CONSISTENT, []
            one, other = free
            todo += [(graph, other, one), (graph, one, other)]
        return VIOLATION, first


# ---- what follows from what


class Order:
    """The nodes in an order that all edges allow: `place` of each.

    `later` and `earlier` have, by place, a bit for the place of each node after it and before it.
    """

    def __init__(self, graph: Graph, nodes: list[int]) -> None:
        self.nodes = nodes
        self.place = {node: at for at, node in enumerate(nodes)}
        self.later = [0] * len(nodes)
        self.earlier = [0] * len(nodes)
        for at in range(len(nodes) - 1, -1, -1):
            for target in graph.after[nodes[at]]:
                to = self.place[target]
                self.later[at] |= self.later[to] | 1 << to
        for at, node in enumerate(nodes):
            for target in graph.after[node]:
                self.earlier[self.place[target]] |= self.earlier[at] | 1 << at


class Cycle:
    """Nodes that come before one another."""

    def __init__(self, nodes: list[int]) -> None:
        self.nodes = nodes


def saturate(graph: Graph) -> Order | Cycle:
    """Add what follows, until nothing does: each read finds the last write before it."""
    while True:
        graph.round += 1
        nodes = _sort(graph)
        if nodes is None:
            return Cycle(shortest(graph))
        order = Order(graph, nodes)
        masks = {addr: sum(1 << order.place[w] for w in writes) for addr, writes in graph.writes.items()}
        grown = [_infer(graph, order, masks, read, write) for read, write in graph.reads]
        if not any(grown):
            return order


def _infer(graph: Graph, order: Order, masks: dict[int, int], read: int, write: int) -> bool:
    """Add the edges that follow from r, which reads w, and the other writes of its address.

    One that comes after w comes after r; one that comes before r comes before w. Of several that come one
    after another, only the first (the last) is given its edge.
    """
    at, by = order.place[read], order.place[write]
    others = masks[graph.trace.operations[read].addr] & ~(1 << at | 1 << by)
    after = others & order.later[by]
    before = others & order.earlier[at] & ~order.earlier[by] & ~after
    after &= ~order.later[at]
    grown = bool(before or after)
    while after:
        first = (after & -after).bit_length() - 1
        graph.infer(read, order.nodes[first], "fr", (write, order.nodes[first]))
        after &= ~(order.later[first] | 1 << first)
    while before:
        last = before.bit_length() - 1
        graph.infer(order.nodes[last], write, "co", (order.nodes[last], read))
        before &= ~(order.earlier[last] | 1 << last)
    return grown


def _sort(graph: Graph) -> list[int] | None:
    """A topological order, None where there is none."""
    count = len(graph.after)
    before = [0] * count
    for edges in graph.after:
        for target in edges:
            before[target] += 1
    ready = deque(node for node in range(count) if not before[node])
    nodes = []
    while ready:
        node = ready.popleft()
        nodes.append(node)
        for target in graph.after[node]:
            before[target] -= 1
            if not before[target]:
                ready.append(target)
    return nodes if len(nodes) == count else None


def _free(graph: Graph, order: Order) -> tuple[int, int] | None:
    """Two writes of one address that neither comes before the other."""
    for writes in graph.writes.values():
        for one, other in pairwise(sorted(writes, key=order.place.__getitem__)):
            if not order.later[order.place[one]] >> order.place[other] & 1:
                return one, other
    return None
