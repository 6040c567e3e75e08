"""The scheduler: programs run until each of them waits, in the order of their start."""

import pytest

from hsl.emulator.program import MAX_STEPS, MAX_THREADS, Condition, Pause, Program, Scheduler
from hsl.errors import ConfigError, TransactionError


def test_a_pause_ends_at_its_time() -> None:
    """A paused program is not resumed before its time, and `next_wake` names that time."""
    seen = []

    def program() -> Program[None]:
        yield Pause(100)
        seen.append("after")

    scheduler = Scheduler()
    scheduler.spawn("p", program())
    assert scheduler.run(5)
    assert scheduler.next_wake() == 105
    assert not scheduler.run(104)
    assert seen == []
    assert scheduler.run(105)
    assert seen == ["after"]
    assert scheduler.next_wake() is None


def test_the_shortest_pause_wakes_first() -> None:
    """Of several pauses the one that ends first decides when the scheduler is next due."""

    def program(ns: int) -> Program[None]:
        yield Pause(ns)

    scheduler = Scheduler()
    for ns in (300, 100, 200):
        scheduler.spawn("p", program(ns))
    scheduler.run(0)
    due = []
    while (at := scheduler.next_wake()) is not None:
        due.append(at)
        scheduler.run(at)
    assert due == [100, 200, 300]


def test_a_condition_is_asked_again() -> None:
    """A program that waits for a condition goes on when the condition holds."""
    flag: list[int] = []

    def program() -> Program[None]:
        yield Condition(lambda: bool(flag))
        flag.append(2)

    scheduler = Scheduler()
    thread = scheduler.spawn("p", program())
    scheduler.run(0)
    assert not scheduler.run(1)
    flag.append(1)
    assert scheduler.run(1)
    assert thread.finished
    assert flag == [1, 2]


def test_a_spinning_program_gives_the_link_its_turn() -> None:
    """A program that never waits is interrupted after MAX_STEPS, and goes on in the next run."""
    scheduler = Scheduler()
    steps = 0

    def counted() -> Program[None]:
        nonlocal steps
        while True:
            steps += 1
            yield []

    scheduler.spawn("q", counted())
    scheduler.run(0)
    assert steps == MAX_STEPS
    scheduler.run(0)
    assert steps == 2 * MAX_STEPS


def test_a_failed_access_ends_the_run() -> None:
    """A TransactionError of a program is kept in `failure`, and nothing runs after it."""

    def program() -> Program[None]:
        yield []
        raise TransactionError("ERR=DATA", code=3)

    scheduler = Scheduler()
    scheduler.spawn("p", program())
    scheduler.run(0)
    assert scheduler.failure is not None
    assert scheduler.failure.code == 3
    assert not scheduler.run(1)


def test_there_is_a_cap_on_programs() -> None:
    """The thread after MAX_THREADS is refused."""

    def program() -> Program[None]:
        yield Pause(1)

    scheduler = Scheduler()
    for _ in range(MAX_THREADS):
        scheduler.spawn("p", program())
    with pytest.raises(ConfigError, match=str(MAX_THREADS)):
        scheduler.spawn("one too many", program())
