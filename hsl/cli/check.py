"""`hsl check`: does a memory model explain what a run has read."""

from __future__ import annotations

import io
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import click

from hsl.cli.exits import ExitCode, NothingSelected
from hsl.cli.node import deliver
from hsl.cli.options import is_quiet
from hsl.errors import ConfigError
from hsl.files import TEXT, open_file
from hsl.verify.capture_operations import Seen, operations_of
from hsl.verify.checker import VIOLATION, check
from hsl.verify.trace_operation import MAX_LINE, Trace, axe, read_trace

__all__ = ["check_file"]

SCHEMA = "hsl.check/1"
MAGIC = b"\n\r\r\n"  # of pcapng


def check_file(
    file: Path, model: str, global_clock: bool, export: str | None, out: Path | None, as_json: bool
) -> int:
    """Run `hsl check`; its exit code."""
    seen, trace = read(file)
    if not trace.operations:
        raise NothingSelected(f"{file}: no operation to judge{'' if seen is None else why_nothing(seen)}")
    if global_clock and not any((each.begin, each.end) != (None, None) for each in trace.operations):
        raise ConfigError(f"{file}: --global-clock needs operations with begin or end")
    if export is not None:
        if marks := sum(each.acquire + each.release for each in trace.operations):
            click.echo(f"hsl: axe has no acquire and no release: {marks} are left out", err=True)
        click.echo("\n".join(axe(trace)))
        return ExitCode.OK
    finding = check(trace, model, global_clock)
    report = {
        "schema": SCHEMA,
        "ok": finding.verdict != VIOLATION,
        "file": str(file),
        "model": model,
        "operations": len(trace.operations),
    } | asdict(finding)
    report["capture"] = None if seen is None else {"words": seen.words, "unjudged": seen.unjudged}
    report["cycle"] = [{"operation": what, "relation": why} for what, why in finding.cycle]
    deliver(report, as_json, out, show)
    return ExitCode.FAILED if finding.verdict == VIOLATION else ExitCode.OK


def why_nothing(seen: Seen) -> str:
    """Return why no word of a capture can be judged, and which command makes a capture that can be."""
    return (
        f"{unjudged(seen) or '; no access completed on these links'}; only words that no cache held are "
        "judged: try the file of 'hsl demo --capture FILE'"
    )


def unjudged(seen: Seen) -> str:
    """Return the reasons why words of a capture are not judged."""
    return "".join(f"; {count} words: {why}" for why, count in seen.unjudged.items())


def read(file: Path) -> tuple[Seen | None, Trace]:
    """Return the contents of a capture, or None, and the operations. Raises ConfigError, CaptureError."""
    with open_file(file) as stream:
        magic = stream.read(len(MAGIC))
        stream.seek(0)
        if magic == MAGIC:
            seen = operations_of(stream)
            return seen, seen.trace
        return None, trace_of(stream, str(file))


def load(file: Path) -> Trace:
    """Return the operations of a file other than a capture. Raises ConfigError."""
    with open_file(file) as stream:
        return trace_of(stream, str(file))


def trace_of(stream: BinaryIO, name: str) -> Trace:
    """The operations of an open file. Raises ConfigError, and UnicodeDecodeError for other than UTF-8."""
    text = io.TextIOWrapper(stream, encoding=TEXT)
    try:  # no line is read further than it may be long
        return read_trace(iter(partial(text.readline, MAX_LINE + 1), ""), name)
    finally:
        text.detach()  # closing is for open_file


def show(report: dict[str, Any]) -> None:
    """A report as a person reads it."""
    click.echo(f"{report['verdict']} by {report['model']}, {report['operations']} operations")
    if is_quiet():
        return
    for step in report["cycle"]:
        click.echo(f"  {step['operation']} {step['relation']}")
    if report["flits"]:
        click.echo(f"  flits {', '.join(map(str, report['flits']))}")
    click.echo(report["sentence"])
    for reason in report["because"]:
        click.echo(f"  {reason}")
    if (capture := report["capture"]) is not None:
        click.echo(f"{capture['words']} words are judged")
        for why, count in capture["unjudged"].items():
            click.echo(f"  not judged: {count} words ({why})")
