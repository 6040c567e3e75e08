"""`hsl replay`: run a recorded run again."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from hsl.cli.exits import ExitCode
from hsl.cli.node import deliver
from hsl.cli.options import is_quiet
from hsl.engine.select import engines
from hsl.errors import ConfigError
from hsl.verify.replay import read, replay, same

__all__ = ["replay_file"]

SCHEMA = "hsl.replay/1"


def replay_file(file: Path, engine: str | None, out: Path | None, as_json: bool) -> int:
    """Run `hsl replay`; its exit code."""
    chosen = engines(engine)
    recording = read(file)
    try:
        verdict = replay(recording, engine, trace=True)
    except ConfigError as error:  # a record, or the configuration
        raise ConfigError(f"{file}: {error}") from error
    report = {
        "schema": SCHEMA,
        "ok": not verdict.violation,
        "file": str(file),
        "target": recording.target,
        "engines": chosen,
        "same": None if recording.verdict is None else same(recording.verdict, verdict),
        "recorded": None if recording.verdict is None else recording.verdict.get("violation"),
        "verdict": asdict(verdict) | {"trace": list(verdict.trace)},
    }
    deliver(report, as_json, out, show)
    return ExitCode.OK if report["ok"] else ExitCode.FAILED


def show(report: dict[str, Any]) -> None:
    """Print the trace and the verdict; with -q the verdict only."""
    verdict = report["verdict"]
    for line in [] if is_quiet() else verdict["trace"]:
        click.echo(f"  {line}")
    same = {None: "no verdict was recorded", True: "as recorded", False: "NOT as recorded"}[report["same"]]
    click.echo(f"{verdict['violation'] or 'nothing forbidden was seen'}; {same}")
