"""Coverage of the coherence tables: which (state, event) were reached, and by whom. HSL 5.5, 5.6.

A cell is `ra STATE EVENT` or `ha STATE EVENT`. `conforming`: counted in tests in which every message is one
that a conforming node sends; `hostile`: in all others, by messages too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from hsl._generated.tables import HA_EVENTS, HA_STATES, HA_TABLE, RA_EVENTS, RA_STATES, RA_TABLE, CoherenceRow
from hsl.verify import coverage_records

__all__ = ["CELLS", "HOSTILE", "KINDS", "TABLES", "UNREACHABLE", "Table", "merge", "read_records", "summary"]

KINDS: Final = ("conforming", "hostile")
VERDICTS: Final = ("reached", "hostile", "unreachable", "missed", "surprise")


class Table(NamedTuple):
    """A table of coherence.toml: its states, its events, its rows."""

    states: tuple[str, ...]
    events: tuple[str, ...]
    rows: dict[tuple[str, str], tuple[CoherenceRow, ...]]


class Listed(NamedTuple):
    """Cells that no conforming node reaches: why, and the test that reaches them ("" for none can)."""

    agent: str
    states: str
    events: str
    why: str
    test: str = ""


TABLES: Final = {
    "ra": Table(tuple(RA_STATES), tuple(RA_EVENTS), dict(RA_TABLE)),
    "ha": Table(tuple(HA_STATES), tuple(HA_EVENTS), dict(HA_TABLE)),
}
CELLS: Final = tuple(
    f"{agent} {state} {event}"
    for agent, table in TABLES.items()
    for state in table.states
    for event in table.events
)
_ANSWERS = "SnpRsp_I SnpRsp_S SnpRsp_E SnpRsp_M SnpRspData_I SnpRspData_S SnpRspData_E SnpRspData_M"
_MEMORY = "MemData_OK MemData_ERR MemDone_OK MemDone_ERR"
_COMPLETIONS = "Cmp_I Cmp_S Cmp_E Cmp_M CmpData_I CmpData_S CmpData_E CmpData_M Cmp_ERR Cmp_BUSY"
_SNOOPS = "SnpShared SnpInv SnpCur"
_HOME = "tests/agents/test_cells.py::test_hostile_home"
_NODE = "tests/agents/test_cells.py::test_hostile_node"
_WRONG = "a completion that the request does not have"
# What only a node that breaks the profile reaches.
_HOSTILE: Final = (
    Listed(
        "ra",
        "I IS_D IM_D IM_A IN_A IN_D",
        _SNOOPS,
        "the home lists nobody who has no copy (T11)",
        _HOME,
    ),
    Listed("ra", "S SM_A", "SnpShared SnpCur", "these go to an owner only", _HOME),
    Listed("ra", "I S E M", _COMPLETIONS, "a second completion, before the CmpAck has left", _HOME),
    Listed("ra", "IS_D", "Cmp_I Cmp_S Cmp_E Cmp_M CmpData_I CmpData_M", _WRONG, _HOME),
    Listed("ra", "IM_D", "Cmp_I Cmp_S Cmp_E Cmp_M CmpData_I CmpData_S", _WRONG, _HOME),
    Listed("ra", "IM_A", "Cmp_I Cmp_S Cmp_E CmpData_I CmpData_S CmpData_E CmpData_M", _WRONG, _HOME),
    Listed("ra", "SM_A", "Cmp_I Cmp_S Cmp_M CmpData_I CmpData_S CmpData_E CmpData_M", _WRONG, _HOME),
    Listed(
        "ra",
        "MI_A II_A IN_A",
        "Cmp_S Cmp_E Cmp_M CmpData_I CmpData_S CmpData_E CmpData_M",
        _WRONG,
        _HOME,
    ),
    Listed("ra", "II_A", "Cmp_ERR", "Evict and a stale WbFull cannot fail", _HOME),
    Listed("ra", "MI_A II_A", "Cmp_BUSY", "Evict and WbFull are never BUSY", _HOME),
    Listed("ra", "IN_D", "Cmp_I Cmp_S Cmp_E Cmp_M CmpData_S CmpData_E CmpData_M", _WRONG, _HOME),
    Listed("ha", "IDLE", f"{_ANSWERS} CmpAck {_MEMORY}", "an answer that nobody asked for", _NODE),
    Listed("ha", "SNP", "SnpRsp_M SnpRspData_E", "a dirty line without data, a clean one with", _NODE),
    Listed("ha", "WB WR WACK WBP", "MemData_OK", "a target that answers a write with data", _NODE),
    Listed("ha", "RD", "MemDone_OK", "a target that answers a read without data", _NODE),
)
_NO_SNOOP = "the number of a snoop names its line only while an answer is missing"
_NO_ACCESS = "the number of a MEM request names its line only while it is open"
_KIND = "an error counts as the completion that was asked for"
# What cannot happen whatever a peer sends.
_UNREACHABLE: Final = (
    Listed("ra", "I S E M", "t_req", "a stable line has no request whose timer runs"),
    Listed("ha", "DO", " ".join(e for e in HA_EVENTS if e != "go"), "run to completion: go follows at once"),
    Listed("ha", "IDLE SNP WB RD WR ACK WACK WBP", "go", "go follows a row that ends in DO"),
    Listed("ha", "WB RD WR ACK WACK WBP", _ANSWERS, _NO_SNOOP),
    Listed("ha", "SNP WB RD WR WBP", "CmpAck", "an HTXN names its line in ACK and WACK"),
    Listed("ha", "SNP ACK", _MEMORY, _NO_ACCESS),
    Listed("ha", "WB WR WACK WBP", "MemData_ERR", _KIND),
    Listed("ha", "RD", "MemDone_ERR", _KIND),
)


def _spread(lists: tuple[Listed, ...]) -> Iterator[tuple[str, Listed]]:
    for listed in lists:
        for state in listed.states.split():
            for event in listed.events.split():
                yield f"{listed.agent} {state} {event}", listed


HOSTILE: Final = dict(_spread(_HOSTILE))
UNREACHABLE: Final = dict(_spread(_UNREACHABLE))


def read_records(folder: Path) -> tuple[int, dict[str, Counter[str]]]:
    """Return the number of records in `folder` and their sum. Raises ConfigError for an invalid one."""
    return coverage_records.read_records(folder, "coherence", KINDS, frozenset(CELLS))


def merge(counts: dict[str, Counter[str]]) -> list[dict[str, Any]]:
    """A row for each cell of both tables, in their order; `verdict` says whether it is as it should be.

    `reached` by conforming nodes, `hostile` (listed, and its test reaches it), `unreachable`; else `missed`,
    or `surprise`: it was reached though it is listed.
    """
    return [_row(name, *(counts[kind][name] for kind in KINDS)) for name in CELLS]


def _row(name: str, conforming: int, hostile: int) -> dict[str, Any]:
    agent, state, event = name.split()
    listed = HOSTILE.get(name) or UNREACHABLE.get(name)
    if listed is None:
        verdict = "reached" if conforming else "missed"
    elif conforming or (hostile and name in UNREACHABLE):
        verdict = "surprise"
    elif name in HOSTILE:
        verdict = "hostile" if hostile else "missed"
    else:
        verdict = "unreachable"
    return {
        "agent": agent,
        "state": state,
        "event": event,
        "rows": len(TABLES[agent].rows[state, event]),
        "conforming": conforming,
        "hostile": hostile,
        "verdict": verdict,
        "test": "" if listed is None else listed.test,
        "note": "" if listed is None else listed.why,
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, int]:
    """Return the number of cells of each verdict."""
    return coverage_records.summary(rows, VERDICTS)
