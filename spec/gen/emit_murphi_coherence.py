"""The coherence tables as Murphi procedures: what `spec/model/coherence.m` and `credits.m` execute.

A model has a line `--@ names` among its types, and a line `--@ ra (PARAMETERS) STATE` or
`--@ ha (PARAMETERS) STATE` where the cells of a table belong: STATE is the variable that holds the state of
the machine that PARAMETERS name. There it gets a procedure `ra_EVENT` for each event. An action `WORD X Y`
calls `ra_do_WORD(PARAMETERS, X, Y)`, which the model has; a guard calls `ha_VARIABLE(PARAMETERS)`, which it
has too. A row that ends in DO sets `follow`. A line `--@ rights` gets the functions `needs_R` and `needs_W`,
which tell the rights that a request needs by `spec/opcodes.toml`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["coherence_cells", "coherence_edited"]

NAMES, RIGHTS = "--@ names\n", "--@ rights\n"
IMPLIES = {"A": "RW"}  # an atomic reads and writes (HSL 5.12)
CELLS = re.compile(r"^--@ (ra|ha) \((.*)\) (\S+)\n", re.MULTILINE)
SAME, PSEUDO, FOLLOW = "=", "DO", "go"
SPELLED = {"DO": "DO_"}  # a word of Murphi, which knows no capitals


def coherence_edited(table: Mapping[str, Any], edits: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The tables with other cells: each edit has `of` (ra or ha), `s`, `e`, perhaps `g`, `was` and `row`.

    `was` and `row` are written as in HSL 5.5: the actions, then "/" and the next state. Raises ValueError
    when no row that the edit touches is as `was` says, so that a change of the tables is noticed.
    """
    rows = {of: list(table[of]["row"]) for of in ("ra", "ha")}
    for edit in edits:
        of, guard = edit["of"], edit.get("g", {})
        touched = [
            row
            for row in rows[of]
            if set(edit["s"]) & set(row["s"]) and set(edit["e"]) & set(row["e"]) and _meet(guard, row)
        ]
        cells = {_spoken(row) for row in touched}
        if edit["was"] not in cells:
            raise ValueError(f"{of} {edit['s']} {edit['e']}: no row is {edit['was']!r}, but {sorted(cells)}")
        actions, after = edit["row"].rsplit(" / ", 1)
        new = {"s": edit["s"], "e": edit["e"], "g": guard, "n": after}
        rows[of].insert(0, new | {"a": [] if actions == "-" else actions.split(", ")})
    return {**table, **{of: {**table[of], "row": rows[of]} for of in rows}}


def _spoken(row: Mapping[str, Any]) -> str:
    return f"{', '.join(row['a']) or '-'} / {row['n']}"


def _meet(guard: Mapping[str, list[str]], row: Mapping[str, Any]) -> bool:
    return all(set(words) & set(row.get("g", {}).get(variable, words)) for variable, words in guard.items())


def coherence_cells(model: str, table: Mapping[str, Any]) -> str:
    """`model` with names and cells in place of its marks; a model without marks as it is."""
    model = model.replace(NAMES, "\n".join(_names(table)) + "\n")
    if RIGHTS in model:
        model = model.replace(RIGHTS, "\n".join(_rights(table)) + "\n")
    return CELLS.sub(lambda mark: "\n".join(_procedures(table, *mark.groups())) + "\n", model)


def _names(table: Mapping[str, Any]) -> Iterator[str]:
    """The enums of the tables. Values of a guard have its name before them: `no` and `S` are many things."""
    ha = table["ha"]
    yield _enum("State", table["ra"]["states"])
    yield _enum("Control", ha["states"])
    yield _enum("Op", ha["ops"])
    for variable, values in ha["guards"].items():
        if variable != "op":
            yield _enum(f"Of_{variable}", [f"{variable}_{value}" for value in values])


def _rights(table: Mapping[str, Any]) -> Iterator[str]:
    """A function for each right that a model tells apart: True if a request needs it."""
    for right in "RW":
        needed = []
        for op in table["ha"]["ops"]:
            rights = table["rights"].get(op, "")
            if right in rights or any(right in IMPLIES.get(given, "") for given in rights):
                needed.append(f"op = {op}")
        yield f"function needs_{right}(op: Op): boolean; begin return {' | '.join(needed)}; end;"


def _enum(name: str, members: Sequence[str]) -> str:
    return f"  {name}: enum {{ {', '.join(map(_spelled, members))} }};"


def _spelled(name: str) -> str:
    return SPELLED.get(name, name)


def _procedures(table: Mapping[str, Any], of: str, parameters: str, state: str) -> Iterator[str]:
    given = re.findall(r"(\w+):", parameters)
    for event in table[of]["events"]:
        yield f"procedure {of}_{event}({parameters}); begin"
        yield f"  switch {state}"
        for name in table[of]["states"]:
            rows = [row for row in table[of]["row"] if name in row["s"] and event in row["e"]]
            yield from _case(of, name, rows, given, state)
        yield from ("  endswitch;", "end;", "")


def _case(
    of: str, name: str, rows: Sequence[Mapping[str, Any]], given: Sequence[str], state: str
) -> Iterator[str]:
    """The rows of one cell; the first that fits is done, which matters only for the rows of an edit."""
    guards = [_condition(row.get("g", {}), given) for row in rows]
    bodies = [" ".join(_statements(of, row, given, state)) for row in rows]
    if not any(bodies):
        return
    if not guards[0]:
        yield f"    case {_spelled(name)}: {bodies[0]}"
        return
    yield f"    case {_spelled(name)}:"
    word = "if"
    for guard, body in zip(guards, bodies, strict=True):
        yield f"      {word} {guard or 'true'} then {body}"
        word = "elsif"
    yield "      endif;"


def _condition(guards: Mapping[str, list[str]], given: Sequence[str]) -> str:
    arguments = ", ".join(given)
    return " & ".join(
        "({})".format(" | ".join(f"ha_{variable}({arguments}) = {_value(variable, v)}" for v in values))
        for variable, values in guards.items()
    )


def _value(variable: str, value: str) -> str:
    return value if variable == "op" else f"{variable}_{value}"


def _statements(of: str, row: Mapping[str, Any], given: Sequence[str], state: str) -> Iterator[str]:
    for action in row["a"]:
        word, *words = action.split()
        yield f"{of}_do_{word}({', '.join([*given, *words])});"
    if row["n"] != SAME:
        yield f"{state} := {_spelled(row['n'])};"
    if row["n"] == PSEUDO:
        yield f"follow := {FOLLOW};"
