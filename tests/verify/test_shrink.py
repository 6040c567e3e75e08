"""Making a failure small: what is left fails, and nothing of it can be left out."""

import pytest

from hsl.agents.access import Access
from hsl.verify.operation import Operation
from hsl.verify.shrink import shrink

PROGRAM = [Operation(number, 0, 2, Access("load", 64 * (number % 7), 8)) for number in range(600)]


def ids(operations: list[Operation]) -> set[int]:
    return {operation.id for operation in operations}


@pytest.mark.parametrize("needed", [{599}, {0}, {0, 599}, {3, 77, 78, 300}, set(range(100, 120))])
def test_finds_exactly_what_is_needed(needed: set[int]) -> None:
    """When a failure needs certain operations and no others, exactly these are left."""
    assert ids(shrink(PROGRAM, lambda part: needed <= ids(part))) == needed


def test_no_operation_can_be_left_out() -> None:
    """Also when any three of a kind will do, none of what is left can be left out."""
    left = shrink(PROGRAM, lambda part: sum(op.id % 50 == 7 for op in part) >= 3)
    assert len(left) == 3


def test_line_of_the_failure_is_tried_first() -> None:
    """When the operations on the line of the failure are enough, few operations are run to find that."""
    run = 0

    def fails(part: list[Operation]) -> bool:
        nonlocal run
        run += len(part)
        return sum(op.access.addr == 128 for op in part) >= 2

    assert len(shrink(PROGRAM, fails, line=128)) == 2
    assert run < 100


@pytest.mark.parametrize("budget", [0, 15, 100, 2000])
def test_budget_bounds_the_operations_that_are_run(budget: int) -> None:
    """No more operations are run than the budget has; what is left fails all the same."""
    run = 0

    def fails(part: list[Operation]) -> bool:
        nonlocal run
        run += len(part)
        return {3, 300} <= ids(part)

    assert {3, 300} <= ids(shrink(PROGRAM, fails, budget=budget))
    assert run <= budget


def test_result_has_failed() -> None:
    """What is left is a program that was run and failed, not a guess."""
    failed: list[set[int]] = []

    def fails(part: list[Operation]) -> bool:
        if len(part) % 3 == 1:
            failed.append(ids(part))
        return len(part) % 3 == 1

    assert ids(shrink(PROGRAM, fails)) == failed[-1]
