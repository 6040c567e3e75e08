"""When operations begin: each thread in its order, after what it follows, a bounded number at a time."""

from collections.abc import Iterable
from itertools import count

from hsl.agents.access import Access
from hsl.verify.issuer import AHEAD, THREAD_WINDOW, Issuer
from hsl.verify.operation import Operation

LOAD = Access("load", 0, 8)


def issuer(operations: Iterable[Operation]) -> tuple[Issuer, list[int]]:
    taken: list[int] = []
    return Issuer(operations, lambda operation: taken.append(operation.id)), taken


def begin(of: Issuer, now: int) -> list[int]:
    return [operation.id for operation in of.due(now)]


def test_thread_begins_in_order_with_gaps() -> None:
    """Operations of a thread begin in the order of their ids, each its gap after the one before."""
    of, _ = issuer([Operation(0, 0, 2, LOAD, gap=5), Operation(1, 0, 2, LOAD, gap=3)])
    assert of.next_time() == 5
    assert begin(of, 4) == []
    assert begin(of, 5) == [0]
    assert of.next_time() == 8
    assert begin(of, 8) == [1]
    assert of.next_time() is None


def test_waits_for_all_that_it_follows() -> None:
    """An operation begins its gap after the last of those that it follows has ended, not before."""
    head = [Operation(0, 0, 2, LOAD), Operation(1, 1, 2, LOAD)]
    of, _ = issuer([*head, Operation(2, 2, 3, LOAD, gap=4, after=(0, 1))])
    assert begin(of, 0) == [0, 1]
    of.ended(head[1], 10)
    assert of.next_time() is None
    of.ended(head[0], 20)
    assert of.next_time() == 24
    assert begin(of, 24) == [2]


def test_what_is_over_or_unknown_is_not_waited_for() -> None:
    """What has ended already, or is no part of the program, holds nothing up."""
    first = Operation(3, 0, 2, LOAD)
    of, _ = issuer([first, Operation(7, 0, 2, LOAD, after=(1, 3))])
    assert begin(of, 0) == [3]
    of.ended(first, 1)
    assert begin(of, 1) == [7]


def test_thread_has_a_window() -> None:
    """A thread has at most THREAD_WINDOW operations in flight; one that ends makes room for the next."""
    operations = [Operation(number, 0, 2, LOAD) for number in range(THREAD_WINDOW + 2)]
    of, _ = issuer(operations)
    assert begin(of, 0) == list(range(THREAD_WINDOW))
    of.ended(operations[3], 1)
    assert begin(of, 1) == [THREAD_WINDOW]
    assert begin(of, 9) == []


def test_reads_a_bounded_number_ahead() -> None:
    """Of a program without end at most AHEAD operations are kept besides those in flight."""
    endless = (Operation(number, number % 5, 2, LOAD) for number in count())
    of, taken = issuer(endless)
    assert taken == list(range(AHEAD))
    flying = begin(of, 0)
    assert len(flying) == 5 * THREAD_WINDOW
    assert len(taken) == AHEAD + len(flying)
    for number in range(3000):
        of.ended(Operation(flying.pop(0), number % 5, 2, LOAD), number)
        flying += begin(of, number)
    assert len(of.open) == AHEAD + len(flying)
    assert len(of._waits) + len(of._waiters) + len(of._scheduled) <= 5


def test_done_when_all_has_ended() -> None:
    """A run is done when everything was read and has ended, and counts tell how far it is."""
    (only,) = operations = [Operation(0, 0, 2, LOAD)]
    of, _ = issuer(operations)
    assert not of.done
    assert begin(of, 0) == [0]
    assert (of.begun, of.finished, of.done) == (1, 0, False)
    of.ended(only, 1)
    assert (of.finished, of.done) == (1, True)
    assert issuer([])[0].done
