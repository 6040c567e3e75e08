"""Litmus tests: outcomes on the real agents are those of 5.9, exactly; planted bugs are seen."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from importlib.resources import files
from itertools import product, takewhile
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from hsl._generated.constants import Aop
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


def table(column: str) -> dict[str, list[str]]:
    """The rows of the table of 5.9 that has this heading, as printed: test to the cells behind it."""
    lines = CHAPTER.splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("| test ") and column in line)
    rows = takewhile(lambda line: line.startswith("|"), lines[start + 2 :])
    return {
        name: cells for name, *cells in ([cell.strip() for cell in row.strip("|").split("|")] for row in rows)
    }


# Test to threads, outcome, and verdicts: (a), (b) no fence, one, each; one fence of a kind in each thread;
# one in the first thread, which may be none.
TABLE, KINDS, NCR = table("| (a) |"), table("| ld, ld |"), table("| none |")
SMALL = (
    "LB+fence.ld+fence.ld", "SB+fence.st+fence.st",
    "SB", "MP+fence+fence", "LB+dep+dep", "CoRR", "CoWR", "RMW", "RMW-W",
    "SB-AL+fence.st+fence.st", "SB-CAS+fence.ld+fence.ld", "SB-AS+fence.ld+fence.ld",
    "S-AL+fence.nc+fence.nc",
)  # fmt: skip
ORDER = {"ld": Order.LOAD, "st": Order.STORE, "nc": Order.NCR, "fence": Order.ALL}


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


# An instruction as the tables print it: {at} @0 for a register of the first thread, {on} /1 for stream 1.
PRINTED = {
    "load": "{register}={location}", "store": "{location}={value}", "ncread": "{register}={location}{at}{on}",
    "ncwrite": "{location}{at}={value}{on}", "intr": "{location}{at}={value}{on}",
    "wait": "{register}=await {location}", "atomic_load": "{register}={aop}({location},{operand})",
    "atomic_store": "{aop}({location},{operand})", "fence": "{order}",
}  # fmt: skip


def printed(test: LitmusTest, each: Instruction) -> str:
    """An instruction in the words of the tables."""
    operand = f"{each.compare},{each.value}" if each.aop == Aop.CAS else each.value
    order = next(name for name, order in ORDER.items() if order == each.order)
    marks = {
        "at": "@0" if test.registers.get(each.location) == 0 else "",
        "on": f"/{each.stream}" if each.stream else "",
    }
    words = each._asdict() | {"aop": Aop(each.aop).name, "operand": operand, "order": order}
    return PRINTED[each.kind].format(**words | marks)


def asked(test: LitmusTest) -> list[str]:
    """Threads and outcome of a test in the words of the tables."""
    threads = ["; ".join(printed(test, each) for each in thread) for thread in test.threads]
    outcome = [each.rpartition(":")[2] for each in test.condition.text.strip("()").split(" /\\ ")]
    return [" // ".join(threads), ", ".join(outcome)]


def plain(shape: str) -> LitmusTest:
    """The first test of a shape, without the fences between two accesses of a thread."""
    test = next(test for name, test in TESTS.items() if re.split(r"@|\+fence", name)[0] == shape)
    threads = tuple(
        (thread[0], *thread[2:]) if len(thread) == 3 and test.name.count("+fence") > p else thread
        for p, thread in enumerate(test.threads)
    )
    return replace(test, threads=threads)


def fenced(test: LitmusTest, *fences: str) -> LitmusTest:
    """A test with a fence behind the first access of each thread, "none" for none."""
    threads = list(test.threads)
    for p, name in enumerate(fences):
        between = () if name == "none" else (Instruction("fence", order=ORDER[name]),)
        threads[p] = (threads[p][0], *between, *threads[p][1:])
    return replace(test, threads=tuple(threads))


@pytest.mark.parametrize("rows", [TABLE, KINDS, NCR])
def test_tests_are_those_of_the_table(rows: dict[str, list[str]]) -> None:
    """Threads and outcome of each test without its fences are those of its row in a table of 5.9."""
    for shape, cells in rows.items():
        assert asked(plain(shape)) == [cells[0], cells[1].removesuffix(" at the end")], shape


def test_tables_have_all_rows() -> None:
    """Each test of a partial fence, and each of NCR with a row of its own, is in a table of 5.9."""
    names = {name.partition("@")[0] for name in TESTS}
    kinds = {name.partition("+fence.")[0] for name in names if name.count("+fence.") == 2}
    assert kinds == set(KINDS)
    ncr = {re.split(r"@|\+fence", name)[0] for name, test in TESTS.items() if test.registers}
    assert ncr - set(NCR) == {"I-MP-3", "D-MP-2"}
    assert set(NCR) <= ncr


@pytest.mark.parametrize("shape", KINDS)
def test_partial_fences_order_what_the_table_says(shape: str) -> None:
    """What 5.9 F1 makes of a fence of some kinds is what its table says; the tests shipped are these."""
    for column, verdict in zip(("ld ld", "st st", "nc nc", "st ld"), KINDS[shape][2:], strict=True):
        one, other = column.split()
        assert holds(fenced(plain(shape), one, other)) == verdict, (shape, column)
        assert holds(TESTS[f"{shape}+fence.{one}+fence.{other}@cpu-gpu"]) == verdict, (shape, column)


@pytest.mark.parametrize("shape", NCR)
def test_ncr_is_ordered_as_the_table_says(shape: str) -> None:
    """What F1, O2 to O4 make of NCR beside coherent accesses is what the table of 5.9 says."""
    for fence, verdict in zip(("none", "ld", "st", "nc"), NCR[shape][2:], strict=True):
        assert holds(fenced(plain(shape), fence)) == verdict, (shape, fence)


@pytest.mark.parametrize("name", [name for name, test in TESTS.items() if test.registers and "@cpu" in name])
def test_ncr_of_the_agents_has_the_outcomes_of_the_model(name: str) -> None:
    """All schedules of NCR and fences have each outcome that 5.9 and O4 allow, and no other.

    [HSL-NCR-001] [HSL-NCR-002]
    """
    result = Explorer().exhaust(TESTS[name])
    assert (result.forbidden, result.missed, result.faults) == (set(), set(), [])


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


def test_a_wait_that_never_ends_is_refused() -> None:
    """A thread that waits for what it would send itself is refused: it has no outcome."""
    test = parse("HSL T\nRegisters=a@P0\n{}\nP0;\nwait r0,a;\nncwrite a,1;\nexists (0:r0=1)")
    with pytest.raises(ConfigError, match="waits for what never comes"):
        Explorer().exhaust(test)


def test_initial_values_of_registers() -> None:
    """A device register has the value that the text gives it."""
    test = parse("HSL T\nRegisters=a@P0\n{ a=5; }\nP0;\nncread r0,a;\nexists (0:r0=5)")
    result = Explorer().exhaust(test)
    assert result.ok
    assert set(result.counts) == {(("0:r0", 5), ("a", 5))}


def test_cases_are_those_of_5_9() -> None:
    """Cached and non-allocating accesses, each from I, all S, E at each thread, one in S; and evictions."""
    assert cases(TESTS["SB@cpu-gpu"])[:-1] == [
        Case(access, caches)
        for access in ("cached", "uncached")
        for caches in ("I", "S", "E0", "E1", "Sx", "Sy")
    ]
    assert cases(TESTS["SB@cpu-gpu"])[-1] == Case("evicting", "I")
    assert cases(TESTS["I-MP@cpu-gpu"]) == [Case("cached", "I"), Case("evicting", "I")]
