"""Programs of emulated agents: generators that yield what they wait for, and the scheduler that runs them.

A program yields a ticket, a list of tickets, a `Pause` or a `Condition`, and is resumed with the same object
when it is done. Time comes in as an argument: one program runs on virtual and on real time alike.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from hsl.agents.access import Ticket
from hsl.errors import ConfigError, TransactionError

__all__ = ["MAX_THREADS", "Condition", "Pause", "Program", "Scheduler", "Thread"]

MAX_THREADS = 256  # programs of one device at once: more than any topology has cores and compute units
MAX_STEPS = (
    4096  # resumptions of one thread in one run: a program that only hits its cache cannot hold up the link
)
SPIN_NS = 1000  # after which such a program goes on

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
    """A program and what it waits for."""

    def __init__(self, name: str, program: Program[object]) -> None:
        self.name = name
        self.program = program
        self.waits_for: Waitable | None = None
        self.wakes: int | None = None
        self.finished = False

    def ready(self, now: int) -> bool:
        """Whether what the program waits for is done at `now`."""
        waits = self.waits_for
        if waits is None:
            return True
        if isinstance(waits, Pause):
            return self.wakes is not None and now >= self.wakes
        if isinstance(waits, Condition):
            return waits.met()
        if isinstance(waits, Ticket):
            return waits.done
        return all(ticket.done for ticket in waits)

    def resume(self, now: int) -> None:
        """One step of the program; a Pause starts at `now`."""
        try:
            self.waits_for = self.program.send(self.waits_for)
        except StopIteration:
            self.finished = True
            return
        self.wakes = now + self.waits_for.ns if isinstance(self.waits_for, Pause) else None


class Scheduler:
    """Runs threads in the order of their start until each of them waits."""

    def __init__(self) -> None:
        self.now = 0
        self.threads: list[Thread] = []
        self.failure: TransactionError | None = None

    def spawn(self, name: str, program: Program[object]) -> Thread:
        """Start a program; it runs with the next `run`. Raises ConfigError when MAX_THREADS are running."""
        if len(self.threads) >= MAX_THREADS:
            raise ConfigError(f"{name}: {MAX_THREADS} programs are running already; let one finish first")
        thread = Thread(name, program)
        self.threads.append(thread)
        return thread

    def run(self, now: int) -> bool:
        """Resume what is ready; True when something was. A failed access ends it and stays in `failure`."""
        self.now = now
        progress = False
        for thread in list(self.threads):
            progress |= self._run_thread(thread, now)
        self.threads = [thread for thread in self.threads if not thread.finished]
        return progress

    def _run_thread(self, thread: Thread, now: int) -> bool:
        steps = 0
        while self.failure is None and not thread.finished and steps < MAX_STEPS and thread.ready(now):
            try:
                thread.resume(now)
            except TransactionError as error:
                self.failure = error
            steps += 1
        return steps > 0

    def next_wake(self) -> int | None:
        """The earliest end of a pause, in ns, or None."""
        return min((thread.wakes for thread in self.threads if thread.wakes is not None), default=None)
