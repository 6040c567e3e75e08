r"""A litmus test in herd's text format, with the accesses of the profile as its instructions (HSL 5.9).

    HSL MP+rel+acq@cpu-gpu
    "a sentence, or nothing"
    Placement=cpu gpu
    { x=0; y=0; }
     P0            | P1            ;
     store x,1     | load.acq r0,y ;
     store.rel y,1 | load r1,x     ;
    exists (1:r0=1 /\ 1:r1=0)

Instructions: `load r,x`, `store x,v`, `read_once r,x`, `write_full x,v`, `atomic_load r,x,ADD,v`,
`cas r,x,compare,v`, `atomic_store x,ADD,v`, `fence`, `dep r` (what follows depends on the value of r). `.acq`
on a read: later accesses begin after it has ended; `.rel` on a write: it begins after all earlier ones have
ended. `fence.ld`, `fence.st`, `fence.nc` and joins of them order only loads, stores, NCR.

The line `Registers=a@P1 i@P1` names device registers and interrupts of the node of a thread. `ncread r,a`,
`ncwrite a,v` and `intr i,v` are NCR on stream 0, with `.s1` on stream 1. `wait r,i`, first in its thread on
that node, ends when the device has taken the interrupt i, or the doorbell a, with its datum in r.
As in herd: comments in (* *), `locations [x; 0:r0;]` before the condition, `[x]=1` and `not` in it.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial, reduce
from operator import or_
from typing import Any, NamedTuple

from hsl.agents.access import STREAMS
from hsl.errors import ConfigError
from hsl.nearest import expected
from hsl.verify.litmus_instruction import (
    AOPS,
    ATOMS,
    CAS,
    DEVICE,
    FENCES,
    FIELDS,
    INTERRUPT,
    MAX_DATUM,
    ON_STREAM,
    OPERANDS,
    READS,
    REGISTER,
    WRITES,
    Instruction,
)

__all__ = [
    "MAX_ACCESSES", "MAX_BYTES", "MAX_LOCATIONS", "MAX_THREADS", "READS", "WRITES", "Condition",
    "Instruction", "LitmusTest", "parse", "parse_all",
]  # fmt: skip

# The states of a run grow with the factorial of these: four threads of a few accesses are the practical end.
MAX_THREADS = 4
MAX_ACCESSES = 6  # instructions of one thread
MAX_LOCATIONS = 4
MAX_DEPTH = 16  # parentheses and negations in a condition
MAX_BYTES = 1 << 16  # of a test: hundreds of times what the largest legal one needs
MAX_VALUE = (1 << 63) - 1  # locations are 8 bytes; unsigned, and JSON readers keep them whole

PLACES = ("cpu", "gpu")
QUANTIFIERS = {
    "exists": "exists",
    "~exists": "~exists",
    "~ exists": "~exists",
    "forall": "forall",
}  # herd's words
CLAUSES = (*QUANTIFIERS, "locations")
NEGATIONS = ("~", "not")
NAME_RULE = "1 to 80 letters, digits or _.+@[]-"
NAME = re.compile(r"[A-Za-z0-9_.+@\[\]-]{1,80}")
INFO = re.compile(r"([A-Z][A-Za-z]*)=(.*)")
INITIAL = re.compile(r"([a-z]\w*)\s*=\s*(\d+)")
TOKEN = re.compile(r"/\\|\\/|[()=~]|[\w:]+|\S")
LOCATIONS = re.compile(r"locations\s*\[([^\[\]]*)\]\s*")
COMMENT = re.compile(r"\(\*|\*\)")
WORD = r"[a-z]\w*"
LOCATED = re.compile(rf"({WORD})@P([0-9])")


Values = Mapping[str, int]  # "0:r0" or "x" -> value


class Condition(NamedTuple):
    """The clause at the end: `quantifier` exists, ~exists or forall, its text and truth.

    `names`: of `locations` before it, and its own.
    """

    quantifier: str
    text: str
    names: tuple[str, ...]
    holds: Callable[[Values], bool]


@dataclass(frozen=True, slots=True)
class LitmusTest:
    """A parsed test; `placement` says for each thread whether it runs on the CPU or on a GPU.

    `registers`: the thread on whose node a device register or interrupt is.
    """

    name: str
    text: str
    threads: tuple[tuple[Instruction, ...], ...]
    initial: Mapping[str, int]
    condition: Condition
    placement: tuple[str, ...]
    title: str = ""
    info: Mapping[str, str] = field(default_factory=dict)
    registers: Mapping[str, int] = field(default_factory=dict)

    @property
    def lines(self) -> tuple[str, ...]:
        """The locations in coherent memory, in the order of their names."""
        return tuple(place for place in self.locations if place not in self.registers)

    @property
    def locations(self) -> tuple[str, ...]:
        """All locations, in the order of their names."""
        return tuple(sorted(self.initial))


class _Lines:
    """The lines of a text that are not blank, and the number of the one that is read; for errors."""

    def __init__(self, text: str, source: str, first: int) -> None:
        self.source = source
        self.number = first
        lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), first)]
        self._lines = deque((number, line) for number, line in lines if line)

    def peek(self) -> str:
        """The next line, "" at the end."""
        return self._lines[0][1] if self._lines else ""

    def need(self, what: str) -> str:
        """The next line; ConfigError when the text ends."""
        if not self._lines:
            raise self.error(f"the text ends, {what} was expected")
        self.number, line = self._lines.popleft()
        return line

    def error(self, text: str) -> ConfigError:
        """An error of the present line."""
        return ConfigError(f"{self.source}:{self.number}: {text}")


def parse_all(text: str, source: str) -> list[LitmusTest]:
    """The tests of a text that holds one after the other; each begins with a line `HSL NAME`."""
    starts = [match.start() for match in re.finditer(r"^HSL\b", text, re.MULTILINE)] or [0]
    ends = [*starts[1:], len(text)]
    return [
        parse(text[start:end], source, text.count("\n", 0, start) + 1)
        for start, end in zip(starts, ends, strict=True)
    ]


def parse(text: str, source: str = "litmus", first: int = 1) -> LitmusTest:
    """Read one test. Raises ConfigError with `source` and line for an invalid one."""
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{source}: {len(text)} characters; expected at most {MAX_BYTES}")
    lines = _Lines(_bare(text, source, first), source, first)
    arch, _, name = lines.need("HSL NAME").partition(" ")
    if arch != "HSL" or not NAME.fullmatch(name.strip()):
        raise lines.error(f"{arch[:20]!r} {name[:80]!r}; expected HSL NAME, with a NAME of {NAME_RULE}")
    title, info, line = _head(lines)
    initial = _initial(lines, line)
    threads = tuple(_threads(lines))
    clause = lines.need("a condition")
    while lines.peek():
        clause += " " + lines.need("more")
    for place in sorted({each.location for thread in threads for each in thread if each.location}):
        initial.setdefault(place, 0)
    if len(initial) > MAX_LOCATIONS:
        raise lines.error(f"{len(initial)} locations; expected at most {MAX_LOCATIONS}")
    placement = tuple(info.pop("Placement", " ".join((PLACES * 2)[: len(threads)])).split())
    if len(placement) != len(threads) or not set(placement) <= set(PLACES):
        raise lines.error(f"Placement={' '.join(placement)}: one of {', '.join(PLACES)} for each thread")
    registers = _registers_of(lines, info.pop("Registers", ""), threads, initial)
    threads = tuple(
        tuple(each._replace(dst=registers.get(each.location, 0)) for each in thread) for thread in threads
    )
    condition = _condition(lines, clause, threads, initial)
    return LitmusTest(name.strip(), text, threads, initial, condition, placement, title, info, registers)


def _bare(text: str, source: str, first: int) -> str:
    """The text without its comments, which may stand in each other; every line keeps its number."""
    kept, depth, at, opened = [], 0, 0, 0
    for match in COMMENT.finditer(text):
        if not depth:
            kept.append(text[at : match.start()])
            opened = match.start()
        depth += 1 if match[0] == "(*" else -1
        if depth < 0:
            raise ConfigError(f"{source}:{first + text.count(chr(10), 0, opened)}: *) without (*")
        if not depth:
            kept.append(" " + "\n" * text.count("\n", opened, match.end()))
        at = match.end()
    if depth:
        raise ConfigError(f"{source}:{first + text.count(chr(10), 0, opened)}: (* without *)")
    return "".join([*kept, text[at:]])


def _head(lines: _Lines) -> tuple[str, dict[str, str], str]:
    """The title, the information lines, and the first line after them."""
    title, info = "", {}
    line = lines.need("an initial state { ... }")
    if line.startswith('"'):
        title = line.strip('"')
        line = lines.need("an initial state { ... }")
    while match := INFO.fullmatch(line):
        info[match[1]] = match[2].strip()
        line = lines.need("an initial state { ... }")
    return title, info, line


def _initial(lines: _Lines, line: str) -> dict[str, int]:
    if not line.startswith("{"):
        raise lines.error(f"{line[:40]!r}: an initial state {{ ... }} was expected")
    while not line.endswith("}"):
        line += " " + lines.need("}")
    found: dict[str, int] = {}
    for part in filter(None, map(str.strip, line[1:-1].split(";"))):
        match = INITIAL.fullmatch(part)
        if match is None:
            raise lines.error(f"initial state {part[:40]!r}; expected LOCATION=NUMBER")
        if match[1] in found:
            raise lines.error(f"initial state: {match[1][:40]} is given a value twice")
        found[match[1]] = _number(lines, match[2])
    return found


def _number(lines: _Lines, text: str) -> int:
    value = int(text) if text.isdecimal() and text.isascii() and len(text) < 20 else -1
    if not 0 <= value <= MAX_VALUE:
        raise lines.error(f"value {text[:30]!r}; expected 0..{MAX_VALUE}")
    return value


def _threads(lines: _Lines) -> Iterator[tuple[Instruction, ...]]:
    """The columns of the table of programs, up to and without the condition."""
    heads = _cells(lines, lines.need("P0 | P1 ;"))
    if heads != [f"P{index}" for index in range(len(heads))] or not 1 <= len(heads) <= MAX_THREADS:
        raise lines.error(f"{heads[:6]}; expected P0 | P1 | ... with at most {MAX_THREADS} threads")
    columns: list[list[Instruction]] = [[] for _ in heads]
    while not lines.peek().startswith(CLAUSES):
        cells = _cells(lines, lines.need("a condition"))
        if len(cells) != len(heads):
            raise lines.error(f"{len(cells)} columns; the heading has {len(heads)}")
        for column, cell in zip(columns, cells, strict=True):
            if cell:
                column.append(_instruction(lines, cell))
                if len(column) > MAX_ACCESSES:
                    raise lines.error(f"more than {MAX_ACCESSES} instructions in a thread")
    for index, column in enumerate(columns):
        _registers(lines, index, column)
    return iter(map(tuple, columns))


def _cells(lines: _Lines, row: str) -> list[str]:
    if not row.endswith(";"):
        raise lines.error(f"{row[:40]!r}: a row of the programs ends with ;")
    return [cell.strip() for cell in row[:-1].split("|")]


def _instruction(lines: _Lines, cell: str) -> Instruction:
    """Read one cell: a mnemonic, its order, its operands."""
    mnemonic, _, rest = cell.replace("\t", " ").partition(" ")
    kind, *orders = mnemonic.split(".")
    if kind not in OPERANDS or any(order not in ATOMS.get(kind, ()) for order in orders):
        legal = ", ".join(OPERANDS)
        raise lines.error(
            f"{mnemonic[:40]!r}; expected {legal}; .acq on what reads, .rel on what writes, "
            f".ld .st .nc on a fence, .s0 to .s{STREAMS - 1} on NCR"
        )
    operands = [part.strip() for part in rest.split(",")] if rest.strip() else []
    if len(operands) != len(OPERANDS[kind]):
        raise lines.error(f"{cell[:60]!r}: {kind} has {len(OPERANDS[kind])} operands")
    found: dict[str, Any] = {"kind": kind} | CAS.get(kind, {})
    for letter, operand in zip(OPERANDS[kind], operands, strict=True):
        if letter in "rx" and not re.fullmatch(WORD, operand):
            raise lines.error(f"{operand[:40]!r}; expected a name: a small letter, then letters, digits or _")
        if letter == "o" and operand not in AOPS:
            raise lines.error(f"{operand[:40]!r}; {expected(AOPS, operand)}")
        number: Callable[[str], Any] = partial(_number, lines)
        readings = {"v": number, "c": number, "o": AOPS.__getitem__}
        found[FIELDS[letter]] = readings.get(letter, str)(operand)
    if kind == "fence" and orders:
        found["order"] = reduce(or_, (FENCES[each] for each in orders))
    found["stream"] = max((ON_STREAM.get(each, 0) for each in orders), default=0)
    return Instruction(**found, acquire="acq" in orders, release="rel" in orders)


def _registers(lines: _Lines, index: int, column: list[Instruction]) -> None:
    """A register is given its value once, and before something depends on it."""
    known: set[str] = set()
    for each in column:
        if each.kind == "dep" and each.register not in known:
            raise lines.error(f"P{index}: dep {each.register}, which has no value yet")
        if each.kind in READS:
            if each.register in known:
                raise lines.error(f"P{index}: {each.register} is given a value twice")
            known.add(each.register)


def _registers_of(
    lines: _Lines, text: str, threads: tuple[tuple[Instruction, ...], ...], initial: Mapping[str, int]
) -> dict[str, int]:
    """The node of each device register and interrupt; a location is one of these or memory, never both."""
    found: dict[str, int] = {}
    for part in text.split():
        match = LOCATED.fullmatch(part)
        if match is None or int(match[2]) >= len(threads):
            raise lines.error(f"Registers={part[:40]}: expected NAME@P0 to @P{len(threads) - 1}")
        found[match[1]] = int(match[2])
    used: dict[str, set[str]] = {}
    for p, thread in enumerate(threads):
        for index, each in enumerate(thread):
            if each.location:
                used.setdefault(each.location, set()).add(each.kind)
            if each.kind == "wait" and (index or found.get(each.location) != p):
                raise lines.error(f"P{p}: wait must be first, and {each.location} in Registers at P{p}")
    for place, kinds in used.items():
        if not any(kinds <= legal for legal in (REGISTER, INTERRUPT)) if place in found else kinds & DEVICE:
            raise lines.error(f"{place}: {', '.join(sorted(kinds))} of one location; see Registers")
    instructions = [each for thread in threads for each in thread]
    _waited(lines, instructions, initial)
    for each in instructions:
        if each.kind == "intr" and (each.value > MAX_DATUM or initial.get(each.location)):
            raise lines.error(f"interrupt {each.location}: expected a datum of 0..{MAX_DATUM}, and 0 before")
    return found


def _waited(lines: _Lines, instructions: list[Instruction], initial: Mapping[str, int]) -> None:
    """Refuse a wait unless its event comes once with a datum other than 0, so that each wait ends."""
    waits = [each.location for each in instructions if each.kind == "wait"]
    for place in waits:
        sent = [each.value for each in instructions if each.location == place and each.kind in WRITES]
        if len(sent) != 1 or not sent[0] or waits.count(place) > 1 or initial.get(place):
            raise lines.error(f"wait for {place}: expected 0 first, one write of another value, and one wait")


# ---- conditions


class _Tokens:
    """The tokens of a condition, and the names that they may use."""

    def __init__(self, lines: _Lines, text: str, names: frozenset[str]) -> None:
        self.lines = lines
        self.names = names
        self.used: list[str] = []
        self._tokens = deque(TOKEN.findall(text))

    def peek(self) -> str:
        return self._tokens[0] if self._tokens else ""

    def take(self) -> str:
        return self._tokens.popleft() if self._tokens else ""

    def need(self, token: str) -> None:
        """Take a token that must come."""
        if self.take() != token:
            raise self.lines.error(f"condition: {token} is missing")

    def fail(self, what: str) -> ConfigError:
        return self.lines.error(f"condition: {self.peek()[:40]!r} where {what} was expected")


Truth = Callable[[Values], bool]


def _condition(
    lines: _Lines, clause: str, threads: tuple[tuple[Instruction, ...], ...], initial: Mapping[str, int]
) -> Condition:
    registers = {
        f"{index}:{each.register}"
        for index, thread in enumerate(threads)
        for each in thread
        if each.kind in READS
    }
    names = frozenset(registers | initial.keys())
    shown, clause = _locations(lines, clause, names)
    word = next((each for each in QUANTIFIERS if clause.startswith(each)), None)
    if word is None:
        raise lines.error(f"{clause[:40]!r}; {expected(QUANTIFIERS.values())}")
    text = clause[len(word) :].strip()
    tokens = _Tokens(lines, text, names)
    truth = _disjunction(tokens, 0)
    if tokens.peek():
        raise tokens.fail("the end")
    return Condition(QUANTIFIERS[word], text, tuple(dict.fromkeys([*shown, *tokens.used])), truth)


def _locations(lines: _Lines, clause: str, names: frozenset[str]) -> tuple[list[str], str]:
    """The names that `locations [...]` asks to be shown, and the clause after it."""
    match = LOCATIONS.match(clause)
    if match is None:
        return [], clause
    shown = [name.strip() for name in match[1].split(";") if name.strip()]
    if unknown := next((name for name in shown if name not in names), None):
        raise lines.error(f"locations: {unknown[:40]!r} where one of {', '.join(sorted(names))} was expected")
    return shown, clause[match.end() :]


def _disjunction(tokens: _Tokens, depth: int) -> Truth:
    parts = [_conjunction(tokens, depth)]
    while tokens.peek() == "\\/":
        tokens.take()
        parts.append(_conjunction(tokens, depth))
    return lambda values: any(part(values) for part in parts)


def _conjunction(tokens: _Tokens, depth: int) -> Truth:
    parts = [_atom(tokens, depth)]
    while tokens.peek() == "/\\":
        tokens.take()
        parts.append(_atom(tokens, depth))
    return lambda values: all(part(values) for part in parts)


def _atom(tokens: _Tokens, depth: int) -> Truth:
    if depth > MAX_DEPTH:
        raise tokens.lines.error(f"condition: more than {MAX_DEPTH} parentheses and negations in each other")
    if tokens.peek() in NEGATIONS:
        tokens.take()
        inner = _atom(tokens, depth + 1)
        return lambda values: not inner(values)
    if tokens.peek() == "(":
        tokens.take()
        within = _disjunction(tokens, depth + 1)
        tokens.need(")")
        return within
    name = _name(tokens)
    tokens.need("=")
    value = _number(tokens.lines, tokens.take())
    return lambda values: values[name] == value


def _name(tokens: _Tokens) -> str:
    """A register or a location; the latter may stand in brackets."""
    bracket = tokens.peek() == "["
    if bracket:
        tokens.take()
    name = tokens.peek()
    if name not in tokens.names or (bracket and ":" in name):
        raise tokens.fail(f"one of {', '.join(sorted(tokens.names))}")
    tokens.used.append(tokens.take())
    if bracket:
        tokens.need("]")
    return name
