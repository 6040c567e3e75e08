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
from hsl.verify.memory_graph import TRANSITIVE, Edge, Graph, NoWriter, build, edges_of
from hsl.verify.trace_operation import Trace

__all__ = ["MAX_TRIES", "Finding", "check"]

MAX_TRIES = 256  # orders of writes that are tried: each costs some passes over the whole trace
MAX_WORK = 1 << 20  # orders tried times nodes: a large trace gets fewer of them, so that all end in a minute
# Operations of a trace that is inferred as a whole, or of a part of one: two bits for each pair of nodes.
MAX_WHOLE = MAX_PART = 1 << 12
MAX_GUESSES = 16  # guesses that are turned round in a long trace: each costs a pass over it
WIDTHS = (8, 64, 512)  # of the parts of a long trace, around where the guesses failed
MAX_SEARCHED = 64  # nodes of a knot from which the shortest cycle is looked for

CONSISTENT, VIOLATION, UNDECIDED = "consistent", "violation", "undecided"
WORDS = {
    "po": "must come before",
    "rf": "is read by",
    "co": "is overwritten by",
    "fr": "read what was there before",
    "time": "had ended before",
    "final": "was overwritten, as the final value says, by",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer: `verdict`, one sentence, the cycle as (operation, relation) and its flits in a capture."""

    verdict: str
    sentence: str
    cycle: list[tuple[str, str]] = field(default_factory=list)
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
            sorted(operation.flits),
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
        return _explain(search.failed, cycle, model, search.tries > tries + 1)
    return _order(model, search.tries) if verdict == CONSISTENT else _undecided(search.tries)


def _order(model: str, tries: int) -> Finding:
    sentence = f"One order of all operations explains every read, by the model {model}."
    return Finding(CONSISTENT, sentence, tries=tries)


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
                return _explain(failed, cycle.nodes, model, False)
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
            graph.add(source, target, "co")
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
        nodes = _sort(graph)
        if nodes is None:
            return Cycle(_shortest(graph))
        order = Order(graph, nodes)
        masks = {addr: sum(1 << order.place[w] for w in writes) for addr, writes in graph.writes.items()}
        grown = [_infer(graph, order, masks, read, write) for read, write in graph.reads]
        if not any(grown):
            return order


def _infer(graph: Graph, order: Order, masks: dict[int, int], read: int, write: int) -> bool:
    """What follows from r, which reads w, and the other writes of its address.

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
        graph.add(read, order.nodes[first], "fr")
        after &= ~(order.later[first] | 1 << first)
    while before:
        last = before.bit_length() - 1
        graph.add(order.nodes[last], write, "co")
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


# ---- the cycle


def _shortest(graph: Graph) -> list[int]:
    """The shortest cycle, in relations. Of a large knot, that through some of its nodes."""
    best: list[int] = []
    length = len(graph.after) + 1
    for start in _knot(graph)[:MAX_SEARCHED]:
        cycle, relations = _cycle(graph, start, length)
        if cycle:
            best, length = cycle, relations
    return best


def _knot(graph: Graph) -> list[int]:
    """The operations that stay when whatever has nothing before or nothing after it is taken away."""
    before: list[list[int]] = [[] for _ in graph.after]
    for node, edges in enumerate(graph.after):
        for target in edges:
            before[target].append(node)
    left = [True] * len(before)
    for into, out in ((before, graph.after), (graph.after, before)):
        count = [sum(left[node] for node in each) for each in into]
        todo = [node for node, n in enumerate(count) if left[node] and not n]
        while todo:
            node = todo.pop()
            left[node] = False
            for other in out[node]:
                count[other] -= 1
                if left[other] and not count[other]:
                    todo.append(other)
    return [node for node, stays in enumerate(left) if stays and graph.real(node)]


def _cycle(graph: Graph, start: int, below: int) -> tuple[list[int], int]:
    """The shortest cycle through `start` of fewer than `below` relations, and how many; [] if there is none.

    Relations that go on, as program order does, count once: so a search over (node, the last relation).
    """
    first = (start, "")
    came: dict[tuple[int, str], tuple[int, str]] = {}
    length = {first: 0}
    todo = deque([first])
    while todo:
        at = todo.popleft()
        for target, why in graph.after[at[0]].items():
            cost = length[at] + (why != at[1] or why not in TRANSITIVE)
            if cost >= below:
                continue
            if target == start:
                return _back(came, at), cost
            if cost < length.get((target, why), below):
                length[target, why] = cost
                came[target, why] = at
                (todo.append if cost > length[at] else todo.appendleft)((target, why))
    return [], below


def _back(came: dict[tuple[int, str], tuple[int, str]], at: tuple[int, str]) -> list[int]:
    path = [at[0]]
    while at in came:
        at = came[at]
        path.append(at[0])
    return path[::-1]


def _explain(graph: Graph, cycle: list[int], model: str, tried: bool) -> Finding:
    edges = list(edges_of(cycle, graph))
    steps = [(graph.name(edge.source), WORDS[edge.why]) for edge in edges]
    flits = {flit for edge in edges for flit in _flits(graph, edge)}
    chain = " ".join(steps[0]) + " "
    chain += "".join(f"{what}, which {why} " for what, why in steps[1:])
    more = "; in whatever order the writes were, such a circle remains" if tried else ""
    sentence = f"The model {model} has no order for this: {chain}{steps[0][0]}, where it began{more}."
    return Finding(VIOLATION, sentence, steps, sorted(flits))


def _flits(graph: Graph, edge: Edge) -> tuple[int, ...]:
    operations = graph.trace.operations
    return operations[edge.source].flits if edge.source < len(operations) else ()
