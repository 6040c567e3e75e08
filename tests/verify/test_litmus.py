"""Litmus tests: outcomes on the real agents are those of 5.9, exactly; planted bugs are seen."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from hsl._generated.tables import HA_TABLE
from hsl.agents.access import Order
from hsl.errors import ConfigError
from hsl.verify import litmus_graph, litmus_model, litmus_system
from hsl.verify.checker import CONSISTENT, VIOLATION, check
from hsl.verify.litmus import Explorer
from hsl.verify.litmus_model import Rule, allowed
from hsl.verify.litmus_system import Case, cases
from hsl.verify.litmus_text import MAX_ACCESSES, MAX_THREADS, Instruction, LitmusTest, parse, parse_all
from hsl.verify.trace_operation import Trace, TraceOperation
from tests.verify.planted import PLANTED, cell

TEXT = (files("hsl._generated") / "litmus.txt").read_text()
TESTS = {test.name: test for test in parse_all(TEXT, "litmus.txt")}
CHAPTER = (Path(__file__).parents[2] / "spec/text/11-memory-order.md").read_text()
# The table of 5.9, as it is printed: test to threads, outcome, verdicts (a), (b) no fence, one, each.
TABLE = {
    cells[0]: cells[1:]
    for line in CHAPTER.splitlines()
    if len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 7
    and set(cells[3:]) <= {"A", "-"}
}
SMALL = ("SB", "MP+fence+fence", "LB+dep+dep", "CoRR", "CoWR", "RMW", "RMW-W")


def issues_early(mark: str) -> AbstractContextManager[Any]:
    """A program that hands an access to its agent as if it, or those before it, had no such mark."""

    def bug(thread: Sequence[Instruction], in_order: bool = False) -> list[Rule]:
        plain = [Instruction(**each._asdict() | {mark: False}) for each in thread]
        return litmus_model.rules(plain, in_order)

    return mock.patch.object(litmus_system, "rules", bug)


MORE = {
    "WbFull is no WbFull": cell("M", "evict", "send Evict, drop", "II_A"),
    "an acquire does not wait": lambda: issues_early("acquire"),
    "a release does not wait": lambda: issues_early("release"),
}
# What each bug must show in, by name.
BUGS = {
    "SnpInv leaves the S copy": "MP+rel+acq@cpu-gpu",
    "a fence does not wait": "SB+fence+fence@cpu-gpu",
    "SnpInv in SM_A keeps the copy": "CoWR@cpu-gpu",
    "E is granted beside sharers": "2+2W+rel+rel@cpu-gpu",
    "dirty snoop data are not written": "MP+rel+acq@cpu-gpu",
    "one sharer is not snooped": "WRC+rel+acq@cpu-gpu",
    "a store in S hits without Upgrade": "MP+rel+acq@cpu-gpu",
    "a near AtomicLoad returns the new value": "RMW@cpu-gpu",
    "WbFull is no WbFull": "MP+rel+acq@cpu-gpu",
    "SnpInv in MI_A answers without data": "RMW-E@cpu-gpu",
    "stale WbFull is written": "RMW-E@cpu-gpu",
    "an acquire does not wait": "MP+rel+acq@cpu-gpu",
    "a release does not wait": "MP+rel+acq@cpu-gpu",
}


def holds(test: LitmusTest, in_order: bool = False) -> str:
    """A if 5.9 allows the outcome that a test asks for, - if not."""
    return "A" if any(test.condition.holds(dict(found)) for found in allowed(test, in_order)) else "-"


def trace_of(test: LitmusTest, found: dict[str, int]) -> Trace:
    """A run of a test with an outcome, as the checker takes it."""
    addr = {place: 64 * at for at, place in enumerate(test.locations)}
    operations = [
        TraceOperation(
            p, each.kind, addr.get(each.location, 0), addr.get(each.location, 0) // 64,
            value=each.value if each.kind == "store" else None,
            read=found[f"{p}:{each.register}"] if each.kind == "load" else None,
            acquire=each.acquire, release=each.release,
        )
        for p, thread in enumerate(test.threads)
        for each in thread
    ]  # fmt: skip
    operations += [TraceOperation(0, "final", at, at // 64, read=found[place]) for place, at in addr.items()]
    return Trace(operations)


PLAIN = {"load", "store", "fence"}


@pytest.mark.parametrize("name", [
    name for name, test in TESTS.items()
    if "cpu-gpu" in name and {each.kind for thread in test.threads for each in thread} <= PLAIN
    and {each.order for thread in test.threads for each in thread} == {Order.ALL}  # a trace has no others
])  # fmt: skip
def test_checker_agrees_with_the_rules(name: str) -> None:
    """Of every outcome one can think of, the checker of traces says what the rules of 5.9 say."""
    test = TESTS[name]
    numbered = [(p, each) for p, thread in enumerate(test.threads) for each in thread]
    values = {
        place: [0, *(each.value for _, each in numbered if (each.kind, each.location) == ("store", place))]
        for place in test.locations
    }
    names = {f"{p}:{each.register}": each.location for p, each in numbered if each.register}
    names |= {place: place for place in test.locations}
    legal = allowed(test)
    for chosen in product(*(values[place] for place in names.values())):
        found = dict(zip(names, chosen, strict=True))
        verdict = check(trace_of(test, found), "hsl").verdict
        assert verdict == (CONSISTENT if tuple(sorted(found.items())) in legal else VIOLATION), found


def test_table_has_all_rows() -> None:
    """The table of 5.9 was found, whole."""
    assert " ".join(TABLE) == "SB MP LB 2+2W R S WRC IRIW CoRR CoWR"


@pytest.mark.parametrize("shape", TABLE)
def test_tests_are_those_of_the_table(shape: str) -> None:
    """Threads and outcome of a test without fences are those of its row in the table of 5.9."""
    test = TESTS[f"{shape}@cpu-gpu"]
    threads = [
        "; ".join(f"{each.register}={each.location}" if each.register else f"{each.location}={each.value}"
                  for each in thread)
        for thread in test.threads
    ]  # fmt: skip
    asked = [each.rpartition(":")[2] for each in test.condition.text.strip("()").split(" /\\ ")]
    assert [" // ".join(threads), ", ".join(asked)] == [
        TABLE[shape][0], TABLE[shape][1].removesuffix(" at the end")
    ]  # fmt: skip


@pytest.mark.parametrize("shape", TABLE)
def test_derived_verdicts_are_the_table(shape: str) -> None:
    """What is derived from the rules of 5.9 is what its table says, for each column."""
    a, none, one, both = TABLE[shape][2:]
    assert holds(TESTS[f"{shape}@cpu-gpu"], in_order=True) == a
    assert holds(TESTS[f"{shape}@cpu-gpu"]) == none
    fenced = [test for test in TESTS.values() if test.name.startswith(f"{shape}+") and "fence" in test.name]
    for test in fenced:
        marks = test.name.partition("@")[0].removeprefix(f"{shape}+").split("+")
        if set(marks) <= {"fence", "po"}:
            assert holds(test) == (one if "po" in marks else both), test.name


@pytest.mark.parametrize(
    "name", ["MP+rel+acq", "LB+acq+acq", "S+rel+dep", "ISA2+rel+acq+acq", "WRC+acq+dep", "IRIW+acq+acq"]
)
def test_acquire_release_and_dependency_order(name: str) -> None:
    """Acquire, release and dependencies forbid what a fence in their place forbids."""
    assert holds(TESTS[f"{name}@cpu-gpu"]) == "-"


@pytest.mark.parametrize("place", ["cpu-gpu", "gpu-cpu"])
@pytest.mark.parametrize("name", SMALL)
def test_agents_have_the_outcomes_of_the_model(name: str, place: str) -> None:
    """All schedules of the agents have each outcome that 5.9 allows and no other [HSL-COH-030]."""
    result = Explorer().exhaust(TESTS[f"{name}@{place}"])
    assert (result.forbidden, result.missed, result.faults) == (set(), set(), [])
    assert result.schedules >= len(result.counts) > 0


@pytest.mark.parametrize("name", ["SB", "CoRR", "LB+fence+po"])
def test_accesses_in_order_are_sequentially_consistent(name: str) -> None:
    """An agent that starts an access after the one before is complete has no weak outcome (5.9, column a)."""
    test = TESTS[f"{name}@cpu-gpu"]
    result = Explorer(in_order=True).exhaust(test)
    assert result.ok
    assert not any(test.condition.holds(dict(found)) for found in result.counts)


@pytest.mark.parametrize("name", ["MP+fence+fence", "CoWR", "RMW", "2+2W+rel+rel"])
def test_reduction_loses_no_outcome(name: str) -> None:
    """Taking completions at once gives the outcomes of all interleavings, with fewer states."""
    test = TESTS[f"{name}@gpu-cpu"]
    chosen = [case for case in cases(test) if case.caches in ("I", "S")]
    reduced, whole = (Explorer(reduce=reduce).exhaust(test, chosen) for reduce in (True, False))
    assert set(reduced.counts) == set(whole.counts) == whole.allowed
    assert reduced.states < whole.states


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bug_is_seen(bug: str) -> None:
    """Each planted bug shows as a forbidden outcome or as a fault, with the events that lead there."""
    with (PLANTED | MORE)[bug]():
        result = Explorer().exhaust(TESTS[BUGS[bug]])
    assert not result.ok
    assert result.forbidden or result.faults
    assert result.witness or result.faults


@pytest.mark.parametrize("bug", ["SnpInv leaves the S copy", "a fence does not wait"])
def test_planted_bug_gives_a_forbidden_outcome(bug: str) -> None:
    """A stale copy, and a fence that does not wait, give the very outcome that the test asks for."""
    test = TESTS[BUGS[bug]]
    with PLANTED[bug]():
        result = Explorer().exhaust(test)
    assert any(test.condition.holds(dict(found)) for found in result.forbidden)
    assert result.witness[0].startswith("P")


def test_home_that_does_not_wait_for_cmpack_is_seen() -> None:
    """A snoop that overtakes a fill is seen if messages come in any order, and only then [HSL-COH-014]."""
    rows = {
        cell: tuple(row._replace(next="IDLE" if row.next == "ACK" else row.next) for row in rows)
        for cell, rows in HA_TABLE.items()
        if cell[0] != "ACK"
    }
    rows["IDLE", "CmpAck"] = (HA_TABLE["IDLE", "CmpAck"][0]._replace(actions=()),)
    test = TESTS["CoRR@cpu-gpu"]
    with mock.patch.dict(HA_TABLE, rows):
        assert any("SnpInv of 0x0 in IS_D" in fault for fault in Explorer().exhaust(test).faults)
        assert Explorer(reduce=True).exhaust(test).ok


def test_few_locations_are_explored_whole() -> None:
    """Completions come in any order in tests of up to two locations; with more only if asked to."""
    assert not Explorer().exhaust(TESTS["SB@cpu-gpu"], [Case("uncached", "I")]).reduced
    assert Explorer().exhaust(TESTS["ISA2@cpu-gpu"], [Case("uncached", "I")]).reduced


def test_sample_is_of_the_seed() -> None:
    """Schedules drawn from one seed are the same each time, and others of another seed."""
    test = TESTS["SB@cpu-gpu"]
    first, again, other = (Explorer().sample(test, 40, seed).counts for seed in (1, 1, 2))
    assert first == again != other
    assert set(first) <= allowed(test)


def test_states_are_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test with more states than a run keeps is refused, with the number."""
    monkeypatch.setattr(litmus_graph, "MAX_STATES", 20)
    with pytest.raises(ConfigError, match="SB@cpu-gpu: more than 20 states"):
        Explorer().exhaust(TESTS["SB@cpu-gpu"])


def test_states_of_the_rules_are_capped() -> None:
    """A legal text that leaves too many orders to try is refused, also if few schedules are asked for."""
    row = " | ".join(["atomic_load r{0},{1},ADD,1"] * MAX_THREADS) + " ;\n"
    rows = "".join(row.format(at, "wxyz"[at % 4]) for at in range(MAX_ACCESSES))
    test = parse(f"HSL big\n{{}}\nP0 | P1 | P2 | P3 ;\n{rows}exists (x=0)")
    with (
        mock.patch.object(litmus_model, "MAX_STATES", 1000),
        pytest.raises(ConfigError, match=r"5\.9 leaves"),
    ):
        Explorer().sample(test, 1, 1)


def test_cases_are_those_of_5_9() -> None:
    """Cached and non-allocating accesses, each from I, all S, E at each thread, one in S; and evictions."""
    assert cases(TESTS["SB@cpu-gpu"])[:-1] == [
        Case(access, caches)
        for access in ("cached", "uncached")
        for caches in ("I", "S", "E0", "E1", "Sx", "Sy")
    ]
    assert cases(TESTS["SB@cpu-gpu"])[-1] == Case("evicting", "I")
