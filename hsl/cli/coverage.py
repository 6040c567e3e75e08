"""`hsl coverage`: which cells of a table the test suite has reached."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hsl._generated.constants import LinkState
from hsl.cli.exits import ExitCode, NothingSelected
from hsl.cli.node import deliver
from hsl.cli.options import is_quiet
from hsl.cli.tables import UNLIMITED, console_width
from hsl.verify import coherence_coverage, link_coverage

__all__ = ["coherence", "link"]

# Cells of the heat map by verdict; those that were reached show how often, in powers of ten.
MARKS: Final = {
    "direct": ("d", "yellow"),
    "hostile": ("h", "yellow"),
    "illegal": ("-", "dim"),
    "unreachable": ("-", "dim"),
    "missed": ("MISSED", "bold red"),
    "surprise": ("SURPRISE", "bold red"),
}
GREENS: Final = ("dark_green", "green4", "green3", "green1")


def link(records: Path, out: Path | None, as_json: bool) -> int:
    """Run `hsl coverage link`; its exit code."""
    number, counts = link_coverage.read_records(records)
    cells = link_coverage.merge(counts)
    extra = {"legal": sum(cell["legal"] for cell in cells)}
    totals = link_coverage.summary(cells) | extra
    return tell("link", number, records, cells, totals, show_link, out, as_json)


def coherence(records: Path, out: Path | None, as_json: bool) -> int:
    """Run `hsl coverage coherence`; its exit code."""
    number, counts = coherence_coverage.read_records(records)
    cells = coherence_coverage.merge(counts)
    totals = coherence_coverage.summary(cells)
    return tell("coherence", number, records, cells, totals, show_coherence, out, as_json)


def tell(
    name: str,
    number: int,
    folder: Path,
    cells: list[dict[str, Any]],
    totals: dict[str, int],
    show: Callable[[dict[str, Any]], None],
    out: Path | None,
    as_json: bool,
) -> int:
    """Deliver the report of a table; the exit code."""
    if not number:
        raise NothingSelected(f"no records in {folder}: `make coverage` in a checkout of hsl writes them")
    report = {
        "schema": f"hsl.coverage.{name}/1",
        "records": number,
        "summary": totals | {"cells": len(cells)},
        "cells": cells,
        "ok": not totals["missed"] and not totals["surprise"],
    }
    deliver(report, as_json, out, show)
    return ExitCode.OK if report["ok"] else ExitCode.FAILED


def console_of() -> Console:
    """Return the console of heat maps, which are not cut where there is no terminal."""
    return Console(highlight=False, width=console_width() or UNLIMITED)


def heat_map(
    console: Console, cells: list[dict[str, Any]], states: Sequence[str], count: str, lead: Sequence[str]
) -> None:
    """Events by states; `count` is the key of what is shown, `lead` of the columns before the states."""
    table = Table(box=None, pad_edge=False)
    for heading in (*lead, *states):
        table.add_column(heading, no_wrap=True, justify="left" if heading == "event" else "right")
    by_event: dict[str, dict[str, dict[str, Any]]] = {}
    for cell in cells:
        by_event.setdefault(cell["event"], {})[cell["state"]] = cell
    for row in by_event.values():
        first = next(iter(row.values()))
        table.add_row(*(str(first[key]) for key in lead), *(mark(row[state], count) for state in states))
    console.print(table)


def show_link(report: dict[str, Any]) -> None:
    """Show the heat map, the failures and the totals; with -q the totals."""
    if not is_quiet():
        map_link(report, console_of())
    totals = report["summary"]
    console_of().print(
        f"{totals['reached']} of {totals['legal']} legal cells reached over the loopback, "
        f"{totals['direct']} that no port can reach by a direct call, {totals['missed']} missed; "
        f"{totals['illegal']} illegal",
        soft_wrap=True,
    )


def map_link(report: dict[str, Any], console: Console) -> None:
    """Show the heat map, and the reasons for listed cells."""
    states = [state.name for state in LinkState]
    heat_map(console, report["cells"], states, "loopback", ("row", "event"))
    for cell in report["cells"]:
        if cell["verdict"] in ("direct", "missed", "surprise"):
            why = cell["note"] or "no port over the loopback came there"
            console.print(f"{cell['verdict']}: {cell['event']} in {cell['state']} ({cell['cell']}): {why}")


def show_coherence(report: dict[str, Any]) -> None:
    """Show the heat maps, the failures and the totals; with -q the totals."""
    if not is_quiet():
        map_coherence(report, console_of())
    totals = report["summary"]
    console_of().print(
        f"{totals['reached']} of {totals['cells']} cells reached by conforming nodes, {totals['hostile']} by "
        f"hostile ones only, {totals['unreachable']} out of reach, {totals['missed']} missed, "
        f"{totals['surprise']} reached though listed",
        soft_wrap=True,
    )


def map_coherence(report: dict[str, Any], console: Console) -> None:
    """Show a heat map for each table, then the failures and the reasons for listed cells."""
    for agent, title in (("ra", "Cache line (5.5)"), ("ha", "Home line (5.6)")):
        console.print(title)
        cells = [cell for cell in report["cells"] if cell["agent"] == agent]
        heat_map(console, cells, coherence_coverage.TABLES[agent].states, "conforming", ("event",))
    reasons = Counter(
        (cell["verdict"], cell["note"], cell["test"]) for cell in report["cells"] if cell["note"]
    )
    for (verdict, note, test), number in reasons.items():
        console.print(f"{verdict}: {number} cells: {note}" + (f" ({test})" if test else ""))
    for cell in report["cells"]:
        if cell["verdict"] in ("missed", "surprise"):
            console.print(f"{cell['verdict']}: {cell['agent']} {cell['event']} in {cell['state']}")


def mark(cell: dict[str, Any], count: str) -> Text:
    """Return the mark of a cell in the heat map."""
    if cell["verdict"] in MARKS:
        return Text(*MARKS[cell["verdict"]])
    heat = min(len(str(cell[count])), len(GREENS)) - 1
    return Text(str(cell[count]), GREENS[heat])
