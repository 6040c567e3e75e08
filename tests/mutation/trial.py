"""Plant a mutant and run tests: those of its package, then, if it survives, those of other packages."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from tests.mutation.baseline import OWN_SECONDS, WIDER_SECONDS, Baseline
from tests.mutation.bench import Bench
from tests.mutation.mutants import Mutant
from tests.mutation.packages import Package

__all__ = ["Outcome", "Trial", "prepare", "try_mutant"]

# Limits: so many times the seconds without a fault, and so many more.
TEST_FACTOR: Final = 10.0
TEST_SECONDS: Final = 5.0
RUN_FACTOR: Final = 3.0  # all tests of a run together
RUN_SECONDS: Final = 30.0
BUILD_SECONDS: Final = 300.0
CTEST_SECONDS: Final = 120.0
NO_TESTS: Final = 5  # exit code of pytest
EXTENSION, CHECKED = "build/extension", "build/checked"  # folders of the builds


class Outcome(StrEnum):
    """The result of a mutant."""

    KILLED = "killed"
    TIMEOUT = "timeout"  # killed too: a test hangs
    SURVIVED = "survived"
    INVALID = "invalid"  # C that does not compile
    EQUIVALENT = "equivalent"  # the compiler makes the same of it
    NOT_RUN = "not run"  # the time was over


class Trial(NamedTuple):
    """The outcome of a mutant, with what killed it, or with all tests that it survived."""

    mutant: Mutant
    outcome: Outcome
    by: str = ""
    tests: Mapping[str, int] = MappingProxyType({})  # of a survivor: test file, or "ctest" -> tests that ran
    left_out: int = 0  # tests that reach it and had no time


def configure(bench: Bench, folder: str, *defines: str) -> bool:
    """Configure a build of the C library in the copy."""
    arguments = ("cmake", "-S", "native", "-B", folder, "-G", "Ninja", *(f"-D{each}" for each in defines))
    return bench.command(*arguments, seconds=BUILD_SECONDS)


def build(bench: Bench, folder: str) -> bool:
    """Build; False if the sources do not compile."""
    return bench.command("cmake", "--build", folder, seconds=BUILD_SECONDS)


def extension(bench: Bench) -> Path:
    """Return the file of the extension that was built."""
    return next((bench.root / EXTENSION).glob("_native*.so"))


def ctest(bench: Bench) -> bool:
    """Run the C tests, under sanitizers."""
    command = ("ctest", "--test-dir", CHECKED, "--no-tests=error", "--stop-on-failure", "--timeout", "30")
    return bench.command(*command, seconds=CTEST_SECONDS)


def prepare(bench: Bench) -> None:
    """Build the C library in the copy. Raises ValueError if that or the C tests fail without a fault."""
    optimized = ("CMAKE_BUILD_TYPE=Release", "HSL_EXTENSION=ON")
    checked = ("CMAKE_BUILD_TYPE=Debug", "HSL_TESTS=ON", "HSL_SANITIZE=ON")
    for folder, defines in ((EXTENSION, optimized), (CHECKED, checked)):
        if not (configure(bench, folder, *defines) and build(bench, folder)):
            raise ValueError(f"the copy cannot be built:\n{bench.output()}")
    if not ctest(bench):
        raise ValueError(f"the C tests fail without a fault:\n{bench.output()}")
    bench.sound = fingerprint(bench)


def ctests(root: Path) -> int:
    """Return the number of C tests."""
    return len(list((root / "native/tests").glob("test_*.c")))


def fingerprint(bench: Bench) -> bytes:
    """Return a hash of the extension that was built."""
    return hashlib.sha256(extension(bench).read_bytes()).digest()


def judge(answer: dict[str, Any]) -> tuple[Outcome, str]:
    """Return what the server's answer to a job of tests says, and the test that killed the mutant."""
    by = answer.get("failed") or "import"
    if answer["status"] == "timeout":
        return Outcome.TIMEOUT, by
    if answer["status"] == "crashed":
        return Outcome.KILLED, f"crash in {by}"
    return (Outcome.SURVIVED, "") if answer["code"] in (0, NO_TESTS) else (Outcome.KILLED, by)


def run_tests(bench: Bench, tests: dict[str, float]) -> tuple[Outcome, str]:
    """Run tests with the mutant in place; the outcome, and the test that killed it.

    A test that hangs is tried again alone, with more time: on a busy machine it may have been slow.
    """
    while tests:
        seconds = RUN_SECONDS + RUN_FACTOR * sum(tests.values())
        limits = {name: TEST_SECONDS + TEST_FACTOR * taken for name, taken in tests.items()}
        outcome, by = judge(bench.ask("tests", seconds, tests=limits))
        if outcome is not Outcome.TIMEOUT or by not in tests:
            return outcome, by
        outcome, _ = judge(bench.ask("tests", 2 * seconds, tests={by: 2 * limits[by]}))
        if outcome is not Outcome.SURVIVED:
            return outcome, by
        names = list(tests)
        tests = {name: tests[name] for name in names[names.index(by) + 1 :]}
    return Outcome.SURVIVED, ""


def python_trial(bench: Bench, mutant: Mutant, package: Package, baseline: Baseline) -> Trial:
    """Run the tests of Python."""
    ran: Counter[str] = Counter()
    missed = 0
    stages = ((package.own_tests(bench.root), OWN_SECONDS), (package.wider_tests(bench.root), WIDER_SECONDS))
    for files, seconds in stages:
        choice = baseline.choose(mutant, files, seconds)
        outcome, by = run_tests(bench, choice.tests)
        if outcome is not Outcome.SURVIVED:
            return Trial(mutant, outcome, by)
        ran.update(name.split("::")[0] for name in choice.tests)
        missed += choice.left_out
    return Trial(mutant, Outcome.SURVIVED, tests=dict(ran), left_out=missed)


def native_trial(bench: Bench, mutant: Mutant, package: Package, baseline: Baseline) -> Trial:
    """Build, then run the C tests, then those of Python with the mutated extension."""
    if not build(bench, EXTENSION):
        return Trial(mutant, Outcome.INVALID)
    if fingerprint(bench) == bench.sound:
        return Trial(mutant, Outcome.EQUIVALENT)
    if not build(bench, CHECKED):  # the sanitizers' compiler warns of more, or a table's program crashes
        return Trial(mutant, Outcome.INVALID)
    if not ctest(bench):
        return Trial(mutant, Outcome.KILLED, "ctest")
    installed = next((bench.root / "hsl").glob("_native*.so"))
    original = installed.read_bytes()
    installed.unlink()  # a new file: the old one may be mapped
    installed.write_bytes(extension(bench).read_bytes())
    try:
        trial = python_trial(bench, mutant, package, baseline)
        return trial._replace(tests={"ctest": ctests(bench.root), **trial.tests})
    finally:
        installed.unlink()
        installed.write_bytes(original)


def try_mutant(bench: Bench, mutant: Mutant, package: Package, baseline: Baseline) -> Trial:
    """Plant a mutant and try it."""
    with bench.planted(mutant.file, mutant.text):
        if mutant.file.endswith(".py"):
            return python_trial(bench, mutant, package, baseline)
        return native_trial(bench, mutant, package, baseline)
