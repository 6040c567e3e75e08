"""Programs for the random tester that come from outside: a recording, or the operations of another run.

Of another run, in a file for the checker of memory order, only what it did counts. Its agents are threads,
dealt to the caches in turn; its lines in ascending order are the lines of this run; an atomic swaps. What was
read there, and when, is for the checker; here the run finds its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from hsl._generated.constants import LINE_BYTES, Aop
from hsl.agents.access import KINDS, Access
from hsl.errors import ConfigError
from hsl.verify.last_writer import check_judged
from hsl.verify.layout import MANAGER, SILENT, Layout
from hsl.verify.moves import MOVE, Moves
from hsl.verify.operation import NOTHING, PAGES, POISON, VALUES, WORD, WORDS, Judge, Operation
from hsl.verify.pages import Pages
from hsl.verify.parties import Parties
from hsl.verify.stress_config import StressConfig
from hsl.verify.trace_operation import Trace, TraceOperation

__all__ = ["check_program", "program_of"]

NCR = ("ncread", "ncwrite", "intr")
PLAYED = ("load", "store", "atomic", "fence")  # not what memory held at the end


def program_of(trace: Trace, config: StressConfig) -> list[Operation]:
    """The operations of a trace as a program of this run.

    Raises ConfigError for more lines or threads than the run has, and for an access that is not an
    aligned word of 8 bytes.
    """
    played = [each for each in trace.operations if each.kind in PLAYED]
    layout = Layout(config)
    caches = layout.agents
    threads = sorted({each.agent for each in played})
    names = sorted({each.line for each in played if each.kind != "fence"})
    if len(names) > config.lines:
        raise ConfigError(f"operations on {len(names)} lines; the run has {config.lines} (--lines)")
    lines = dict(zip(names, layout.lines, strict=False))
    swapped = {each.addr for each in played if each.kind == "atomic"}
    orders = {agent: _Order() for agent in threads}
    program = []
    for number, each in enumerate(played):
        thread = threads.index(each.agent)
        after, ordered = orders[each.agent].place(each, number)
        judge = NOTHING if each.addr in swapped and each.kind != "fence" else WORDS
        access = _access(each, lines)
        agent = caches[thread % len(caches)]
        program.append(Operation(number, thread, agent, access, after=after, orders=ordered, judge=judge))
    check_program(config, program)
    return program


def _access(each: TraceOperation, lines: dict[int, int]) -> Access:
    if each.kind == "fence":
        return Access("fence")
    # A variable of axe is a line of its own.
    offset = each.addr % LINE_BYTES if each.addr // LINE_BYTES == each.line else 0
    if offset % WORD:
        raise ConfigError(f"operation #{each.source}: address {each.addr:#x}; expected a multiple of {WORD}")
    addr = lines[each.line] + offset
    data = (each.value or 0).to_bytes(WORD, "little")
    if each.kind == "load":
        return Access("load", addr, WORD)
    return (
        Access("store", addr, WORD, data)
        if each.kind == "store"
        else Access("atomic_load", addr, WORD, data, aop=Aop.SWAP)
    )


class _Order:
    """The operations that the next one of a thread must wait for (HSL 5.9)."""

    def __init__(self) -> None:
        self._acquired: tuple[int, ...] = ()  # the last acquire: all later ones wait for it
        self._before: list[int] = []  # what a release or fence waits for

    def place(self, each: TraceOperation, number: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """(after, orders) of the next operation, which gets this number."""
        fence = each.kind == "fence"
        waits = tuple(self._before) if each.release or fence else ()
        after = tuple(sorted({*self._acquired, *(() if fence else waits)}))
        self._before = [number] if waits else [*self._before, number]
        if each.acquire:
            self._acquired = (number,)
        return after, waits if fence else ()


def check_program(config: StressConfig, operations: Sequence[Operation]) -> None:
    """Raise ConfigError for operations that are no program of the run."""
    ids = [operation.id for operation in operations]
    if ids != sorted(set(ids)):
        raise ConfigError("operations: ids must rise")
    layout = Layout(config)
    agents = [*layout.agents, *[MANAGER] * bool(layout.moving)]
    if strangers := sorted({operation.agent for operation in operations} - set(agents)):
        raise ConfigError(f"operations of agents {strangers}; there are {agents}")
    threads = {(operation.agent, operation.thread) for operation in operations}
    of_agent = Counter(agent for agent, _ in threads)
    if (
        len({thread for _, thread in threads}) != len(threads)
        or max(of_agent.values(), default=0) > config.threads
    ):
        raise ConfigError(f"operations: a thread has one agent, which has at most {config.threads} threads")
    _check_places(config, operations)
    check_judged(operations)


def _check_places(config: StressConfig, operations: Sequence[Operation]) -> None:
    """Raise ConfigError for an operation of a kind or at a place that the run has not."""
    layout = Layout(config)
    parties = Parties(config)
    pages, moves = Pages(parties), Moves(parties)
    plain = dict.fromkeys(parties.lines, (*VALUES, NOTHING))
    judges = (
        plain | dict.fromkeys(layout.poison_lines, (POISON,)) | dict.fromkeys(layout.late_lines, (NOTHING,))
    )
    for operation in operations:
        access, line = operation.access, operation.line
        legal: tuple[Judge, ...] = (*VALUES, NOTHING)
        if access.kind == "trans_inv" or operation.virtual:
            pages.check(operation)
            legal = (PAGES,)
        elif access.kind == MOVE or operation.agent == MANAGER:
            moves.check(operation)
            legal = (NOTHING,)
        elif KINDS[access.kind].ncr:
            _check_target(layout, operation)
        elif line is not None:
            if line not in judges:
                raise ConfigError(
                    f"operation {operation}: the {config.lines} lines are {ranges(layout.lines)}"
                )
            if line in moves.lines and operation.agent == layout.patient:
                raise ConfigError(f"operation {operation}: node {operation.agent} uses no range that moves")
            legal = judges[line]
        if operation.judge not in legal:
            raise ConfigError(f"operation {operation}: the judge must be {' or '.join(legal)} here")
        if operation.late and (operation.agent != layout.patient or line not in layout.late_lines):
            raise ConfigError(f"operation {operation}: only node {layout.patient} can be answered late")


def _check_target(layout: Layout, operation: Operation) -> None:
    access = operation.access
    if access.kind not in NCR:
        raise ConfigError(f"operation {operation}: only coherent accesses and {', '.join(NCR)} are run")
    if access.dst in SILENT and operation.agent == layout.patient:
        return
    entry = layout.registers.get(access.dst)
    reached = entry is not None and access.dst in layout.targets_of(operation.agent)
    if entry is None or not reached or not (access.kind == "intr" or entry.base <= access.addr <= entry.last):
        raise ConfigError(f"operation {operation}: node {access.dst} has no such register in this run")


def ranges(lines: Iterable[int]) -> str:
    """The addresses of lines, those that follow each other as one range."""
    found: list[list[int]] = []
    for line in sorted(lines):
        if found and found[-1][1] == line:
            found[-1][1] += LINE_BYTES
        else:
            found.append([line, line + LINE_BYTES])
    return ", ".join(f"{first:#x}..{end - 1:#x}" for first, end in found)
