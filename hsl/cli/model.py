"""`hsl model`: search all states of the models in `spec/model/`, and of their mutants."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from hsl.cli.exits import ExitCode, NothingSelected
from hsl.cli.json_text import print_json
from hsl.cli.meter import Meter
from hsl.cli.processes import Children
from hsl.cli.rumur import APT, Checker, ModelBroken, Outcome, ToolMissing
from hsl.cli.tables import print_table
from hsl.errors import ConfigError, reason
from hsl.nearest import expected

__all__ = ["coherence", "link"]

ROOT = Path(__file__).parents[2]
NAMED = 4  # models that a line of progress names
NEEDS = f"run it there, after apt-get install -y --no-install-recommends {' '.join(APT.values())}"
TIMEOUT = 1800.0  # seconds: several times what the largest model takes on one slow core


def texts(root: Path) -> ModuleType:
    """`spec/model/registry.py` of the checkout. Raises ToolMissing when there is none."""
    path = root / "spec/model/registry.py"
    found = spec_from_file_location("hsl_spec_model_registry", path)
    if not path.exists() or found is None or found.loader is None:
        raise ToolMissing(f"the models are in a checkout of hsl, not in the installed package; {NEEDS}")
    module = module_from_spec(found)
    sys.modules[found.name] = module
    found.loader.exec_module(module)
    return module


def link(**chosen: Any) -> int:
    """Run `hsl model link`; its exit code."""
    return check("link", **chosen)


def coherence(**chosen: Any) -> int:
    """Run `hsl model coherence`; its exit code."""
    return check("coherence", **chosen)


def check(of: str, **given: Any) -> int:
    """Check the models that were asked for of one layer, report them, and return the exit code."""
    with Children() as children:
        return checked(of, children, **given)


def checked(
    of: str,
    children: Children,
    *,
    mutants: bool,
    only: tuple[str, ...],
    jobs: int,
    as_json: bool,
    **given: Any,
) -> int:
    """As `check`, with these processes."""
    try:
        runs = texts(ROOT).load(ROOT / "spec", "mutants" if mutants else "models", of)
        chosen = selected(runs, mutants, only, given)
        checker = Checker(given["cache"] or ROOT / "build/models", TIMEOUT, children)
    except ToolMissing as missing:
        click.echo(f"hsl: {missing}", err=True)
        return ExitCode.INTERNAL
    except OSError as error:
        raise ConfigError(f"--cache {given['cache']}: {reason(error)}") from error
    start = time.monotonic()
    rows = search(checker, chosen, jobs)
    report = {
        "schema": "hsl.model/1",
        "of": of,
        "rumur": checker.version,
        "seconds": round(time.monotonic() - start, 3),
        "runs": rows,
        "ok": all(row["ok"] for row in rows),
    }
    if as_json:
        print_json(report)
    else:
        show(report)
    if any(row["verdict"] == "broken" for row in rows):
        return ExitCode.INTERNAL
    return ExitCode.OK if report["ok"] else ExitCode.FAILED


def selected(runs: list[Any], mutants: bool, only: tuple[str, ...], given: dict[str, Any]) -> list[Any]:
    """Return the runs that the options ask for. A large model runs if it is named, or with --full.

    Raises NothingSelected if there are none.
    """
    known = {run.id for run in runs}
    what = "mutant" if mutants else "model"
    for name in only:
        if name not in known:
            raise NothingSelected(f"--only {name}: no {what} has this name; {expected(sorted(known), name)}")
    agents, full = given.get("agents"), given.get("full")
    chosen = [
        run
        for run in runs
        if (run.id in only if only else full or not run.full)
        and (run.short or not given["short"])
        and agents in (None, run.agents)
    ]
    if not chosen:
        asked = [*(f"--only {name}" for name in only), *(["--short"] if given["short"] else [])]
        raise NothingSelected(
            f"no {what} fits {' '.join([*asked, *([f'--agents {agents}'] if agents else [])])}"
        )
    return chosen


def search(checker: Checker, runs: list[Any], jobs: int) -> list[dict[str, Any]]:
    """Check all runs, some at once, the longest first; rows come back in the order of `runs`."""
    rows: dict[str, dict[str, Any]] = {}
    with ThreadPoolExecutor(jobs) as pool:
        try:
            longest_first = sorted(runs, key=lambda run: -run.cost)
            futures = {pool.submit(one, checker, run): run for run in longest_first}
            for row in shown(futures):
                rows[row["id"]] = row
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            checker.children.kill()  # what waits for them in the threads ends
            raise
    return [rows[run.id] for run in runs]


def one(checker: Checker, run: Any) -> dict[str, Any]:
    """Return the row of one run: its result, and `ok` if that is the expected one."""
    row = {"id": run.id, "kind": run.kind, "model": run.model, "about": run.about, "expected": run.expected}
    try:
        found = checker.check(run.text, run.visits)
    except ModelBroken as broken:
        nothing = {"states": 0, "rules": 0, "seconds": 0.0, "cached": False, "violated": "", "trace": []}
        return row | nothing | {"verdict": "broken", "ok": False, "note": str(broken)}
    verdict = verdict_of(run.kind, run.expected, found)
    return row | {
        "states": found.states,
        "rules": found.rules,
        "seconds": round(found.seconds, 3),
        "cached": found.cached,
        "violated": found.violated,
        "trace": list(found.trace),
        "verdict": verdict,
        "ok": verdict in ("clean", "caught"),
        "note": "",
    }


def verdict_of(kind: str, expected: str, found: Outcome) -> str:
    """A model is clean or violated, a mutant caught, missed, or astray: not the expected property failed."""
    if kind == "model":
        return "violated" if found.violated else "clean"
    if not found.violated:
        return "missed"
    return "caught" if found.violated == expected else "astray"


def shown(futures: dict[Future[dict[str, Any]], Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows as they come, with progress and the models that are still searched."""
    left = {run.id: run for run in futures.values()}
    with Meter("searched", "models", waiting=waited(list(left), len(futures))) as meter:
        for done, future in enumerate(as_completed(futures), start=1):
            row = future.result()
            del left[row["id"]]
            meter.show(done, len(futures))
            meter.wait(waited(list(left), len(futures)))
            yield row


def waited(left: list[str], total: int) -> str:
    """Return which models are waited for; "" when none is left."""
    names = ", ".join(left[:NAMED]) + (" and others" if len(left) > NAMED else "")
    return f"{len(left)} of {total} models: {names}" if left else ""


def show(report: dict[str, Any]) -> None:
    """The table of a report, and below it how each run that is not as expected came about."""
    rows = [
        (row["id"], f"{row['states']:,}", f"{row['rules']:,}", f"{row['seconds']:.1f}", row["verdict"])
        for row in report["runs"]
    ]
    print_table("", ("", "states", "rules fired", "s", "verdict"), rows)
    for row in report["runs"]:
        click.echo(f"{row['id']}: {row['note'] or row['violated'] or row['about']}")
    for row in report["runs"]:
        if not row["ok"]:
            click.echo(f"\n{row['id']}: {row['verdict']}; expected: {row['expected'] or 'clean'}")
            for number, step in enumerate(row["trace"]):
                click.echo(f"{number:4} {step}")
    good = sum(row["ok"] for row in report["runs"])
    click.echo(
        f"{good} of {len(report['runs'])} as expected, {report['seconds']:.0f} s, rumur {report['rumur']}"
    )
