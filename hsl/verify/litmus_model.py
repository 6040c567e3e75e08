"""The outcomes that memory order allows: HSL 5.9 as a small machine, and as order of issue.

Coherent memory is multi-copy atomic, so an access is performed at one moment, for all. An agent performs its
accesses to one location in program order (F2), its NCR to one target on one stream too (O4), and any two that
a fence (F1), an acquire, a release or a dependency (F3) orders; it performs all others in any order. A fence
orders what comes after it behind the earlier accesses of its kinds alone. The outcomes of a test are those of
all interleavings of such orders. This machine shares nothing with the agents: it is the other opinion.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from hsl._generated.constants import Aop
from hsl.agents import atomics
from hsl.errors import ConfigError
from hsl.verify.litmus_text import READS, WRITES, Instruction, LitmusTest

__all__ = ["CELL", "MAX_STATES", "Outcome", "Rule", "allowed", "operand", "outcome", "perform", "rules"]

CELL = 8  # bytes of a location
MAX_STATES = 200_000  # of the machine: 15 s and 400 MB; no test of the package has 200
Outcome = tuple[tuple[str, int], ...]  # (register or location, value), sorted by name


class Rule(NamedTuple):
    """The earlier instructions (by index) that must be issued or performed before this one is.

    `issued` and `completed` bind the program that hands it to an agent; `performed` is what 5.9 demands.
    """

    issued: frozenset[int]
    completed: frozenset[int]
    performed: frozenset[int]


def rules(thread: Sequence[Instruction], in_order: bool = False) -> list[Rule]:
    """The rule of each instruction; `in_order`: each begins when the one before is complete (5.9 a)."""
    return [_rule(thread, index, in_order) for index in range(len(thread))]


def _rule(thread: Sequence[Instruction], index: int, in_order: bool) -> Rule:
    this = thread[index]
    earlier = range(index)
    accesses = [each for each in earlier if thread[each].access]
    fences = [each for each in earlier if thread[each].kind == "fence"]
    completed = {each for each in accesses if thread[each].acquire or thread[each].kind == "wait"}
    completed |= {_source(thread, each) for each in earlier if thread[each].kind == "dep"}
    if this.release or in_order:
        completed |= set(accesses)
    same = {each for each in accesses if _same(thread[each], this)}
    fenced = {each for fence in fences for each in accesses if each < fence and _orders(thread, fence, each)}
    # A fence is handed over behind all that is before it: what it does not order must still pass it.
    issued = set(accesses) if this.kind == "fence" else same
    return Rule(
        frozenset(issued) | frozenset(fences), frozenset(completed), frozenset(completed | same | fenced)
    )


def _orders(thread: Sequence[Instruction], fence: int, access: int) -> bool:
    """True if the fence waits for the access. A `wait` is over before what follows it."""
    return thread[access].kind != "wait" and bool(thread[access].ordered_by & thread[fence].order)


def _same(one: Instruction, other: Instruction) -> bool:
    """True for two accesses of one agent that are performed in program order: F2, O4."""
    if one.ncr and other.ncr:
        return one.dst == other.dst and one.stream == other.stream
    return one.location == other.location and not (one.ncr or other.ncr)


def _source(thread: Sequence[Instruction], index: int) -> int:
    """The read that gives the register of a `dep` its value."""
    register = thread[index].register
    return next(i for i, each in enumerate(thread) if each.kind in READS and each.register == register)


def perform(instruction: Instruction, old: int) -> int:
    """The value of the location after an access that found `old`."""
    if instruction.kind not in WRITES:
        return old
    if not instruction.kind.startswith("atomic"):
        return instruction.value
    new, _ = atomics.apply(instruction.aop, CELL, old.to_bytes(CELL, "little"), operand(instruction))
    return int.from_bytes(new, "little")


def operand(instruction: Instruction) -> bytes:
    """The data of an access that writes: its value, before it what a CAS compares with."""
    value = instruction.value.to_bytes(CELL, "little")
    return instruction.compare.to_bytes(CELL, "little") + value if instruction.aop == Aop.CAS else value


def outcome(test: LitmusTest, registers: dict[str, int], memory: dict[str, int]) -> Outcome:
    """Registers and final memory as one value."""
    return tuple(sorted((registers | memory).items()))


State = tuple[frozenset[tuple[int, int]], tuple[int, ...], tuple[tuple[str, int], ...]]


def allowed(test: LitmusTest, in_order: bool = False) -> set[Outcome]:
    """All outcomes that 5.9 allows (`in_order`: column a).

    Raises ConfigError for more than MAX_STATES, and for a thread whose wait may never end.
    """
    orders = [rules(thread, in_order) for thread in test.threads]
    places = test.locations
    accesses = sum(each.access for thread in test.threads for each in thread)
    start: State = (frozenset(), tuple(test.initial[place] for place in places), ())
    seen, todo, found = {start}, [start], set()
    while todo:
        state = todo.pop()
        following = list(_steps(test, orders, places, state))
        if not following and len(state[0]) < accesses:
            raise ConfigError(f"{test.name}: a thread waits for what never comes")
        if not following:
            found.add(outcome(test, dict(state[2]), dict(zip(places, state[1], strict=True))))
        for new in following:
            if new not in seen:
                seen.add(new)
                todo.append(new)
        if len(seen) > MAX_STATES:
            raise ConfigError(f"{test.name}: clause 5.9 leaves more than {MAX_STATES} states to it")
    return found


def _steps(
    test: LitmusTest, orders: list[list[Rule]], places: tuple[str, ...], state: State
) -> Iterator[State]:
    """Each access that may be performed next."""
    performed, memory, registers = state
    for p, thread in enumerate(test.threads):
        done = {index for q, index in performed if q == p}
        for index, each in enumerate(thread):
            if not each.access or index in done or not orders[p][index].performed <= done:
                continue
            at = places.index(each.location)
            if each.kind == "wait" and not memory[at]:
                continue
            read = ((f"{p}:{each.register}", memory[at]),) if each.kind in READS else ()
            after = (*memory[:at], perform(each, memory[at]), *memory[at + 1 :])
            yield performed | {(p, index)}, after, tuple(sorted((*registers, *read)))
