"""`hsl inject`: the faults that `--faults` of every command knows."""

from __future__ import annotations

from textwrap import wrap
from typing import Any, Final

import click

from hsl._generated.constants import FlitType
from hsl.cli.json_text import print_json
from hsl.cli.tables import paint
from hsl.nearest import expected
from hsl.transport.fault_kinds import ANY, KINDS, FaultKind, Outcome
from hsl.transport.fault_plan import GRAMMAR, MAX_FAULTS, OPTIONS, PLAN, SETTINGS, Fault

__all__ = ["SCHEMA", "kinds"]

SCHEMA = "hsl.inject/1"
WIDTH = 69  # of the text of a line, in 80 columns


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


def listed(kind: FaultKind | None = None) -> dict[str, Any]:
    """Return what `hsl inject list --json` prints, of all kinds or of one."""
    return {
        "schema": SCHEMA,
        "spelling": PLAN,
        "most_faults": MAX_FAULTS,
        "parameters": {name: legal for name, (_, _, legal) in SETTINGS.items()},
        "kinds": [described(each) for each in FaultKind if kind in (None, each)],
    }


def kinds(kind: str | None, as_json: bool) -> None:
    """Run `hsl inject list`."""
    if kind is not None and kind not in list(FaultKind):
        raise click.UsageError(f"unknown kind of fault {kind!r}; {expected(FaultKind, kind)}")
    found = listed(None if kind is None else FaultKind(kind))
    if as_json:
        print_json(found)
    elif kind is None:
        show_list()
    else:
        show_kind(found["kinds"][0], found["parameters"])


# Of each outcome, as a person reads it. HSL 3.9
ENDINGS: Final = {
    Outcome.CORRECTED: "Repaired by the link; no message is lost:",
    Outcome.NON_FATAL: "An error is logged, or an access ends with an error; the run goes on:",
    Outcome.CONTRACT: "No physical layer may do this; nearly always repaired:",
    Outcome.PORT_FATAL: "The port dies and the run ends:",
}
BRIEF: Final = {
    FaultKind.CRC: "1 to 5 bits of a flit are flipped",
    FaultKind.DROP: "a flit never arrives",
    FaultKind.TRUNCATE: "a flit arrives short",
    FaultKind.DUPLICATE: "a flit arrives twice",
    FaultKind.REORDER: "later flits overtake a flit",
    FaultKind.DELAY: "a flit and all later ones come late",
    FaultKind.SEQ: "a flit has a wrong SEQ, CRC good",
    FaultKind.ACK: "a flit has a wrong ACK, CRC good",
    FaultKind.CREDIT: "a flit returns too many credits",
    FaultKind.POISON: "data are marked as poisoned",
    FaultKind.EPOCH: "a CTL is of another session",
    FaultKind.CTL_OP: "a CTL has an unknown operation",
    FaultKind.LINK_DOWN: "the wire is cut and joined again",
}
NOTES: Final = """\
--faults takes one or more of these, with commas between:
  {grammar}
RATE: 0 to 1 (alone: half crc, half drop); xN: the next N flits; or a FILE.toml.
Details of one kind: hsl inject list KIND"""


def show_list() -> None:
    """Print a line for each kind, with an example that --faults takes."""
    for outcome, ending in ENDINGS.items():
        click.echo(paint(ending))
        for kind in (kind for kind in FaultKind if KINDS[kind].outcome is outcome):
            click.echo(f"  {kind:<10} {BRIEF[kind]:<36} {KINDS[kind].example}")
    click.echo(NOTES.format(grammar=GRAMMAR))


def show_kind(row: dict[str, Any], parameters: dict[str, str]) -> None:
    """Print all about one kind: what it does, what the peer does, and the values of its parameters."""
    flits = [*row["flits"], *(["reserved types"] if row["reserved_flits"] else [])]
    lines = {
        "kind": row["kind"],
        "example": f"hsl demo --transport loopback --faults {row['example']}",
        "does": row["does"],
        "the peer": row["peer"],
        "worst": row["outcome"],
        "errors": ", ".join(row["errors"]) or "none: only timers notice",
        "layer": row["layer"],
        "flits": ", ".join(flits),
    }
    lines |= {name: parameters[name] for name in row["parameters"] if name != "type"}
    for name, text in lines.items():
        for index, part in enumerate(wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)):
            click.echo(f"{'' if index else name:<9} {part}")
