"""`hsl stress`: the random tester of coherence."""

from __future__ import annotations

import shlex
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import click

from hsl.cli.check import load
from hsl.cli.exits import ExitCode
from hsl.cli.meter import Meter
from hsl.cli.node import deliver, draw_seed
from hsl.cli.options import is_quiet
from hsl.engine.select import engines
from hsl.errors import ConfigError
from hsl.files import create_text
from hsl.shown import visible
from hsl.verify.given import program_of
from hsl.verify.issuer import Issuer
from hsl.verify.operation import Operation
from hsl.verify.replay import MAX_OPERATIONS, SUFFIX, Recording, write
from hsl.verify.stress import beginning, minimize, program, run
from hsl.verify.stress_config import StressConfig
from hsl.verify.verdict import Stopped, Verdict

__all__ = ["stress"]

SCHEMA = "hsl.stress/1"
DEFAULT = StressConfig()
LISTED = 1000  # operations of a failure that a report lists; the file has any number
OPTIONS = {
    "kinds": "with",
    "hand_over": "hand-over",
    "directory_lines": "directory-lines",
}  # of settings that have another name


def stress(
    seed: int | None,
    file: Path | None,
    time_limit: float | None,
    shrink: bool,
    engine: str | None,
    save: Path | None,
    out: Path | None,
    as_json: bool,
    **settings: Any,
) -> int:
    """Run `hsl stress`; its exit code."""
    config = StressConfig(seed=draw_seed(seed), **settings)
    given = None if file is None else given_program(file, config)
    config = config if given is None else replace(config, ops=len(given))
    start = time.monotonic()
    verdict, done = watch(config, given, engine, start, time_limit)
    report = {
        "schema": SCHEMA,
        "ok": verdict is None or not verdict.violation,
        "complete": verdict is not None,
        "config": config.record(),
        "kinds": list(config.having),
        "engines": engines(engine),
        "seconds": round(time.monotonic() - start, 3),
        "ended": done,
        "operations": None if file is None else str(file),
        "violation": "",
        "failure": None,
        "saved": None,
    }
    unsaved = None
    if verdict is not None:
        found, unsaved = judged(config, given, verdict, How(engine, shrink, save, file))
        report |= found
    deliver(report, as_json, out, show)
    if unsaved is not None:
        raise unsaved
    return ExitCode.OK if report["ok"] else ExitCode.FAILED


class How(NamedTuple):
    """Settings for a verdict: the engine, whether a failure is shrunk, the file of the recording."""

    engine: str | None
    shrink: bool
    save: Path | None
    file: Path | None


def judged(
    config: StressConfig, given: list[Operation] | None, verdict: Verdict, how: How
) -> tuple[dict[str, Any], ConfigError | None]:
    """Return what a report has of a verdict; shrink and save a failure, save a run for --save.

    The error is that of a file that could not be written.
    """
    unsaved = None
    report: dict[str, Any] = {"messages": verdict.messages, "virtual_ns": verdict.time}
    report["counters"] = verdict.details
    if verdict.violation:
        path = how.save or Path(f"stress-{config.seed}{SUFFIX}")
        found, unsaved = failure(config, given, verdict, how.engine, how.shrink, path)
        report["violation"] = verdict.violation
        report["failure"] = found | {"again": again(config, how.file)}
        report["saved"] = str(path) if found["replay"] else None
    elif how.save is not None and config.ops <= MAX_OPERATIONS:
        unsaved = store(Recording.of_stress(config, given or program(config), verdict), how.save)
        report["saved"] = None if unsaved else str(how.save)
    return report, unsaved


def given_program(file: Path, config: StressConfig) -> list[Operation]:
    """Return the operations of a file. Raises ConfigError for an invalid file, or one without any."""
    trace = load(file)
    try:
        program = program_of(trace, config)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error
    if not program:
        raise ConfigError(f"{file}: no operation to run")
    return program


def watch(
    config: StressConfig,
    given: list[Operation] | None,
    engine: str | None,
    start: float,
    limit: float | None,
) -> tuple[Verdict | None, int]:
    """Run with progress; the verdict, None when the limit came first, and how many operations ended."""
    done = 0
    with Meter("ended", "operations") as meter:

        def step(issuer: Issuer) -> None:
            nonlocal done
            done = issuer.finished
            meter.show(done, config.ops)
            if limit is not None and time.monotonic() - start > limit:
                raise Stopped

        try:
            verdict = run(config, given, engine=engine, progress=step)
        except Stopped:
            return None, done
    return verdict, verdict.ended


def failure(
    config: StressConfig,
    given: list[Operation] | None,
    verdict: Verdict,
    engine: str | None,
    shrink: bool,
    save: Path,
) -> tuple[dict[str, Any], ConfigError | None]:
    """Make a failure small, save it, and describe it; the error if it could not be saved."""
    waiting = "a smaller run that fails" if shrink else "the run, once more, with its trace"
    with Meter("kept", "operations", waiting=waiting) as meter:
        meter.say(f"violation after {verdict.begun} operations: {verdict.violation}")
        if shrink:
            least, kept = minimize(config, verdict, engine=engine, operations=given)
        else:
            least, kept = beginning(config, verdict, given)
        verdict = run(least, kept, engine=engine, trace=True)
        saved, unsaved = len(kept) <= MAX_OPERATIONS, None
        if saved:
            unsaved = store(Recording.of_stress(least, kept, verdict), save)
            saved = unsaved is None
    described = {
        "violation": verdict.violation,
        "line": verdict.line,
        "operations": [str(operation) for operation in kept] if len(kept) <= LISTED else None,
        "trace": list(verdict.trace),
        "replay": f"hsl replay {shlex.quote(str(save))}" if saved else None,
    }
    return described, unsaved


def store(recording: Recording, path: Path) -> ConfigError | None:
    """Save a recording. Return the error if it cannot be written; the caller prints the report first."""
    try:
        with create_text(path) as stream:
            write(recording, stream)
    except ConfigError as error:
        return error
    return None


def again(config: StressConfig, file: Path | None = None) -> str:
    """The command that runs a configuration, and the operations of a file if there is one."""
    plain = asdict(DEFAULT)
    changed = {
        OPTIONS.get(name, name): value
        for name, value in asdict(config).items()
        if name == "seed" or value != plain[name]
    }
    if file is not None:
        changed = {"input": file} | {name: value for name, value in changed.items() if name != "ops"}
    return " ".join(
        ["hsl stress", *(f"--{name} {shlex.quote(str(value))}" for name, value in changed.items())]
    )


def show(report: dict[str, Any]) -> None:
    """Print the report for a person; with -q the verdict only."""
    if is_quiet() and report["ok"]:
        click.echo("nothing forbidden was seen" if report["complete"] else "stopped by the time limit")
        return
    kinds = ", ".join(report["kinds"]) or "plain accesses only"
    rate = report["ended"] / report["seconds"] if report["seconds"] else 0
    click.echo(f"seed {report['config']['seed']}: {report['ended']} operations ended, {rate:.0f} a second")
    click.echo(f"with {kinds}")
    if not report["complete"]:
        click.echo("stopped by the time limit; nothing forbidden was seen until then")
        return
    counters = ", ".join(f"{name} {value}" for name, value in report["counters"].items())
    click.echo(f"{report['messages']} messages, {report['virtual_ns']} ns of virtual time; {counters}")
    if report["ok"]:
        click.echo(
            "nothing forbidden was seen" + (f"; saved: {visible(report['saved'])}" if report["saved"] else "")
        )
        return
    found = report["failure"]
    click.echo(f"FORBIDDEN: {report['violation']}")
    for title, lines in (("operations", found["operations"]), ("what happened", found["trace"])):
        if lines:
            click.echo(f"{title}:")
            for line in lines:
                click.echo(f"  {line}")
    replay = f"; shrunk: {found['replay']}" if found["replay"] else ""
    click.echo(visible(f"again: {found['again']}{replay}"))
