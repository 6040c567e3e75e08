"""The tests without a fault: that they pass, the seconds of each, and which mutated lines it reaches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.mutation.mutants import Mutant

__all__ = ["Baseline", "Choice", "chunks"]

# Seconds of tests, as they are without a fault, that a mutant is tried with.
OWN_SECONDS: Final = 45.0
WIDER_SECONDS: Final = 15.0
PART: Final = 6  # test files of a job
SLOW_SECONDS: Final = 0.1  # a test that takes more waits until the quick ones of all files have run
IMPORT: Final = -1  # in the place of a test: the line is reached when its module is loaded


class Choice(NamedTuple):
    """Tests for a mutant, in the order of the run, with their seconds without a fault."""

    tests: dict[str, float]
    left_out: int  # tests that reach it and have no time


def chunks(files: Iterable[str]) -> list[list[str]]:
    """Split test files by folder, and large folders in parts: each is a job of the baseline."""
    found: dict[str, list[str]] = defaultdict(list)
    for file in files:
        found[str(Path(file).parent)].append(file)
    return [
        folder[start : start + PART] for folder in found.values() for start in range(0, len(folder), PART)
    ]


class Baseline:
    """Results of the jobs of kind "measure"."""

    def __init__(self) -> None:
        """Nothing is known."""
        self.seconds: dict[str, float] = {}
        self.unsteady: list[str] = []  # failed once, then passed
        self._reached: dict[tuple[str, int], set[str]] = defaultdict(set)
        self._imported: set[tuple[str, int]] = set()

    def add(self, answer: dict[str, Any]) -> None:
        """Take an answer of the server; a test that failed there is never chosen."""
        names = list(answer["seconds"])
        steady = answer["seconds"].keys() - set(answer["failed"])
        self.unsteady += sorted(set(answer["failed"]))
        self.seconds |= {name: taken for name, taken in answer["seconds"].items() if name in steady}
        for file, lines in answer["reached"].items():
            for line, numbers in lines.items():
                place = (file, int(line))
                self._reached[place].update(names[number] for number in numbers if number != IMPORT)
                if IMPORT in numbers:
                    self._imported.add(place)

    def choose(self, mutant: Mutant, files: Iterable[str], seconds: float) -> Choice:
        """Choose those tests of the files that reach the mutant, quick ones first, for up to `seconds`.

        Choose all tests of the files if the line runs as its module is loaded, or if results are cached.
        """
        places = [(mutant.file, line) for line in range(mutant.first, mutant.last + 1)]
        every = mutant.cached or not mutant.file.endswith(".py") or any(p in self._imported for p in places)
        wanted = set(files)
        tests = {
            name: taken
            for name, taken in self.seconds.items()
            if name.split("::")[0] in wanted and (every or any(name in self._reached[p] for p in places))
        }
        return cut(tests, seconds)

    def some(self, files: Iterable[str], seconds: float) -> dict[str, float]:
        """Choose tests of the files, quick ones first, for up to `seconds`."""
        wanted = set(files)
        tests = {name: taken for name, taken in self.seconds.items() if name.split("::")[0] in wanted}
        return cut(tests, seconds).tests


def cut(tests: dict[str, float], seconds: float) -> Choice:
    """Order tests so that quick ones come first and a file's stay together, and end after `seconds`."""
    of_file: dict[str, float] = defaultdict(float)
    for name, taken in tests.items():
        of_file[name.split("::")[0]] += taken

    def order(name: str) -> tuple[bool, float, str, float]:
        file = name.split("::")[0]
        return tests[name] > SLOW_SECONDS, of_file[file], file, tests[name]

    chosen: dict[str, float] = {}
    total = 0.0
    for name in sorted(tests, key=order):
        total += tests[name]
        if chosen and total > seconds:
            break
        chosen[name] = tests[name]
    return Choice(chosen, len(tests) - len(chosen))
