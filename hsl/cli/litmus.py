"""`hsl litmus`: litmus tests of memory order on the agents."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from functools import partial
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import click

from hsl.cli.exits import ExitCode, NothingSelected
from hsl.cli.meter import Meter
from hsl.cli.node import deliver, draw_seed
from hsl.cli.options import is_quiet
from hsl.cli.processes import spread
from hsl.errors import ConfigError
from hsl.files import STDIN, exists, open_text
from hsl.nearest import nearest
from hsl.shown import visible
from hsl.transport.faults import FaultKind, FaultPlan
from hsl.verify.litmus import Explorer, Result
from hsl.verify.litmus_report import herd, record
from hsl.verify.litmus_text import MAX_BYTES, LitmusTest, parse, parse_all

__all__ = ["list_tests", "run_tests"]

SCHEMA = "hsl.litmus/1"
LIST_SCHEMA = "hsl.litmus.list/1"
LONG_THREADS = 4  # tests of so many threads have thirty times the schedules: only with --long
SUFFIX = ".litmus"
FAULTS = "crc:0.03,drop:0.03"  # of a link: a replay in most runs


class How(NamedTuple):
    """Settings of a run of tests."""

    exhaustive: bool
    runs: int
    seed: int
    in_order: bool
    whole: bool
    via: str
    faults: FaultPlan
    hand_over: str


def list_tests(names: tuple[str, ...], as_json: bool) -> int:
    """Run `hsl litmus list`; its exit code."""
    chosen = select(names, long=True)
    tests = [
        {"name": test.name, "title": test.title, "placement": list(test.placement),
         "condition": f"{test.condition.quantifier} {test.condition.text}",
         "long": len(test.threads) >= LONG_THREADS}
        for test in chosen
    ]  # fmt: skip
    deliver({"schema": LIST_SCHEMA, "tests": tests}, as_json, None, show_list)
    return ExitCode.OK


def run_tests(
    names: tuple[str, ...],
    exhaustive: bool,
    long: bool,
    in_order: bool,
    via: str,
    faults: str | None,
    hand_over: str,
    runs: int,
    seed: int | None,
    jobs: int,
    out: Path | None,
    as_json: bool,
) -> int:
    """Run `hsl litmus run`; its exit code."""
    plan = FaultPlan.parse(FAULTS if faults is None else faults).fits(links=1)
    if any(fault.kind is FaultKind.POISON for fault in plan.faults):
        raise ConfigError("litmus: poison changes the messages that agents get; expected other faults")
    chosen = select(names, long)
    how = How(exhaustive, runs, draw_seed(seed), in_order, long, via, plan, hand_over)
    report = judged(chosen, how, jobs)
    deliver(report, as_json, out, show)
    return ExitCode.OK if report["ok"] else ExitCode.FAILED


def judged(chosen: Sequence[LitmusTest], how: How, jobs: int) -> dict[str, Any]:
    """Run tests; the report, which has them in the order of `chosen`."""
    start = time.monotonic()
    order = {test.name: at for at, test in enumerate(chosen)}
    tests = sorted(watch(chosen, how, jobs), key=lambda test: order[test["name"]])
    return {
        "schema": SCHEMA,
        "ok": all(test["ok"] for test in tests),
        "exhaustive": how.exhaustive,
        "in_order": how.in_order,
        "via": how.via,
        "hand_over": how.hand_over,
        "faults": str(how.faults) if how.via == "links" else "none",
        "seed": how.seed,
        "seconds": round(time.monotonic() - start, 3),
        "tests": tests,
        "totals": {
            "tests": len(tests),
            "schedules": sum(test["schedules"] for test in tests),
            "system_states": sum(test["system_states"] for test in tests),
            "forbidden": sum(len(test["forbidden"]) for test in tests),
            "missed": sum(len(test["missed"]) for test in tests),
            "faults": sum(len(test["faults"]) for test in tests),
        },
    }


def select(names: Sequence[str], long: bool) -> list[LitmusTest]:
    """Return the tests of the package that `names` select, all without names, and those of files.

    Raises NothingSelected for a name that selects none, and ConfigError for an invalid file.
    """
    shipped = parse_all((files("hsl._generated") / "litmus.txt").read_text(encoding="utf-8"), "litmus.txt")
    paths = [name for name in names if name.endswith(SUFFIX) or name == STDIN]
    patterns = [name for name in names if name not in paths]
    for pattern in patterns:
        if not any(fnmatchcase(test.name, pattern) for test in shipped):
            raise NothingSelected(unknown(pattern, [test.name for test in shipped]))
    found = [read(Path(name)) for name in paths]
    if patterns or not names:
        found += [t for t in shipped if not names or any(fnmatchcase(t.name, each) for each in patterns)]
    chosen = [test for test in found if long or len(test.threads) < LONG_THREADS or test.name in patterns]
    if not chosen:
        few = f"tests of {LONG_THREADS} threads, which need --long"
        raise NothingSelected(f"{', '.join(names)}: selects only {few}")
    return chosen


def unknown(name: str, tests: Sequence[str]) -> str:
    """Return the line about a name that selects no test: what may have been meant."""
    if exists(name):
        kind = "directory" if Path(name).is_dir() else "file"
        return f"{name}: no test has this name, and a {kind} is read only if its name ends in {SUFFIX}"
    near = f"{name}*" if any(test.startswith(name) for test in tests) else nearest(name.strip("*?"), tests)
    return f"{name}: no test has this name; " + (f"did you mean {near}?" if near else "see hsl litmus list")


def read(path: Path) -> LitmusTest:
    """The test of a file. Raises ConfigError."""
    with open_text(path, MAX_BYTES) as stream:
        return parse(stream.read(MAX_BYTES + 1), str(path))


def watch(chosen: Sequence[LitmusTest], how: How, jobs: int) -> Iterator[dict[str, Any]]:
    """Run tests with progress, groups with most to do first; their records as they come."""
    groups = list(grouped(chosen))
    done = 0
    with Meter("ran", "tests", waiting=f"the first of {len(chosen)} tests") as meter:
        for records in spread(partial(judge, how), groups, min(jobs, len(groups))):
            for record in records:
                done += 1
                meter.show(done, len(chosen))
                yield record


def grouped(chosen: Sequence[LitmusTest]) -> Iterator[list[str]]:
    """The texts of tests that run on the same agents, whose answers are of use to the whole group."""

    def key(test: LitmusTest) -> tuple[int, int, tuple[str, ...]]:
        return -len(test.threads), -len(test.locations), test.placement

    return ([test.text for test in group] for _, group in groupby(sorted(chosen, key=key), key))


def judge(how: How, texts: list[str]) -> list[dict[str, Any]]:
    """Run tests on the same agents and describe their results."""
    explorer = Explorer(
        in_order=how.in_order, reduce=False if how.whole else None, hand_over=how.hand_over == "all"
    )
    tests = [parse(text) for text in texts]
    return [record(run(explorer, test, how)) for test in tests]


def run(explorer: Explorer, test: LitmusTest, how: How) -> Result:
    """Run one test."""
    if how.exhaustive:
        return explorer.exhaust(test)
    if how.via == "links":
        return explorer.over_links(test, how.runs, how.seed, how.faults)
    return explorer.sample(test, how.runs, how.seed)


def show_list(report: dict[str, Any]) -> None:
    """A list as a person reads it."""
    for test in report["tests"]:
        click.echo(f"{test['name']:<32} {visible(test['title'])}{' (--long)' if test['long'] else ''}")


def show(report: dict[str, Any]) -> None:
    """Print a report as herd does, and a last line of totals; with -q that line only."""
    for test in [] if is_quiet() else report["tests"]:
        for line in herd(test):
            click.echo(line)
    totals = report["totals"]
    click.echo(
        f"{totals['tests']} tests, {totals['schedules']} schedules, {totals['system_states']} states of the "
        f"system: {totals['forbidden']} forbidden outcomes, {totals['missed']} not reached, "
        f"{totals['faults']} faults"
    )
