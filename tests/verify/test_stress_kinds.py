"""What programs of the random tester have besides plain accesses: each kind finds what only it can show."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest import mock

import pytest

from hsl._generated.constants import LINE_BYTES, Op
from hsl.agents.access import KINDS as ACCESSES
from hsl.agents.access import Access, Order
from hsl.agents.address_map import SamEntry, encode_entry
from hsl.agents.atc import Atc
from hsl.agents.cache import Line
from hsl.agents.io import Doorbell, IoAgent
from hsl.agents.memory import Memory
from hsl.agents.ncr import NcrRequests
from hsl.agents.outstanding import Outstanding
from hsl.agents.request_actions import HITS
from hsl.agents.wire import coherent
from hsl.codec.message import Message
from hsl.errors import ConfigError
from hsl.verify.layout import Layout
from hsl.verify.operation import Operation
from hsl.verify.pages import Pages
from hsl.verify.poison import mark
from hsl.verify.replay import Recording, read, replay, same, write
from hsl.verify.stress import minimize, program, run
from hsl.verify.stress_config import HAND_OVER, KINDS, NONE, StressConfig

Plant = Callable[[], AbstractContextManager[Any]]


@pytest.mark.parametrize("home", ["hostmem", "interleaved"])
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_clean(kind: str, home: str) -> None:
    """A program with one kind ends, finds nothing, and has done something of that kind [HSL-COH-030]."""
    verdict = run(StressConfig(ops=600, seed=4, kinds=kind, home=home))
    assert (verdict.violation, verdict.ended) == ("", 600)
    assert verdict.details[kind] > 5


@pytest.mark.parametrize("home", ["hostmem", "host", "device"])
def test_all_kinds_over_links(home: str) -> None:
    """Over links all kinds but T_REQ are there, and nothing forbidden is seen."""
    config = StressConfig(ops=250, seed=2, via="links", home=home)
    verdict = run(config)
    assert (verdict.violation, verdict.ended) == ("", 250)
    assert config.having == ("poison", "fences", "ncr", "translation", "moves")
    assert all(verdict.details[kind] for kind in config.having)


def test_kinds_that_apply() -> None:
    """ALL are the kinds that a configuration has the nodes for; NONE are plain accesses."""
    assert StressConfig().having == tuple(KINDS)
    assert StressConfig(cpu=1, gpu=0).having == ("poison", "fences", "ncr", "moves")
    assert StressConfig(kinds="timeouts,poison").having == ("poison", "timeouts")
    assert StressConfig(kinds=NONE).having == ()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kinds": "luck"}, "kind 'luck'; expected poison, fences"),
        ({"kinds": ""}, "kind ''"),
        ({"kinds": 5}, "kinds = 5"),
        ({"kinds": "timeouts", "via": "links"}, "timeouts needs --via messages"),
        ({"kinds": "timeouts", "cpu": 1}, "at least two cpu"),
        ({"kinds": "ncr,translation", "gpu": 0}, "translation needs at least one cpu and one gpu"),
    ],
)
def test_kinds_that_do_not_apply_are_refused(settings: dict[str, Any], said: str) -> None:
    """A kind that is unknown, or that the run has no nodes for, is refused with what it needs."""
    with pytest.raises(ConfigError, match=said):
        StressConfig.of(settings)


@pytest.mark.parametrize("via", ["messages", "links"])
@pytest.mark.parametrize("hand_over", HAND_OVER)
def test_dirty_hand_over(via: str, hand_over: str) -> None:
    """Dirty lines are handed over where nodes offer it, also if only some do; nothing forbidden is seen.

    [HSL-COH-045].
    """
    verdict = run(StressConfig(ops=400, seed=5, lines=4, via=via, hand_over=hand_over, home="host"))
    assert not verdict.violation
    assert bool(verdict.details["handed"]) == (hand_over != NONE)


def test_programs_without_kinds_are_those_of_earlier_versions() -> None:
    """A configuration without `kinds` has the program and the addresses that it has always had.

    Its run has the messages of the present tables; without `hand_over` no node offers that.
    """
    config = StressConfig.of({"ops": 300, "seed": 7, "home": "interleaved"})
    records = json.dumps([operation.record() for operation in program(config)], sort_keys=True)
    verdict = run(config)
    assert (config.kinds, config.hand_over) == (NONE, NONE)
    assert hashlib.sha256(records.encode()).hexdigest()[:16] == "64fb02b88cdce8c2"
    assert (verdict.messages, verdict.time) == (982, 1661)
    assert set(verdict.details) == {"hits", "misses", "snoops", "writebacks", "handed"}
    assert verdict.details["handed"] == 0


def test_a_recording_keeps_its_kinds(tmp_path: Any) -> None:
    """A recording names the kinds of its run, and replays to the same verdict."""
    config = StressConfig(ops=300, seed=6)
    operations = list(program(config))
    verdict = run(config, operations)
    recording = Recording.of_stress(config, operations, verdict)
    assert recording.config["kinds"] == ",".join(KINDS)
    path = tmp_path / "run.hslr"
    with path.open("w") as stream:
        write(recording, stream)
    again = read(path)
    assert same(again.verdict, replay(again))


# ---- planted faults, one for each oracle


@contextmanager
def whole_write_loses_poison() -> Iterator[None]:
    right = Memory.merge

    def bug(memory: Memory, addr: int, data: bytes, be: int, poison: bool = False) -> None:
        right(memory, addr, data, be, poison and be != (1 << LINE_BYTES) - 1)

    with mock.patch.object(Memory, "merge", bug):
        yield


@contextmanager
def near_atomic_ignores_poison() -> Iterator[None]:
    right = HITS["atomic_store"]

    def bug(turn: Any, ticket: Any) -> None:
        poison, turn.line.poison = turn.line.poison, False
        right(turn, ticket)
        turn.line.poison = poison

    with mock.patch.dict(HITS, {"atomic_store": bug}):
        yield


def kind_orders(kind: str, order: Order) -> Plant:
    return lambda: mock.patch.dict(ACCESSES, {kind: ACCESSES[kind]._replace(order=order)})


@contextmanager
def invalidation_drops_nothing() -> Iterator[None]:
    with mock.patch.object(Atc, "invalidate", return_value=lambda: True):
        yield


@contextmanager
def invalidation_does_not_wait() -> Iterator[None]:
    right = Atc.invalidate

    def bug(atc: Atc, message: Message) -> Callable[[], bool]:
        right(atc, message)
        return lambda: True

    with mock.patch.object(Atc, "invalidate", bug):
        yield


@contextmanager
def tables_change_after_the_invalidation() -> Iterator[None]:
    """Software changes a page table when TransInv is completed, not before it is sent. [HSL-ATS-004]."""
    change, changed = Pages.change, Pages.changed

    def bug(pages: Pages, operation: Operation) -> None:
        change(pages, operation)
        changed(pages, operation)

    before = mock.patch.object(Pages, "change", return_value=None)
    with before, mock.patch.object(Pages, "changed", bug):
        yield


@contextmanager
def doorbells_come_late() -> Iterator[None]:
    """A device hears of a doorbell when the next message has come."""
    right = IoAgent.doorbells
    kept: dict[IoAgent, list[Doorbell]] = {}

    def bug(io: IoAgent) -> list[Doorbell]:
        late, kept[io] = kept.get(io, []), right(io)
        return late

    with mock.patch.object(IoAgent, "doorbells", bug):
        yield


@contextmanager
def doorbells_ring_twice() -> Iterator[None]:
    right = IoAgent.doorbells
    with mock.patch.object(IoAgent, "doorbells", lambda io: [*(rung := right(io)), *rung]):
        yield


@contextmanager
def registers_lose_writes() -> Iterator[None]:
    right = IoAgent.receive

    def bug(io: IoAgent, message: Message, now: int, viral: bool = False) -> None:
        lost = message.op == Op.NcWrite and message.len > 0 and message.addr % LINE_BYTES
        right(io, message._replace(data=bytes(len(message.data))) if lost else message, now, viral)

    with mock.patch.object(IoAgent, "receive", bug):
        yield


@contextmanager
def ncr_take_every_txn() -> Iterator[None]:
    right = NcrRequests.serve

    def bug(ncr: NcrRequests, now: int) -> None:
        with mock.patch.object(ncr._outstanding, "limit", ncr._outstanding.limit + 1):
            right(ncr, now)

    with mock.patch.object(NcrRequests, "serve", bug):
        yield


@contextmanager
def t_req_is_never_over() -> Iterator[None]:
    with mock.patch.object(Outstanding, "expired", return_value=[]):
        yield


FAULTS: list[tuple[Plant, str, str]] = [
    (whole_write_loses_poison, "poison", "(6.1)"),
    (near_atomic_ignores_poison, "poison", "expected DATA (6.1)"),
    (kind_orders("atomic_load", Order.LOAD), "fences", "which it orders, is not performed (5.9 F1)"),
    (kind_orders("store", Order.LOAD), "fences", "which it orders, is not performed (5.9 F1)"),
    (invalidation_drops_nothing, "translation", "was taken away"),
    (invalidation_does_not_wait, "translation", "was taken away"),
    (tables_change_after_the_invalidation, "translation", "was taken away"),
    (doorbells_come_late, "ncr", "5.10"),
    (doorbells_ring_twice, "ncr", "which it must not see"),
    (registers_lose_writes, "ncr", "the last writer is"),
    (ncr_take_every_txn, "timeouts", "no answer"),
    (t_req_is_never_over, "timeouts", "is not reported though its T_REQ is over (5.11)"),
]


@pytest.mark.parametrize(("plant", "kind", "said"), FAULTS)
def test_each_oracle_finds_a_fault(plant: Plant, kind: str, said: str) -> None:
    """A fault that only one kind of operation can show is found, made small, and gone without the fault."""
    config = StressConfig(ops=6000, seed=3, kinds=kind)
    with plant():
        verdict = run(config)
        assert said in verdict.violation
        least, kept = minimize(config, verdict, budget=6000)
        assert run(least, kept).violation
    assert len(kept) < 60
    assert not run(least, kept).violation


def test_an_operation_tells_what_it_has() -> None:
    """The line of a report shows PASID, order, marks and maps of an operation."""
    operations: list[Operation] = list(program(StressConfig(ops=3000, seed=1)))
    told = " ".join(map(str, operations))
    for word in ("PASID 2", "order STORE", "maps (", " poison", " late"):
        assert word in told


# The write of an entry that is not one of a range that moves.
ENTRY = {"size": 32, "data": encode_entry(SamEntry(0, 4095, home=19)).hex(), "addr": 0x1020, "dst": 1}
MOVING = Layout(StressConfig(ops=1)).moving_lines[0]
LINE = {"id": 1, "thread": 0, "agent": 2, "gap": 0, "judge": "nothing"}


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"kind": "trans_inv", "data": "00" * 8, "dst": 19}, "a trans_inv needs 3 integers"),
        ({"kind": "load", "size": 8, "maps": [1, 2, 3]}, "others none"),
        ({"kind": "load", "size": 8, "late": 1}, "late = 1 must be true or false"),
    ],
)
def test_wrong_records_are_refused(record: dict[str, Any], said: str) -> None:
    """A record that says of an operation what it cannot have is refused."""
    with pytest.raises(ConfigError, match=said):
        Operation.of(LINE | record)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (
            {"kind": "trans_inv", "data": "00" * 8, "dst": 19, "maps": [0, 9, 0], "judge": "pages"},
            "maps must be",
        ),
        ({"kind": "load", "size": 8, "pasid": 1, "judge": "pages"}, "no page of node 2 is there"),
        ({"kind": "load", "size": 8, "addr": 1024}, "the judge must be poison"),
        ({"kind": "load", "size": 8, "judge": "poison"}, "the judge must be exact or words or nothing"),
        ({"kind": "load", "size": 8, "late": True}, "can be answered late"),
        ({"kind": "ncread", "size": 8, "dst": 19}, "no such register"),
        ({"kind": "ncread", "size": 8, "dst": 7}, "no such register"),
        ({"kind": "cfg_read", "size": 8, "dst": 1}, "only coherent accesses and ncread"),
        (
            {"kind": "cfg_write", "size": 8, "data": "00" * 8, "addr": 0x1000},
            "only entries of the address map",
        ),
        ({"kind": "load", "size": 8, "agent": 3, "addr": MOVING}, "node 3 uses no range that moves"),
        ({"kind": "cfg_write", **ENTRY}, "only node 15 moves ranges"),
        ({"kind": "cfg_write", **ENTRY, "agent": 15, "addr": 0x1000}, "only node 15 moves ranges"),
    ],
)
def test_operations_without_a_place_are_refused(record: dict[str, Any], said: str) -> None:
    """A recorded operation needs the nodes, lines and registers of its run."""
    recording = Recording(
        target="messages",
        config=StressConfig(ops=1).record(),
        records=[{"operation": LINE | record}],
    )
    with pytest.raises(ConfigError, match=said):
        replay(recording)


def test_only_the_own_request_of_an_operation_is_marked() -> None:
    """Poison is put on the request of the operation that has it, not on one that was sent before it."""
    data = (7).to_bytes(8, "little")
    own = Operation(1, 0, 2, Access("write_ptl", 64, 8, data), poison=True)
    outbox = [Message(Op.WritePtl, addr=64, data=bytes(8)), Message(Op.WritePtl, addr=64, data=data)]
    assert not mark(own, outbox[:1])
    assert mark(own, outbox)
    assert [message.poison for message in outbox] == [0, 1]


def test_changes_of_one_space_come_one_after_the_other() -> None:
    """Software waits for TransInv before it changes the same pages again, whatever its other threads plan."""
    last: dict[int, int] = {}
    changes = [each for each in program(StressConfig(ops=6000, seed=121, home="device")) if each.maps]
    for change in changes:
        space = change.maps[0]
        assert space not in last or last[space] in change.after, str(change)
        last[space] = change.id
    assert len(changes) > 50


def test_programs_have_halves_of_lines_and_writes_without_enables() -> None:
    """A program has snapshots of both lengths, and partial writes with byte enables and without. HSL 5.12."""
    ops = {"read_once": Op.ReadOnce, "write_ptl": Op.WritePtl}
    accesses = [each.access for each in program(StressConfig(ops=1000, seed=3)) if each.access.kind in ops]
    requests = [coherent(ops[each.kind], 1, 0, 0, Line(each.addr & -64), each) for each in accesses]
    assert {each.len for each in requests if each.op == Op.ReadOnce} == {2, 3}
    assert {each.be is None for each in requests if each.op == Op.WritePtl} == {False, True}


def test_the_patient_cache_uses_no_range_that_moves() -> None:
    """Its T_REQ is short: an access of it may end before the range has moved [HSL-TXN-018]."""
    config = StressConfig(ops=6000, seed=203)
    layout = Layout(config)
    users = {each.agent for each in program(config) if each.line in layout.moving_lines}
    assert users == {*layout.agents} - {layout.patient}
