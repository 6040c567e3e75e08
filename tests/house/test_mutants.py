"""Faults that were planted and that the suite once missed: the tests that are named for each catch it."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.mutation.bench import Bench, opened
from tests.support.mutant_tree import ROOT, Mutant, mutants


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """A copy of the tree in which one fault after the other is planted."""
    with opened(ROOT) as bench:
        yield bench


@pytest.mark.tool("patch", apt="patch")
@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_planted_fault_is_caught(bench: Bench, mutant: Mutant) -> None:
    """A planted fault fails the tests that are named for it, by an assertion of theirs."""
    with bench.tree.planted(mutant):
        for test in mutant.tests:
            assert bench.caught_by(test)


def test_copy_imports_itself(bench: Bench) -> None:
    """Programs in a copy of the tree import `hsl` and `tests` from the copy, with the built extension."""
    program = "import hsl, hsl._native, tests.support.mutant_tree as t; "
    program += "print(hsl.__file__, hsl._native.__file__, t.ROOT)"
    done = bench.tree.run(sys.executable, "-c", program)
    assert done.stdout.count(str(bench.root)) == 3, done.stdout


def test_missed_fault_is_told(bench: Bench) -> None:
    """A test that does not fail catches nothing."""
    with pytest.raises(ValueError, match="does not catch the fault"):
        bench.caught_by("tests/test_nearest.py")


@pytest.mark.parametrize("module", ["tests.mutants", "tests.attacks"])
def test_an_unknown_name_is_refused(module: str) -> None:
    """A name that selects nothing is status 2, not a run of nothing that has not failed."""
    done = subprocess.run(
        [sys.executable, "-m", module, "no-such-name"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "no-such-name" in done.stderr
