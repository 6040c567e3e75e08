"""The cells of the link state table as a Murphi procedure: what the models of `spec/model/` execute.

A model says which states it has in its enum `State`, and calls `on_EVENT(s)` where the event of a row comes
to side s. It has a procedure for each action of these cells, by the action's name in spec/link.toml. No other
cell is generated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["cells", "edited"]

MARK = "--@ cells\n"
NO_ACTION = {"-", "i", "c"}


def edited(table: Mapping[str, Any], edits: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The link table with other cells: each edit has `row`, `state`, `was` and `cell`.

    Raises ValueError when the cell is not what `was` says, so that a change of the table is noticed.
    """
    rows = {row["number"]: dict(row) for row in table["row"]}
    for edit in edits:
        row, state = rows[edit["row"]], edit["state"]
        if row[state] != edit["was"]:
            raise ValueError(f"row {edit['row']}, {state}: the cell is {row[state]!r}, not {edit['was']!r}")
        row[state] = edit["cell"]
    return {**table, "row": list(rows.values())}


def cells(model: str, table: Mapping[str, Any]) -> str:
    """`model` with a procedure for each row in place of its mark; a model without the mark as it is."""
    if MARK not in model:
        return model
    names = {action["code"]: action["name"] for action in table["action"]}
    rows = {row["event"]: row for row in table["row"]}
    states = [state for state in enum(model, "State") if state in table["states"]]
    lines = []
    for event in sorted(set(re.findall(r"\bon_(\w+)\(s\)", model)), key=lambda name: rows[name]["number"]):
        row = rows[event]
        lines.append(f"procedure on_{event}(s: Side); begin -- row {row['number']}")
        lines += [
            f"  if st[s] = {state} & seen[s] then enter(s, ACTIVE); endif; -- J"
            for state in states
            if row[state] == "J"
        ]
        lines.append("  switch st[s]")
        for state in states:
            body = " ".join(statements(row, state, names))
            if body:
                lines.append(f"    case {state}: {body} -- {row[state]}")
        lines += ["  endswitch;", "end;", ""]
    return model.replace(MARK, "\n".join(lines))


def enum(model: str, name: str) -> list[str]:
    """The members of the enum `name` of a model."""
    found = re.search(rf"\b{name}:\s*enum\s*\{{([^}}]*)\}}", model)
    assert found is not None, f"the model has no enum {name}"
    return re.findall(r"\w+", found[1])


def statements(row: Mapping[str, Any], state: str, names: Mapping[str, str]) -> list[str]:
    """The Murphi statements of one cell; none when nothing happens. J stands before the cells: see above."""
    codes = [code for code in row[state].split() if code not in NO_ACTION | {"J"}]
    out = [
        f"enter(s, {code[1:]});" if code.startswith(">") else f"{names[code]}(s);"
        for code in codes
        if code != "I?"
    ]
    if "I?" in codes:  # HSL 3.2.3: only if SEEN of CONFIG is set, then INIT is entered first
        return ["if seen[s] then", "enter(s, INIT);", *out, "endif;"]
    return out
