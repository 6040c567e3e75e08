"""Coverage of the link table: which (event, state) were reached, and how. HSL 3.2.3 [HSL-LNK-042].

A record is what one process of a test run saw in tests that passed: counts of cells reached by ports that a
loopback drove, by bytes, events and time alone (`loopback`), and of all others (`direct`).
"""

from __future__ import annotations

from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any, Final

from hsl._generated.constants import LinkState
from hsl._generated.tables import LINK_ROWS
from hsl.verify import coverage_records

__all__ = [
    "CANNOT",
    "DIRECT_ONLY",
    "KINDS",
    "LEGAL",
    "Cell",
    "merge",
    "read_records",
    "summary",
    "write_record",
]

Cell = tuple[str, LinkState]

KINDS: Final = ("loopback", "direct")
CANNOT: Final = "-"
_STATES: Final = {state.name: state for state in LinkState}
_EVENTS: Final = {row.event: row for row in LINK_ROWS}
LEGAL: Final = tuple(
    (row.event, state) for row in LINK_ROWS for state in LinkState if row.cells[state].actions != (CANNOT,)
)
_NO_SESSION: Final = ("DISABLED", "DETECT", "CONFIG", "INIT", "DEAD")
# Legal cells that no port can reach, and why; a direct call has to reach them all the same.
_UNREACHABLE: Final[tuple[tuple[str, tuple[str, ...], str], ...]] = (
    ("tx_work", _NO_SESSION, "work is of a session, and goes to a link that is alive"),
    ("tx_work", ("ACTIVE", "RECOVERY"), "code U is the transmission that ends every instant"),
    ("T_BOND", ("L1",), "a BOND flit is due from the start of the timer on, and wakes the link"),
    ("PM_ACK_open", ("DISABLED", "DETECT", "CONFIG", "INIT"), "codes N, D and Q end a request"),
    ("PM_ACK_open", ("RECOVERY", "L1"), "codes W, P1 and P6 end a request"),
)
DIRECT_ONLY: Final = {
    (event, _STATES[state]): reason for event, states, reason in _UNREACHABLE for state in states
}


def write_record(path: Path, counts: dict[str, Counter[Cell]]) -> None:
    """Write one record; `counts` by kind."""
    named = {kind: Counter({_name(cell): n for cell, n in counts[kind].items()}) for kind in KINDS}
    coverage_records.write_record(path, named)


def read_records(folder: Path) -> tuple[int, dict[str, Counter[Cell]]]:
    """Return the number of records in `folder` and their sum. Raises ConfigError for an invalid one."""
    names = {_name(cell): cell for cell in product(_EVENTS, LinkState)}
    number, counts = coverage_records.read_records(folder, "link", KINDS, names.keys())
    return number, {
        kind: Counter({names[name]: n for name, n in cells.items()}) for kind, cells in counts.items()
    }


def _name(cell: Cell) -> str:
    event, state = cell
    return f"{event} {state.name}"


def merge(counts: dict[str, Counter[Cell]]) -> list[dict[str, Any]]:
    """A row for each of the cells of the table, in its order; `verdict` says whether it is as it should be.

    `reached`, `direct` (no port can reach it, a call has), `illegal` (never by a port), else `missed`, or
    `surprise`: a port has reached what it cannot.
    """
    return [_row((row.event, state), counts) for row in LINK_ROWS for state in LinkState]


def _row(cell: Cell, counts: dict[str, Counter[Cell]]) -> dict[str, Any]:
    event, state = cell
    row = _EVENTS[event]
    table = row.cells[state]
    loopback, direct = (counts[kind][cell] for kind in KINDS)
    legal = table.actions != (CANNOT,)
    words = " ".join(table.actions) + (f" >{table.next.name}" if table.next is not None else "")
    if not legal:
        verdict, note = ("surprise" if loopback else "illegal"), "the timer does not run; ignored"
    elif cell in DIRECT_ONLY:
        verdict = "surprise" if loopback else "direct" if direct else "missed"
        note = DIRECT_ONLY[cell]
    else:
        verdict, note = ("reached" if loopback else "missed"), ""
    return {
        "row": row.number,
        "event": event,
        "state": state.name,
        "cell": words.strip(),
        "legal": legal,
        "loopback": loopback,
        "direct": direct,
        "verdict": verdict,
        "note": note,
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, int]:
    """Return the number of cells of each verdict."""
    return coverage_records.summary(rows, ("reached", "direct", "illegal", "missed", "surprise"))
