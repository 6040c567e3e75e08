"""Programs of emulated agents: generators that yield what they wait for, and the scheduler that runs them.

A program yields a ticket, a list of tickets, a `Pause` or a `Condition`, and is resumed with the same object
when it is done. Time comes in as an argument: one program runs on virtual and on real time alike. The owner
tells the scheduler which tickets have ended, so a run costs what it resumes, not what waits.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Any, TypeAlias, TypeVar

from hsl.agents.access import Ticket
from hsl.errors import ConfigError, TransactionError

__all__ = ["MAX_THREADS", "Condition", "Pause", "Program", "Scheduler", "Thread"]

MAX_THREADS = 256  # programs of one device at once: more than any topology has cores and compute units
MAX_STEPS = (
    4096  # resumptions of one thread in one run: a program that only hits its cache cannot hold up the link
)

T = TypeVar("T")


@dataclass(slots=True)
class Pause:
    """Wait for `ns` nanoseconds."""

    ns: int


@dataclass(slots=True)
class Condition:
    """Wait until `met()` is true; it is asked each time the device advances."""

    met: Callable[[], bool]


Waitable: TypeAlias = "Ticket | Sequence[Ticket] | Pause | Condition"
Program: TypeAlias = Generator[Waitable, Any, T]


class Thread:
    """A program and what it waits for; `place` is its number in the order of starts."""

    __slots__ = ("condition", "finished", "missing", "name", "place", "program", "waits_for")

    def __init__(self, name: str, program: Program[object], place: int) -> None:
        self.name = name
        self.program = program
        self.place = place
        self.waits_for: Waitable | None = None
        self.condition: Condition | None = None
        self.missing = 0  # tickets that have not ended
        self.finished = False


class Scheduler:
    """Runs threads in the order of their start until each of them waits."""

    def __init__(self) -> None:
        self.now = 0
        self.threads: list[Thread] = []
        self.failure: TransactionError | None = None
        self._places = 0
        # Each thread that has not finished stands in one of these; so MAX_THREADS bounds all but _waiting,
        # which the pending accesses of the agents bound.
        self._ready: list[Thread] = []
        self._pauses: list[tuple[int, int, Thread]] = []  # heap of (end, place, thread)
        self._conditions: dict[int, Thread] = {}  # by place
        self._waiting: dict[Ticket, list[Thread]] = {}

    def spawn(self, name: str, program: Program[object]) -> Thread:
        """Start a program; it runs with the next `run`. Raises ConfigError when MAX_THREADS are running."""
        if len(self.threads) >= MAX_THREADS:
            raise ConfigError(f"{name}: {MAX_THREADS} programs are running already; let one finish first")
        self._places += 1
        thread = Thread(name, program, self._places)
        self.threads.append(thread)
        self._ready.append(thread)
        return thread

    def run(self, now: int, ended: Iterable[Ticket] = ()) -> bool:
        """Resume what is ready, `ended` being the tickets that have ended since the last run.

        Return True if a thread was resumed. A failed access stays in `failure` and stops all threads.
        """
        self.now = now
        ready = self._ready
        for ticket in ended:
            for thread in self._waiting.pop(ticket, ()):
                thread.missing -= 1
                if not thread.missing:
                    ready.append(thread)
        while self._pauses and self._pauses[0][0] <= now:
            ready.append(heappop(self._pauses)[2])
        if not ready and not self._conditions:
            return False
        self._ready = []
        turns = [(thread.place, thread) for thread in (*ready, *self._conditions.values())]
        heapify(turns)
        progress = finished = False
        while turns and self.failure is None:
            thread = heappop(turns)[1]
            if thread.condition is None or thread.condition.met():
                progress = True
                self._resume(thread, now)
                finished |= thread.finished
        if finished:
            self.threads = [thread for thread in self.threads if not thread.finished]
        return progress

    def _resume(self, thread: Thread, now: int) -> None:
        """Run a thread until it waits, at most MAX_STEPS."""
        if thread.condition is not None:
            thread.condition = None
            del self._conditions[thread.place]
        for _ in range(MAX_STEPS):
            try:
                thread.waits_for = thread.program.send(thread.waits_for)
            except StopIteration:
                thread.finished = True
                return
            except TransactionError as error:
                self.failure = error
                return
            if self._must_wait(thread, thread.waits_for, now):
                return
        self._ready.append(thread)

    def _must_wait(self, thread: Thread, waits_for: Waitable, now: int) -> bool:
        """Note what a thread waits for; False if that is done."""
        if isinstance(waits_for, Pause):
            if waits_for.ns > 0:
                heappush(self._pauses, (now + waits_for.ns, thread.place, thread))
            return waits_for.ns > 0
        if isinstance(waits_for, Condition):
            if waits_for.met():
                return False
            thread.condition = waits_for
            self._conditions[thread.place] = thread
            return True
        open_tickets = [
            ticket
            for ticket in ((waits_for,) if isinstance(waits_for, Ticket) else waits_for)
            if ticket.finished is None
        ]
        thread.missing = len(open_tickets)
        for ticket in open_tickets:
            self._waiting.setdefault(ticket, []).append(thread)
        return bool(open_tickets)

    def next_wake(self) -> int | None:
        """The earliest end of a pause, in ns, or None."""
        return self._pauses[0][0] if self._pauses else None
