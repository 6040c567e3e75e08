"""Shrink a failing program by delta debugging over its operations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from hsl.verify.operation import PAGES, Operation, without

__all__ = ["BUDGET", "shrink"]

BUDGET = 60_000  # operations that may be run in all: half a minute
# Parts of a failing program that are tried first: the last operations before the failure, often enough.
LATEST = (16, 64, 256, 1024, 4096)

Fails = Callable[[list[Operation]], bool]


class _Spent(Exception):
    """The budget is used up."""


class _Search:
    """The smallest program that fails, so far, and the rest of the budget."""

    def __init__(self, operations: Sequence[Operation], fails: Fails, budget: int) -> None:
        self.whole = list(operations)
        self.best = self.whole
        self.fails = fails
        self.budget = budget

    def try_(self, ids: Sequence[int]) -> bool:
        """True if the operations `ids` alone fail; they become the best so far."""
        if not ids:
            return False
        if self.budget < len(ids):
            raise _Spent
        self.budget -= len(ids)
        candidate = without(self.whole, set(ids))
        if not self.fails(candidate):
            return False
        self.best = candidate
        return True

    @property
    def ids(self) -> list[int]:
        return [operation.id for operation in self.best]


def shrink(
    operations: Sequence[Operation], fails: Fails, *, line: int | None = None, budget: int = BUDGET
) -> list[Operation]:
    """A program that still `fails`, of as few of the `operations` as the budget finds.

    `line`: the line that the failure is about. Of the result no single operation can be left out, unless the
    budget ran out first.
    """
    search = _Search(operations, fails, budget)
    try:
        _cut(search, line)
        _halve(search)
    except _Spent:
        pass
    return search.best


def _cut(search: _Search, line: int | None) -> None:
    """The operations on the line of the failure, those of one judge, or the last ones, as few as will do."""
    concerned = [op.id for op in search.whole if line is not None and (op.line == line or op.moves)]
    pages = [op.id for op in search.whole if line is None and op.judge == PAGES]
    everything = [operation.id for operation in search.whole]
    for ids in (concerned, pages, everything):
        for count in LATEST:
            if search.try_(ids[-count:]):
                return
            if count >= len(ids):
                break


def _halve(search: _Search) -> None:
    """Leave out ever smaller parts, until no single operation can be left out."""
    size = max(1, len(search.best) // 2)
    while True:
        before = len(search.best)
        for part in _parts(search.ids, size):
            ids = [each for each in search.ids if each not in part]
            search.try_(ids)
        if size == 1 and len(search.best) == before:
            return
        size = max(1, min(size // 2, len(search.best) // 2))


def _parts(ids: Sequence[int], size: int) -> Iterator[frozenset[int]]:
    """Pieces of `size`, the last ones first: what matters is mostly near the failure."""
    for end in range(len(ids), 0, -size):
        yield frozenset(ids[max(0, end - size) : end])
