"""The shortest cycle of a graph of a trace, as sentences.

Relations of one kind that go on, as program order does, count once. An inferred relation is explained by
the path that it follows from, and so are the relations of that path.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from hsl.verify.memory_graph import TRANSITIVE, Graph

__all__ = ["Told", "explain", "shortest"]

MAX_SEARCHED = 64  # nodes of a knot from which the shortest cycle is looked for
MAX_BECAUSE = 32  # paths that are told: a person reads no more

WORDS = {
    "po": "must come before",
    "rf": "is read by",
    "co": "is overwritten by",
    "fr": "read what was there before",
    "own": "is in the program before",
    "time": "had ended before",
    "final": "was overwritten, as the final value says, by",
}


class Told(NamedTuple):
    """A cycle as (operation, relation) and as one clause; what its inferred relations follow from; flits."""

    steps: list[tuple[str, str]]
    circle: str
    because: list[str]
    flits: list[int]


def shortest(graph: Graph) -> list[int]:
    """The shortest cycle, in relations. Of a large knot, that through some of its nodes."""
    best: list[int] = []
    length = len(graph.after) + 1
    for start in _knot(graph)[:MAX_SEARCHED]:
        cycle, relations = _walk(graph, start, start, length)
        if cycle:
            best, length = cycle, relations
    return best


def _knot(graph: Graph) -> list[int]:
    """Return the operations left once those without predecessor or successor are removed, repeatedly."""
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


def _walk(
    graph: Graph, start: int, goal: int, below: int, rounds: int | None = None
) -> tuple[list[int], int]:
    """The shortest path from `start` of fewer than `below` relations, without `goal`, and its length; or [].

    `rounds`: only edges that were there before this round. A search over (node, the last relation).
    """
    first = (start, "")
    came: dict[tuple[int, str], tuple[int, str]] = {}
    length = {first: 0}
    todo = deque([first])
    while todo:
        at = todo.popleft()
        for target, why in graph.after[at[0]].items():
            cost = length[at] + (why != at[1] or why not in TRANSITIVE)
            if cost >= below or (rounds is not None and _round(graph, at[0], target) >= rounds):
                continue
            if target == goal:
                return _back(came, at), cost
            if cost < length.get((target, why), below):
                length[target, why] = cost
                came[target, why] = at
                (todo.append if cost > length[at] else todo.appendleft)((target, why))
    return [], below


def _round(graph: Graph, source: int, target: int) -> int:
    reason = graph.reasons.get((source, target))
    return 0 if reason is None else reason.round


def _back(came: dict[tuple[int, str], tuple[int, str]], at: tuple[int, str]) -> list[int]:
    path = [at[0]]
    while at in came:
        at = came[at]
        path.append(at[0])
    return path[::-1]


# ---- in words


def explain(graph: Graph, cycle: list[int]) -> Told:
    """A cycle of nodes in words."""
    closed = _from_corner(graph, [*cycle, cycle[0]])
    steps = [(graph.name(node), WORDS[why]) for node, why in _relations(graph, closed)]
    chains = list(_because(graph, closed))
    nodes = {node for node, _ in _relations(graph, closed)}.union(*(chain.nodes for chain in chains))
    count = len(graph.trace.operations)
    flits = {flit for node in nodes if node < count for flit in graph.trace.operations[node].flits}
    circle = _chain(steps) + f"{steps[0][0]}, where it began"
    return Told(steps, circle, [chain.text for chain in chains], sorted(flits))


def _from_corner(graph: Graph, closed: list[int]) -> list[int]:
    """The same cycle, begun where one relation ends and another begins."""
    whys = _whys(graph, closed)
    at = next((at for at, why in enumerate(whys) if why != whys[at - 1]), None)
    if at is None:
        at = next(at for at, node in enumerate(closed) if graph.real(node))
    return [*closed[at:-1], *closed[: at + 1]]


def _whys(graph: Graph, path: Sequence[int]) -> list[str]:
    return [graph.after[one][other] for one, other in pairwise(path)]


def _relations(graph: Graph, path: list[int]) -> list[tuple[int, str]]:
    """The nodes of a path but the last, with the relation to the next; of program order only the two ends."""
    whys = _whys(graph, path)
    kept = []
    for at, (node, why) in enumerate(zip(path, whys, strict=False)):
        if not at or why != whys[at - 1] or why not in TRANSITIVE:
            kept.append((node, why))
    return kept


def _chain(steps: list[tuple[str, str]]) -> str:
    first, *others = steps
    return " ".join(first) + " " + "".join(f"{what}, which {why} " for what, why in others)


class _Because(NamedTuple):
    text: str
    nodes: set[int]


def _because(graph: Graph, path: list[int]) -> Iterator[_Because]:
    """Return the paths that the inferred edges of a path follow from, and theirs in turn."""
    todo = deque(pairwise(path))
    told: set[tuple[int, int]] = set()
    while todo and len(told) < MAX_BECAUSE:
        edge = todo.popleft()
        reason = graph.reasons.get(edge)
        if reason is None or edge in told or (reason.path is not None and reason.path[0] in graph.initial):
            continue
        told.add(edge)
        source, target = (graph.name(node) for node in edge)
        if reason.path is None:
            text = f"Suppose that {source} {WORDS['co']} {target}; the other way ends alike."
            yield _Because(text, set(edge))
            continue
        start, goal = reason.path
        why = [*_walk(graph, start, goal, len(graph.after) + 1, reason.round)[0], goal]
        todo.extend(pairwise(why))
        # A write and a read of one agent: by tso no edge binds them, what the agent sees does.
        relations = _relations(graph, why) or [(start, "own")]
        end = graph.name(goal) + ("" if goal == edge[1] else f", which found {target}")
        text = _chain([(graph.name(node), WORDS[each]) for node, each in relations]) + end + "."
        yield _Because(text[0].upper() + text[1:], {goal, *(node for node, _ in relations)})
