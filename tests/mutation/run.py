"""A run: draw mutants, measure the tests without a fault, try every mutant; on several copies of the tree."""

from __future__ import annotations

import queue
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, Final, TypeVar

from tests.mutation.baseline import Baseline, chunks
from tests.mutation.bench import Bench, opened
from tests.mutation.mutants import Mutant, sample
from tests.mutation.packages import Package
from tests.mutation.trial import Outcome, Trial, prepare, run_tests, try_mutant

__all__ = ["draw", "run"]

MEASURE_SECONDS: Final = 900.0  # for the tests of a folder without a fault
AGAIN_SECONDS: Final = 5.0  # what a test is taken to need that has failed under coverage
TESTS_FAILED: Final = 1  # exit code of pytest
REHEARSAL_SECONDS: Final = 10.0
NATIVE: Final = "native"  # its mutants need the C library to be built in each copy
WITHOUT: Final = "parts of the tests without a fault"
Show = Callable[[str, int, int], None]  # what is done, how many, of how many
T = TypeVar("T")
Job = Callable[[Bench], T]


class Pool:
    """Copies of the tree, each with a thread."""

    def __init__(self, benches: list[Bench]) -> None:
        """All are free."""
        self.benches = benches
        self._free: queue.SimpleQueue[Bench] = queue.SimpleQueue()
        for bench in benches:
            self._free.put(bench)
        self._threads = ThreadPoolExecutor(len(benches))

    def _run(self, job: Job[T]) -> T:
        bench = self._free.get()
        try:
            return job(bench)
        finally:
            self._free.put(bench)

    def results(self, jobs: Iterable[Job[T]]) -> Iterator[T]:
        """Run jobs in the order given, on whichever copy is free, and yield what they return as they end."""
        futures: list[Future[T]] = [self._threads.submit(self._run, job) for job in jobs]
        for future in as_completed(futures):
            yield future.result()

    def everywhere(self, job: Job[None]) -> None:
        """Run a job once on each copy."""
        list(self._threads.map(job, self.benches))

    def stop(self) -> None:
        """End what is running."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for bench in self.benches:
            bench.close()
        self._threads.shutdown()


@contextmanager
def pool(root: Path, processes: int) -> Iterator[Pool]:
    """Make the copies; they go away at the end, and what runs in them ends."""
    with ExitStack() as stack:
        found = Pool([stack.enter_context(opened(root)) for _ in range(processes)])
        stack.callback(found.stop)
        yield found


def draw(root: Path, packages: dict[str, Package], seed: int, budget: float) -> list[Mutant]:
    """Draw the sample of all packages, taking turns: if the time is over early, no package lacks a score.

    `budget` in minutes. Mutants in C follow each other file by file: each then needs one build.
    """
    drawn = []
    for name, package in packages.items():
        found = sample(root, name, package, seed, max(1, round(package.per_minute * budget)))
        drawn.append(sorted(found, key=lambda each: each.file) if name == NATIVE else found)
    return [each for each in chain(*zip_longest(*drawn)) if each is not None]


def measure(copies: Pool, packages: dict[str, Package], mutants: list[Mutant], show: Show) -> Baseline:
    """Run the tests without a fault. Raises ValueError if one fails.

    Tests in real time may fail because coverage slows them: those that then pass without it are left out.
    """
    root = copies.benches[0].root
    lines: dict[str, set[int]] = defaultdict(set)
    for mutant in mutants:
        if mutant.file.endswith(".py"):
            lines[mutant.file].update(range(mutant.first, mutant.last + 1))
    wanted = {file: sorted(found) for file, found in lines.items()}
    files = [file for each in packages.values() for file in (*each.own_tests(root), *each.wider_tests(root))]
    jobs = chunks(sorted(set(files)))[::-1]  # those of `tests/verify` take the longest: they go first
    baseline = Baseline()
    show(WITHOUT, 0, len(jobs))

    def job(tests: list[str], bench: Bench) -> dict[str, Any]:
        answer = bench.ask("measure", MEASURE_SECONDS, files=tests, lines=wanted)
        failed = answer.get("failed") or [answer["status"]]
        again = dict.fromkeys(answer.get("failed", []), AGAIN_SECONDS)
        if answer.get("code") == TESTS_FAILED and run_tests(bench, again)[0] is not Outcome.SURVIVED:
            raise ValueError(f"tests fail without a fault: {', '.join(failed)}\n{bench.output()}")
        if answer.get("code") not in (0, TESTS_FAILED):
            raise ValueError(f"tests do not run without a fault: {failed[0]}\n{bench.output()}")
        return answer

    for done, answer in enumerate(copies.results([partial(job, tests) for tests in jobs]), start=1):
        baseline.add(answer)
        show(WITHOUT, done, len(jobs))
    return baseline


def rehearse(copies: Pool, packages: dict[str, Package], baseline: Baseline) -> None:
    """Run chosen tests of each package as a mutant meets them. Raises ValueError if one fails."""

    def job(package: Package, bench: Bench) -> None:
        tests = baseline.some(package.own_tests(bench.root), REHEARSAL_SECONDS)
        outcome, by = run_tests(bench, tests)
        if outcome is not Outcome.SURVIVED:
            raise ValueError(f"tests fail without a fault, in the order of a trial: {by}\n{bench.output()}")

    list(copies.results([partial(job, package) for package in packages.values()]))


def run(
    root: Path,
    packages: dict[str, Package],
    *,
    seed: int,
    budget: float,
    processes: int,
    show: Show,
    tell: Callable[[str], None],
) -> list[Trial]:
    """Draw mutants for a budget of minutes, and try them until it is over. Raises ValueError, BenchLostError.

    The budget begins when the tests without a fault have run. All is read from the copies: the tree itself
    may be edited meanwhile.
    """
    trials: list[Trial] = []
    with pool(root, processes) as copies:
        mutants = draw(copies.benches[0].root, packages, seed, budget)
        if any(mutant.package == NATIVE for mutant in mutants):
            copies.everywhere(prepare)
        baseline = measure(copies, packages, mutants, show)
        rehearse(copies, packages, baseline)
        if baseline.unsteady:
            left_out = ", ".join(baseline.unsteady)
            tell(f"{len(baseline.unsteady)} tests fail under coverage alone and were left out: {left_out}")
        deadline = time.monotonic() + budget * 60

        def job(mutant: Mutant, bench: Bench) -> Trial:
            if time.monotonic() > deadline:
                return Trial(mutant, Outcome.NOT_RUN)
            return try_mutant(bench, mutant, packages[mutant.package], baseline)

        show("mutants", 0, len(mutants))
        for trial in copies.results([partial(job, mutant) for mutant in mutants]):
            trials.append(trial)
            show("mutants", len(trials), len(mutants))
    return trials
