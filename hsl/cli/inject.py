"""`hsl inject`: the faults that `--faults` of every command knows."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from hsl._generated.constants import FlitType
from hsl.transport.fault_kinds import ANY, KINDS, FaultKind
from hsl.transport.fault_plan import MAX_FAULTS, OPTIONS, SETTINGS, SPELLING, Fault

__all__ = ["SCHEMA", "kinds"]

SCHEMA = "hsl.inject/1"


def described(kind: FaultKind) -> dict[str, Any]:
    """One kind as `hsl inject list --json` prints it."""
    row = KINDS[kind]
    severity = row.severity
    return {
        "kind": str(kind),
        "layer": row.layer,
        "outcome": str(row.outcome),
        "does": row.text,
        "peer": row.peer,
        "errors": [code.name for code in row.codes],
        "severity": None if severity is None else severity.name,
        "flits": [form.name for form in FlitType if form in row.types],
        "reserved_flits": row.types >= ANY,
        "parameters": ["rate", "count", "type", *(o for o in OPTIONS if row.own_time or o != "ns")],
        "exact": row.exact,
        "example": str(Fault.parse(row.example)),
    }


def listed() -> dict[str, Any]:
    """What `hsl inject list --json` prints."""
    return {
        "schema": SCHEMA,
        "spelling": SPELLING,
        "most_faults": MAX_FAULTS,
        "parameters": {name: legal for name, (_, _, legal) in SETTINGS.items()},
        "kinds": [described(kind) for kind in FaultKind],
    }


def kinds(as_json: bool) -> None:
    """Run `hsl inject list`."""
    found = listed()
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False)
    for name in ("kind", "layer", "the worst", "errors at the peer", "does", "the peer", "example"):
        table.add_column(name, no_wrap=name in ("kind", "layer"), overflow="fold")
    for row in found["kinds"]:
        errors = " ".join(row["errors"]) or "-"
        table.add_row(
            *(row[name] for name in ("kind", "layer", "outcome")),
            errors,
            *(row[name] for name in ("does", "peer", "example")),
        )
    console.print(table)
    for name, legal in found["parameters"].items():
        console.print(f"{name}: {legal}")
    console.print(found["spelling"])
