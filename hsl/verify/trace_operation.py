"""Operations of a run, for the checker of memory order: as JSON lines, and in the text format of axe.

JSON lines: first `{"schema": "hsl.operations/1"}`, with `initial` values by address if not 0; then a line for
each operation, those of an agent in program order: `agent`, `kind` (load, store, atomic, fence, final),
`addr`, `value` (what was written), `read` (what was read), `acquire`, `release`, `begin`, `end` (ns), `flits`
(numbers in a capture). Axe: `0: M[1] := 1`, `1: M[1] == 1 @ 115:120`, `0: <M[1] == 1; M[1] := 2>`, `0: sync`,
`final M[1] == 2`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hsl._generated.constants import LINE_BYTES
from hsl.errors import ConfigError
from hsl.nearest import expected
from hsl.shown import TYPES, shown
from hsl.verify.json_line import json_object

__all__ = [
    "KINDS", "MAX_LINE", "MAX_OPERATIONS", "SCHEMA", "Trace", "TraceOperation", "axe", "read_trace",
    "records",
]  # fmt: skip

SCHEMA = "hsl.operations/1"
MAX_OPERATIONS = 1 << 17  # 200 MB, with what the checker makes of them
MAX_LINE = 1 << 16  # characters
MAX_NUMBER = (1 << 64) - 1
KINDS = ("load", "store", "atomic", "fence", "final")
FIELDS = {"agent": int, "kind": str, "addr": int, "value": int, "read": int, "acquire": bool, "release": bool,
          "begin": int, "end": int, "flits": list}  # fmt: skip
NEEDS = {"load": ("addr", "read"), "store": ("addr", "value"), "atomic": ("addr", "value", "read"),
         "fence": (), "final": ("addr", "read")}  # fmt: skip


class TraceOperation(NamedTuple):
    """One operation. `line`: what F2 orders by, its cache line or its variable; `source`: where it stands."""

    agent: int
    kind: str
    addr: int = 0
    line: int = 0
    value: int | None = None
    read: int | None = None
    acquire: bool = False
    release: bool = False
    begin: int | None = None
    end: int | None = None
    flits: tuple[int, ...] = ()
    source: int = 0

    def __str__(self) -> str:
        """As a sentence names it."""
        what = {
            "load": f"read of {self.addr:#x} = {self.read}",
            "store": f"write of {self.addr:#x} := {self.value}",
            "atomic": f"atomic of {self.addr:#x}, {self.read} to {self.value}",
            "fence": "fence",
            "final": f"final value {self.read} of {self.addr:#x}",
        }[self.kind]
        flits = f", flits {', '.join(map(str, self.flits))}" if self.flits else ""
        who = "" if self.kind == "final" else f"agent {self.agent}'s "
        return f"{who}{what} (#{self.source}{flits})"


@dataclass(slots=True)
class Trace:
    """Operations in an order that is program order for each agent, and initial values that are not 0."""

    operations: list[TraceOperation] = field(default_factory=list)
    initial: dict[int, int] = field(default_factory=dict)


def read_trace(lines: Iterable[str], source: str) -> Trace:
    """Read a trace of either format. Raises ConfigError with `source` and line for an invalid one."""
    trace = Trace()
    finals: set[int] = set()
    json_lines: bool | None = None
    for number, line in enumerate(lines, 1):
        where = f"{source}:{number}"
        if len(line) > MAX_LINE:
            raise ConfigError(f"{where}: a line of more than {MAX_LINE} characters")
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if json_lines is None:
            json_lines = text.startswith("{")
            if json_lines:
                _header(trace, json_object(text, where), where)
                continue
        operation = _of_json(text, where, number) if json_lines else _of_axe(text, where, number)
        trace.operations.append(operation)
        if operation.begin is not None and operation.end is not None and operation.end < operation.begin:
            raise ConfigError(f"{where}: end {operation.end} is before begin {operation.begin}")
        if operation.kind == "final":
            if operation.addr in finals:
                raise ConfigError(f"{where}: a second final value of {operation.addr}")
            finals.add(operation.addr)
        if len(trace.operations) > MAX_OPERATIONS:
            raise ConfigError(f"{where}: more than {MAX_OPERATIONS} operations")
    return trace


# ---- JSON lines


def _header(trace: Trace, document: dict[str, Any], where: str) -> None:
    if document.get("schema") != SCHEMA or not isinstance(document.get("initial", {}), dict):
        raise ConfigError(f'{where}: the first line must be {{"schema": "{SCHEMA}"}}, with "initial" or not')
    for addr, value in document.get("initial", {}).items():
        if not re.fullmatch(r"\d{1,20}", addr, re.ASCII):
            raise ConfigError(f"{where}: initial {addr[:40]!r}: an address is a decimal number")
        trace.initial[int(addr)] = _number(value, "initial", where)


def _number(value: Any, name: str, where: str) -> int:
    if type(value) is not int or not 0 <= value <= MAX_NUMBER:
        raise ConfigError(f"{where}: {name} = {shown(value)}; expected 0..2^64-1")
    return value


def _of_json(text: str, where: str, number: int) -> TraceOperation:
    document = json_object(text, where)
    if unknown := sorted(document.keys() - FIELDS.keys()):
        raise ConfigError(f"{where}: no such field: {', '.join(unknown)[:80]}")
    for name, value in document.items():
        if type(value) is not FIELDS[name]:
            raise ConfigError(f"{where}: {name} = {shown(value)}; expected {TYPES[FIELDS[name]]}")
        for each in [value] if type(value) is int else value if type(value) is list else []:
            _number(each, name, where)
    kind = document.get("kind", "")
    if kind not in NEEDS:
        raise ConfigError(f"{where}: kind {kind[:40]!r}; {expected(KINDS, kind)}")
    wanted = {"agent", *NEEDS[kind]} - ({"agent"} if kind == "final" else set())
    if missing := sorted(wanted - document.keys()):
        example = json.dumps({"agent": 0, "kind": kind} | dict.fromkeys(NEEDS[kind], 64))
        raise ConfigError(f"{where}: {kind} needs {', '.join(missing)}, as in {example}")
    values = {"agent": 0} | document | {"flits": tuple(document.get("flits", ()))}
    return TraceOperation(**values, line=values.get("addr", 0) // LINE_BYTES, source=number)


def records(trace: Trace) -> Iterator[str]:
    """The lines of a trace as JSON."""
    head = {"initial": {str(addr): value for addr, value in trace.initial.items()}} if trace.initial else {}
    yield json.dumps({"schema": SCHEMA} | head)
    plain = TraceOperation(0, "")
    for each in trace.operations:
        needed = ("agent", *NEEDS[each.kind])
        values = {name: value for name in FIELDS if (value := getattr(each, name)) != getattr(plain, name)}
        yield json.dumps({name: getattr(each, name) for name in needed} | values)


# ---- axe

NUMBER = r"\d{1,20}"
AGENT = r"(?P<agent>\d{1,9})\s*:\s*"
TIMES = rf"\s*(?:@\s*(?P<begin>{NUMBER})?\s*:\s*(?P<end>{NUMBER})?)?"
CELL = rf"M\[(?P<addr>{NUMBER})\]\s*"
READ, WRITTEN = rf"==\s*(?P<read>{NUMBER})", rf":=\s*(?P<value>{NUMBER})"
AGAIN = CELL.replace("addr", "again")
AXE = {
    kind: re.compile(pattern, re.ASCII)
    for kind, pattern in {
        "store": AGENT + CELL + WRITTEN + TIMES,
        "load": AGENT + CELL + READ + TIMES,
        "atomic": AGENT + r"[<{]\s*" + CELL + READ + r"\s*;\s*" + AGAIN + WRITTEN + r"\s*[>}]" + TIMES,
        "fence": AGENT + "sync" + TIMES,
        "final": r"final\s+" + CELL + READ,
    }.items()
}


def _of_axe(text: str, where: str, number: int) -> TraceOperation:
    for kind, pattern in AXE.items():
        match = pattern.fullmatch(text)
        if match is not None:
            values: dict[str, Any] = {
                name: _number(int(text), name, where) for name, text in match.groupdict().items() if text
            }
            if values.pop("again", values.get("addr")) != values.get("addr"):
                raise ConfigError(f"{where}: an atomic of two variables")
            return TraceOperation(
                **{"agent": 0} | values, kind=kind, line=values.get("addr", 0), source=number
            )
    raise ConfigError(
        f"{where}: {text[:60]!r}; expected T: M[A] := V, T: M[A] == V, T: <M[A] == V; M[A] := W>, T: sync, "
        "final M[A] == V"
    )


def axe(trace: Trace) -> Iterator[str]:
    """The lines of a trace for axe, which has variables instead of addresses and no acquire or release.

    Its variables are 0 at first: where one is not, that value and 0 change places. Writes stay as distinct.
    """
    names: dict[int, int] = {}

    def named(addr: int, value: int | None) -> int | None:
        first = trace.initial.get(addr, 0)
        return {first: 0, 0: first}.get(value, value) if value is not None else None

    for each in trace.operations:
        cell = f"M[{names.setdefault(each.addr, len(names))}]" if each.kind != "fence" else ""
        read, value = named(each.addr, each.read), named(each.addr, each.value)
        times = f" @ {_time(each.begin)}:{_time(each.end)}" if (each.begin, each.end) != (None, None) else ""
        yield {
            "store": f"{each.agent}: {cell} := {value}{times}",
            "load": f"{each.agent}: {cell} == {read}{times}",
            "atomic": f"{each.agent}: <{cell} == {read}; {cell} := {value}>{times}",
            "fence": f"{each.agent}: sync{times}",
            "final": f"final {cell} == {read}",
        }[each.kind]


def _time(value: int | None) -> str:
    return "" if value is None else str(value)
