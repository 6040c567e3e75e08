"""`hsl coverage`: which cells of a table the test suite has reached."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hsl._generated.constants import LinkState
from hsl.cli.exits import ExitCode
from hsl.cli.node import deliver
from hsl.verify.link_coverage import merge, read_records, summary

__all__ = ["command"]

FOLDER: Final = Path("build/coverage/link")
# Cells of the heat map by verdict; those that were reached show how often, in powers of ten.
MARKS: Final = {
    "direct": ("d", "yellow"),
    "illegal": ("-", "dim"),
    "missed": ("MISSED", "bold red"),
    "surprise": ("SURPRISE", "bold red"),
}
GREENS: Final = ("dark_green", "green4", "green3", "green1")


@click.group("coverage")
def command() -> None:
    """Coverage of the tables of the specification, from test runs that assert something."""


@command.command("link")
@click.option(
    "--records",
    type=click.Path(path_type=Path, file_okay=False),
    default=FOLDER,
    show_default=True,
    help="Folder that `pytest --link-coverage` wrote.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the document to a file.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def link(records: Path, out: Path | None, as_json: bool) -> int:
    """Each event in each state of the link table: how often two ports over the loopback reached it.

    Exit status 0 only if every legal cell was reached by bytes, events and time; a cell that no port can
    reach is listed apart, with the reason, and must have been reached by a direct call. 5: no records.
    """
    number, counts = read_records(records)
    if not number:
        click.echo(f"hsl: no records in {records}: `make coverage` writes them", err=True)
        return ExitCode.NOTHING
    cells = merge(counts)
    totals = summary(cells)
    report = {
        "schema": "hsl.coverage.link/1",
        "records": number,
        "summary": totals | {"legal": sum(cell["legal"] for cell in cells), "cells": len(cells)},
        "cells": cells,
        "ok": not totals["missed"] and not totals["surprise"],
    }
    deliver(report, as_json, out, show)
    return ExitCode.OK if report["ok"] else ExitCode.FAILED


def show(report: dict[str, Any]) -> None:
    """The heat map and what is below it."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 130)
    table = Table(box=None, pad_edge=False)
    for heading in ("row", "event", *(state.name for state in LinkState)):
        table.add_column(heading, no_wrap=True, justify="left" if heading == "event" else "right")
    width = len(LinkState)
    for start in range(0, len(report["cells"]), width):
        cells = report["cells"][start : start + width]
        table.add_row(str(cells[0]["row"]), cells[0]["event"], *map(mark, cells))
    console.print(table)
    for cell in report["cells"]:
        if cell["verdict"] in ("direct", "missed", "surprise"):
            why = cell["note"] or "no port over the loopback came there"
            console.print(f"{cell['verdict']}: {cell['event']} in {cell['state']} ({cell['cell']}): {why}")
    totals = report["summary"]
    console.print(
        f"{totals['reached']} of {totals['legal']} legal cells reached over the loopback, "
        f"{totals['direct']} that no port can reach by a direct call, {totals['missed']} missed; "
        f"{totals['illegal']} illegal"
    )


def mark(cell: dict[str, Any]) -> Text:
    """How a cell looks in the heat map."""
    if cell["verdict"] in MARKS:
        return Text(*MARKS[cell["verdict"]])
    heat = min(len(str(cell["loopback"])), len(GREENS)) - 1
    return Text(str(cell["loopback"]), GREENS[heat])
