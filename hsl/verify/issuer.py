"""Start of the operations of a program: each thread in order, each operation after those it follows."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush

from hsl.verify.operation import Operation

__all__ = ["AHEAD", "THREAD_WINDOW", "Issuer"]

THREAD_WINDOW = 8  # operations that a thread has in flight at most: what one GPU wavefront would
AHEAD = 256  # operations read ahead of the one that begins next, so that all threads have something to do


class Issuer:
    """Reads operations from a stream, in the order of their ids, and tells which may begin.

    `taken(operation)` is called when one is read. The owner asks `next_time`, takes what is `due` and says
    what `ended`. At most AHEAD operations are kept besides those in flight.
    """

    def __init__(self, operations: Iterable[Operation], taken: Callable[[Operation], None]) -> None:
        self.begun = 0
        self.finished = 0
        self._stream = iter(operations)
        self._taken = taken
        self._exhausted = False
        self._open: set[int] = set()  # read and not ended
        self._queues: dict[int, deque[Operation]] = defaultdict(deque)
        self._held = 0  # in the queues
        self._flying: dict[int, int] = defaultdict(int)  # by thread
        self._waits: dict[int, int] = {}  # operations that the head of a thread waits for, by its id
        self._waiters: dict[int, list[Operation]] = defaultdict(list)  # heads, by what they wait for
        self._due: list[tuple[int, int, Operation]] = []  # heap: time, id
        self._scheduled: set[int] = set()  # threads whose head is waiting or due
        self._fill(0)

    @property
    def done(self) -> bool:
        """Everything was read and has ended."""
        return self._exhausted and not self._open

    @property
    def open(self) -> set[int]:
        """The ids of the operations that were read and have not ended."""
        return self._open

    def next_time(self) -> int | None:
        """The time at which the next operation begins, in ns; None if another must end first."""
        return self._due[0][0] if self._due else None

    def next_agent(self) -> int:
        """The agent whose operation begins at `next_time`."""
        return self._due[0][2].agent

    def due(self, now: int) -> Iterator[Operation]:
        """Take the operations that begin at `now`; each counts as begun from then on."""
        while self._due and self._due[0][0] <= now:
            _, _, operation = heappop(self._due)
            self.begun += 1
            self._flying[operation.thread] += 1
            self._queues[operation.thread].popleft()
            self._held -= 1
            self._scheduled.discard(operation.thread)
            self._fill(now)
            self._schedule(operation.thread, now)
            yield operation

    def ended(self, operation: Operation, now: int) -> None:
        """An operation has ended, well or not."""
        self.finished += 1
        self._open.discard(operation.id)
        self._flying[operation.thread] -= 1
        for waiter in self._waiters.pop(operation.id, ()):
            self._waits[waiter.id] -= 1
            if not self._waits[waiter.id]:
                del self._waits[waiter.id]
                heappush(self._due, (now + waiter.gap, waiter.id, waiter))
        self._schedule(operation.thread, now)

    def _fill(self, now: int) -> None:
        while self._held < AHEAD and not self._exhausted:
            operation = next(self._stream, None)
            if operation is None:
                self._exhausted = True
                return
            self._taken(operation)
            self._open.add(operation.id)
            self._held += 1
            self._queues[operation.thread].append(operation)
            self._schedule(operation.thread, now)

    def _schedule(self, thread: int, now: int) -> None:
        """Let the head of a thread wait for the operations that it follows, or make it due."""
        queue = self._queues[thread]
        if thread in self._scheduled or not queue or self._flying[thread] >= THREAD_WINDOW:
            return
        self._scheduled.add(thread)
        head = queue[0]
        waits = [each for each in head.after if each in self._open]
        if not waits:
            heappush(self._due, (now + head.gap, head.id, head))
            return
        self._waits[head.id] = len(waits)
        for each in waits:
            self._waiters[each].append(head)
