"""Bugs planted in the agents, one at a time: each must be found by the random tester, and made small.

`python -m tests.verify.planted` finds each of them with five seeds, and says how small each became.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest import mock

from hsl._generated.constants import Err, Op
from hsl._generated.tables import HA_TABLE, RA_TABLE, CoherenceRow
from hsl.agents import arrival, request_actions
from hsl.agents import home as home_module
from hsl.agents.address_map import AddressMap
from hsl.agents.entries import Entries
from hsl.agents.home import HomeAgent
from hsl.agents.home_actions import HomeActions
from hsl.agents.request import RequestAgent
from hsl.agents.transaction import Transaction
from hsl.codec.message import Message
from hsl.verify.shrink import BUDGET
from hsl.verify.stress import minimize, run
from hsl.verify.stress_config import StressConfig
from hsl.verify.verdict import Verdict

OPS = 100_000  # in which each bug must be found
CLEAN = 20_000  # operations of a run without a bug, that finds nothing
SMALL = 20  # operations: fewer than that is small
SEEDS = range(1, 6)

Plant = Callable[[], AbstractContextManager[Any]]


def cell(state: str, event: str, actions: str, after: str) -> Plant:
    """Another row for a cell of the cache table."""
    row = CoherenceRow((), tuple(tuple(action.split()) for action in actions.split(", ") if action), after)
    return lambda: mock.patch.dict(RA_TABLE, {(state, event): (row,)})


def home_rows(state: str, event: str, change: Callable[[CoherenceRow], CoherenceRow]) -> Plant:
    """Changed rows of a cell of the home table."""
    rows = tuple(change(row) for row in HA_TABLE[state, event])
    assert rows != HA_TABLE[state, event]
    return lambda: mock.patch.dict(HA_TABLE, {(state, event): rows})


def swapped(old: tuple[str, ...], *new: tuple[str, ...]) -> Callable[[CoherenceRow], CoherenceRow]:
    """A row with other actions in place of one."""

    def change(row: CoherenceRow) -> CoherenceRow:
        actions = [each for action in row.actions for each in (new if action == old else (action,))]
        return row._replace(actions=tuple(actions))

    return change


def home_action(name: str, bug: Callable[..., Any]) -> Plant:
    """Another function for an action word of the home; `bug` gets the right one as its first argument."""
    right = getattr(HomeActions, name)
    return lambda: mock.patch.object(HomeActions, name, lambda *arguments: bug(right, *arguments))


@contextmanager
def one_sharer_forgotten() -> Iterator[None]:
    """The last of several sharers is not snooped."""
    right = HomeActions.do_snoop

    def bug(home: HomeActions, t: Transaction, name: str, whom: str) -> None:
        right(home, t, name, whom)
        if len(t.pending) > 1:
            t.pending.discard(home.outbox.pop().dst)

    with mock.patch.object(HomeActions, "do_snoop", bug):
        yield


@contextmanager
def far_atomic_forgets_high_half() -> Iterator[None]:
    """The home performs atomics on the low half of the operand only."""
    right = HomeActions.do_alu

    def bug(home: HomeActions, t: Transaction) -> None:
        kept = t.request
        half = len(kept.data) // 2
        t.request = kept._replace(data=kept.data[:half] + bytes(half))
        right(home, t)
        t.request = kept

    with mock.patch.object(HomeActions, "do_alu", bug):
        yield


def shared_as_exclusive(
    right: Callable[..., Any], home: HomeActions, t: Transaction, st: str, source: str
) -> None:
    """ReadShared is granted E though there are other sharers."""
    right(home, t, "E" if st == "S" and len(t.holders.nids) > 1 else st, source)


def byte_enables_ignored(right: Callable[..., Any], home: HomeActions, t: Transaction) -> Any:
    """WritePtl writes all its bytes."""
    kept, t.request = t.request, t.request._replace(be=(1 << len(t.request.data)) - 1)
    event = right(home, t)
    t.request = kept
    return event


def dirty_data_not_written(right: Callable[..., Any], home: HomeActions, t: Transaction, source: str) -> Any:
    """The data of a snoop are forgotten instead of written to memory."""
    if source != "buf":
        return right(home, t, source)
    t.matches = True
    return "MemDone_OK"


def snapshot_of_memory(
    right: Callable[..., Any], home: HomeActions, t: Transaction, st: str, source: str
) -> None:
    """ReadOnce of an owned line answers with memory, not with the owner's data."""
    if source == "buf":
        assert home.leg.memory is not None
        t.mem, source = home.leg.memory.read_line(t.line), "mem"
    right(home, t, st, source)


def wrong_half(turn: request_actions.Turn, ticket: Any) -> None:
    """A load that begins in the second half of a line gets the first half."""
    line, access = turn.line, ticket.access
    offset = access.addr % 32 if access.addr % 64 >= 32 and access.size <= 32 else access.addr % 64
    turn.agent.finish(ticket, turn.now, data=bytes(line.data[offset : offset + access.size]))


def near_atomic_returns_new(turn: request_actions.Turn, ticket: Any) -> None:
    """An AtomicLoad on a line that is held returns the value after the operation."""
    request_actions._atomic(turn, ticket)
    if ticket.access.kind == "atomic_load":
        offset = ticket.access.addr % 64
        ticket.data = bytes(turn.line.data[offset : offset + ticket.access.size])


def fence_does_not_wait(agent: RequestAgent, now: int) -> None:
    """A fence ends at once."""
    agent._unperformed = [0] * len(agent._unperformed)
    RIGHT_FENCE(agent, now)


RIGHT_FENCE = RequestAgent._pass_fence


def listed_only(home: HomeAgent, first: int, last: int) -> list[int]:
    """RECALL takes the lines that are listed, not those that are busy or waited for."""
    return home._do.directory.held_in(first, last)


def decode_first(message: Message, home: int, address_map: AddressMap, *more: Any) -> Err:
    """A home says DECODE for a line homed elsewhere though its range is quiesced."""
    entry = address_map.lookup(message.addr)
    elsewhere = entry is not None and entry.home_of(message.addr) != home
    return Err.DECODE if elsewhere else RIGHT_REFUSAL(message, home, address_map, *more)


def busy_at_times(message: Message, *more: Any) -> Err:
    """A home answers BUSY to some requests though nobody has quiesced their range."""
    right = RIGHT_REFUSAL(message, *more)
    return Err.BUSY if not right and message.txn == 3 and message.op not in arrival.KEPT else right


RIGHT_REFUSAL = arrival.refusal


@contextmanager
def entry_free_too_soon() -> Iterator[None]:
    """The entry of a victim is free as soon as its Recall is queued."""
    right = Entries.choose

    def bug(
        entries: Entries, still: Callable[[int], bool], isolates: Callable[[int], bool]
    ) -> tuple[int, int] | None:
        chosen = right(entries, still, isolates)
        if chosen is not None:
            entries._held[entries._lines.pop(chosen[0])] -= 1
        return chosen

    with mock.patch.object(Entries, "choose", bug):
        yield


PLANTED: dict[str, Plant] = {
    "SnpInv leaves the S copy": cell("S", "SnpInv", "rsp I", "="),
    "SnpShared in M answers without data": cell("M", "SnpShared", "rsp S", "S"),
    "SnpInv in SM_A keeps the copy": cell("SM_A", "SnpInv", "rsp I", "="),
    "SnpInv in MI_A answers without data": cell("MI_A", "SnpInv", "drop, rsp I", "II_A"),
    "a store in E does not make the line M": cell("E", "store", "hit", "="),
    "a store in S hits without Upgrade": cell("S", "store", "hit", "M"),
    "one sharer is not snooped": one_sharer_forgotten,
    "E is granted beside sharers": home_action("do_cmpdata", shared_as_exclusive),
    "dirty snoop data are not written": home_action("do_mem_write", dirty_data_not_written),
    "byte enables of WritePtl are ignored": home_action("do_mem_write_ptl", byte_enables_ignored),
    "ReadOnce of an owned line reads memory": home_action("do_cmpdata", snapshot_of_memory),
    "Evict does not leave the directory": home_rows("IDLE", "Evict", swapped(("unlist", "r"))),
    "stale WbFull is written": home_rows(
        "IDLE", "WbFull", lambda row: row._replace(actions=(("mem_write", "req"),), next="WR")
        if dict(row.guards)["who"] == ("none",) else row
    ),
    "loads of the second half get the first": lambda: mock.patch.dict(
        request_actions.HITS, {"load": wrong_half}
    ),
    "a near AtomicLoad returns the new value": lambda: mock.patch.dict(
        request_actions.HITS, {"atomic_load": near_atomic_returns_new}
    ),
    "RECALL counts listed lines only": lambda: mock.patch.object(HomeAgent, "_used", listed_only),
    "WbFull of a quiesced range is BUSY": lambda: mock.patch.object(
        arrival, "KEPT", frozenset({Op.Evict})
    ),
    "DECODE while a range moves": lambda: mock.patch.object(home_module, "refusal", decode_first),
    "BUSY though no range moves": lambda: mock.patch.object(home_module, "refusal", busy_at_times),
    "an entry is free too soon": entry_free_too_soon,
    "a fence does not wait": lambda: mock.patch.object(RequestAgent, "_pass_fence", fence_does_not_wait),
}  # fmt: skip


# Bugs that only a small directory, or mostly moves, show in so few operations.
SETTINGS: dict[str, dict[str, Any]] = {
    "an entry is free too soon": {"directory_lines": 2},
}


def find(name: str, seed: int, ops: int = OPS) -> tuple[StressConfig, Verdict]:
    """Run the tester on the agents with one bug."""
    config = StressConfig(ops=ops, seed=seed, **SETTINGS.get(name, {}))
    with PLANTED[name]():
        return config, run(config)


def small(name: str, config: StressConfig, verdict: Verdict, budget: int = BUDGET) -> int:
    """The operations that are left of a failure; they must fail with the bug, and not without it."""
    with PLANTED[name]():
        least, kept = minimize(config, verdict, budget)
        assert run(least, kept).violation, name
    assert not run(least, kept).violation, name
    return len(kept)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=len(SEEDS))
    chosen = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in PLANTED:
        found, sizes = [], []
        for seed in range(1, chosen.seeds + 1):
            config, verdict = find(name, seed)
            found.append(verdict.begun if verdict.violation else None)
            if verdict.violation:
                sizes.append(small(name, config, verdict))
        rows.append({"bug": name, "found after": found, "shrunk to": sizes})
        print(json.dumps(rows[-1]), flush=True)
    clean = [bool(run(StressConfig(ops=CLEAN, seed=seed)).violation) for seed in range(1, chosen.seeds + 1)]
    missed = [row["bug"] for row in rows if None in row["found after"]]
    large = [row["bug"] for row in rows if max(row["shrunk to"], default=SMALL) >= SMALL]
    print(json.dumps({"bugs": len(rows), "missed": missed, "not small": large, "false alarms": sum(clean)}))
    return int(bool(missed or any(clean) or len(rows) - len(large) < 10))


if __name__ == "__main__":
    sys.exit(main())
