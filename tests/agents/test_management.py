"""MgmtMsg and NcEnq at an I/O agent (HSL 5.14)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsl._generated.constants import Aop, Err, ErrMsgKind, LogOp, MgmtType, Op, UtOp
from hsl._generated.layouts import MGMT_ANSWER_D0, MGMT_D0, UT_D0, UT_D1, UT_D2
from hsl._generated.tables import RA_STATES
from hsl.agents.access import Access
from hsl.agents.address_map import SamEntry
from hsl.agents.io import LATER_LIMIT, REPORTS_LIMIT, IoAgent, IoConfig, Report, err_msg
from hsl.agents.mmio import Command
from hsl.agents.peers import LOCAL
from hsl.agents.request import RequestAgent
from hsl.agents.services import Alone, Later
from hsl.agents.upper_tester import HELD_LIMIT
from hsl.codec.message import Message
from hsl.engine.error_log import ErrorLog
from hsl.engine.management import NodeServices
from hsl.errors import ConfigError
from tests.agents.test_io import MAP, MMIO, NID, A, B, Rig
from tests.support.agents import A as LINE
from tests.support.agents import drain
from tests.support.coherence import FIRST, agent


class Shown(Alone):
    """Services with a log of two codes and one cache."""

    def __init__(self) -> None:
        self.agent = agent(ncrs=2)
        self.cleared: list[int] = []

    def log_entry(self, src: int, index: int) -> bytes:
        return bytes([src, index]) * 32

    def clear_log(self, src: int) -> None:
        self.cleared.append(src)

    def counter(self, src: int, code: int) -> int:
        return 100 + code

    def cache(self, nid: int) -> RequestAgent | None:
        return self.agent


def record(kind: int, sub: int = 0, arg: int = 0, body: bytes = b"") -> dict[str, Any]:
    head = MGMT_D0.build({"type": kind, "sub": sub, "id": 0xABCD, "arg": arg})
    return {"len": 3, "data": (head + body).ljust(64, b"\0")}


def ut(
    sub: int, addr: int = LINE, size: int = 3, data: bytes = b"", be: int = 0, **d0: int
) -> dict[str, Any]:
    """A record of the upper tester."""
    first = int.from_bytes(MGMT_D0.build({"type": MgmtType.UT, "sub": sub, "id": 7}), "little")
    first |= int.from_bytes(UT_D0.build({"size": size} | d0), "little")
    head = first.to_bytes(8, "little") + UT_D1.build({"addr": addr}) + UT_D2.build({"be": be})
    return {"len": 3, "data": (head.ljust(32, b"\0") + data).ljust(64, b"\0")}


def answered(message: Message) -> dict[str, int]:
    assert (message.op, message.len) == (Op.CmpData, 3)
    return dict(MGMT_ANSWER_D0.parse(message.data[:8]))


def test_log_and_counters() -> None:
    """LOG reads an entry and clears; COUNTERS reads 16 counters, all of the log that the asker is shown."""
    services = Shown()
    rig = Rig(services=services)
    (done,) = rig.send(Op.MgmtMsg, **record(MgmtType.LOG, LogOp.READ, 5))
    assert done.data == bytes([A, 5]) * 32
    (done,) = rig.send(Op.MgmtMsg, **record(MgmtType.COUNTERS, 0, 20))
    assert [int.from_bytes(done.data[i : i + 4], "little") for i in (0, 60)] == [120, 135]
    (done,) = rig.send(Op.MgmtMsg, **record(MgmtType.LOG, LogOp.CLEAR))
    assert answered(done) == {"type": 1, "sub": 1, "id": 0xABCD, "status": 0, "poison": 0, "state": 0}
    assert services.cleared == [A]


@pytest.mark.parametrize(
    ("fields", "err"),
    [
        (record(0x55), "UNSUP"),
        (record(MgmtType.SEC), "UNSUP"),
        (record(MgmtType.LOG, 2), "UNSUP"),
        (record(MgmtType.LOG, 0, 64), "PROTO"),
        (record(MgmtType.COUNTERS, 1), "UNSUP"),
        (record(MgmtType.COUNTERS, 0, 1 << 16), "PROTO"),
        (record(MgmtType.CONTENT_LOST, 1), "UNSUP"),
        (record(MgmtType.CONTENT_LOST, body=(8).to_bytes(8, "little")), "PROTO"),
        (record(MgmtType.CONTENT_LOST), "UNSUP"),  # no home
        (ut(16), "UNSUP"),
        (ut(UtOp.LOAD, size=6), "PROTO"),
        (ut(UtOp.LOAD, addr=LINE + 4), "PROTO"),
        (ut(UtOp.ATOMIC_LOAD, aop=12), "PROTO"),
        (ut(UtOp.STORE_LINE, addr=LINE + 8), "PROTO"),
    ],
)
def test_refused_records(fields: dict[str, Any], err: str) -> None:
    """Unknown TYPE or SUB: UNSUP; a field out of range: PROTO."""
    rig = Rig(services=Shown())
    assert rig.err(Op.MgmtMsg, **fields) == err
    assert rig.io.idle


def test_no_cache_no_upper_tester() -> None:
    """A node without a request agent has no upper tester to offer."""
    assert Rig().err(Op.MgmtMsg, **ut(UtOp.LOAD)) == "UNSUP"


def test_upper_tester_answers_when_the_access_is_done() -> None:
    """A load is answered with its bytes and the state of the line; until then the record's credit is free."""
    services = Shown()
    rig = Rig(services=services)
    assert rig.send(Op.MgmtMsg, **ut(UtOp.LOAD, addr=LINE + 8)) == []
    assert len(rig.io.taken) == 1
    assert not rig.io.idle
    (request,) = drain(services.agent)
    line = bytes(range(64))
    fill = Message(Op.CmpData, request.dst, FIRST, request.txn, st=2, len=3, data=line, poison=1)
    services.agent.receive(fill, 5)
    assert rig.io.poll(5)
    (done,) = rig.sent()
    assert answered(done) == {
        "type": MgmtType.UT,
        "sub": UtOp.LOAD,
        "id": 7,
        "status": 0,
        "poison": 1,
        "state": RA_STATES.index("E"),
    }
    assert done.data[32:] == line[8:16].ljust(32, b"\0")
    assert services.agent.completions() == []  # programs of the node never see it
    (done,) = rig.send(Op.MgmtMsg, **ut(UtOp.PROBE))
    assert answered(done)["state"] == RA_STATES.index("E")
    (done,) = rig.send(Op.MgmtMsg, **ut(UtOp.STORE_LINE, data=b"a" * 32))
    assert services.agent.peek(LINE) == b"a" * 64
    cas = b"a" * 8 + bytes(8) + b"b" * 8
    (done,) = rig.send(Op.MgmtMsg, **ut(UtOp.ATOMIC_LOAD, data=cas, aop=Aop.CAS))
    assert done.data[32:40] == b"a" * 8
    assert services.agent.peek(LINE) == b"b" * 8 + b"a" * 56


def test_upper_tester_ncr_goes_where_it_says() -> None:
    """DST, stream, byte enables and data of an NcWrite and a WritePtl are those of the record."""
    services = Shown()
    rig = Rig(services=services)
    rig.send(Op.MgmtMsg, **ut(UtOp.NCWRITE, addr=0x102, size=1, data=b"xy", dst=40, stream=3))
    rig.send(Op.MgmtMsg, **ut(UtOp.WRITE_PTL, size=5, data=b"z" * 32, be=0x80000001))
    rig.send(Op.MgmtMsg, **ut(UtOp.INTR, data=b"12345678", dst=41))
    write, partial, intr = drain(services.agent)
    assert (write.dst, write.aop, write.addr, write.be, write.data[2:4]) == (40, 3, 0x100, 0b1100, b"xy")
    assert (partial.op, partial.len, partial.be) == (Op.WritePtl, 2, 0x80000001)
    assert (intr.op, intr.dst, intr.data) == (Op.Intr, 41, b"12345678")


def test_upper_tester_holds_64() -> None:
    """The 65th record ends with BUSY until one of the 64 accesses has ended. HSL 5.14 [HSL-NCR-009]."""
    services = Shown()
    rig = Rig(services=services)
    for i in range(HELD_LIMIT):
        assert rig.send(Op.MgmtMsg, **ut(UtOp.NCREAD, addr=8 * i, dst=40)) == []
    assert rig.err(Op.MgmtMsg, **ut(UtOp.NCREAD, dst=40)) == "BUSY"
    assert len(rig.io.taken) == HELD_LIMIT + 1
    first = drain(services.agent)[0]
    services.agent.receive(Message(Op.Cmp, 40, FIRST, first.txn, err=Err.DECODE), 0)
    rig.io.poll(0)
    (done,) = rig.sent()
    assert answered(done)["status"] == Err.DECODE
    assert rig.send(Op.MgmtMsg, **ut(UtOp.NCREAD, dst=40)) == []
    assert len(rig.io.taken) == HELD_LIMIT + 2


def test_what_ends_later_is_capped_by_port() -> None:
    """LATER_LIMIT requests of one port and opcode may be under way; the next ends with BUSY, others go on.

    HSL 6.3 [HSL-NCR-009].
    """
    services = Shown()
    services.together = lambda one, other: one == other  # type: ignore[method-assign]
    rig = Rig(services=services)
    never = Later(lambda now: None)
    rig.io._management.serve = lambda message, tested, now: never  # type: ignore[method-assign,assignment]
    for _ in range(LATER_LIMIT):
        assert rig.send(Op.MgmtMsg, **record(MgmtType.LOG)) == []
    assert rig.err(Op.MgmtMsg, **record(MgmtType.LOG)) == "BUSY"
    assert rig.err(Op.NcWrite) == "OK"
    assert rig.err(Op.TransInv, data=bytes(8)) == "OK"
    assert rig.send(Op.MgmtMsg, 3, **record(MgmtType.LOG)) == []
    assert len(rig.io.taken) == LATER_LIMIT + 4


@given(st.binary(min_size=64, max_size=64), st.sampled_from([*MgmtType, 0, 0xFF]))
def test_any_record_is_served_or_refused(data: bytes, kind: int) -> None:
    """Whatever 64 bytes come, there is one completion at most, and no exception."""
    services = Shown()
    rig = Rig(services=services)
    rig.io.attach(range(A, A + 1), LOCAL)
    sent = rig.send(Op.MgmtMsg, len=3, data=bytes([kind]) + data[1:])
    assert len(sent) <= 1
    assert len(rig.io.taken) == 1
    assert all(done.op in (Op.Cmp, Op.CmpData) for done in sent)


def test_full_upper_tester_is_busy() -> None:
    """A record for an agent that takes no more accesses ends with BUSY. [HSL-NCR-009]."""
    services = Shown()
    services.agent = agent(pending=1)
    load = services.agent.submit(Access("load", LINE, 8), 0)
    rig = Rig(services=services)
    assert rig.err(Op.MgmtMsg, **ut(UtOp.LOAD, addr=LINE)) == "BUSY"
    assert len(rig.io.taken) == 1
    assert not load.done


def test_shared_queue() -> None:
    """NcEnq puts 64 bytes in the queue; on a full one BUSY and no effect. [HSL-NCR-004]."""
    rig = Rig(queues={MMIO + 64: 2})
    for i in range(3):
        data = bytes([i]) * 64
        err = rig.err(Op.NcEnq, addr=MMIO + 64, len=3, data=data)
        assert err == ("OK" if i < 2 else "BUSY")
    assert rig.err(Op.NcEnq, addr=MMIO + 128, len=3, data=bytes(64)) == "DECODE"
    assert rig.err(Op.NcEnq, addr=MMIO + 72, len=3, data=bytes(64)) == "PROTO"
    assert rig.err(Op.NcEnq, addr=MMIO + 64, len=3, data=bytes(64), viral=True) == "DATA"
    assert rig.err(Op.NcEnq, addr=MMIO + 64, len=3, data=bytes(64), poison=1) == "DATA"
    assert rig.io.commands(MMIO + 64, 1) == [Command(MMIO + 64, bytes(64), A)]
    assert rig.err(Op.NcEnq, addr=MMIO + 64, len=3, data=b"9" * 64) == "OK"
    assert [command.data[0] for command in rig.io.commands(MMIO + 64)] == [1, ord("9")]


@pytest.mark.parametrize("queues", [{MMIO: 0}, {MMIO: 257}, {MMIO + 8: 1}, {0: 1}])
def test_bad_queues(queues: dict[int, int]) -> None:
    """A queue must lie in the agent's MMIO and hold 1..256 commands."""
    with pytest.raises(ConfigError, match="queue of"):
        Rig(queues=queues)


def test_err_msg() -> None:
    """ERROR is kept for software; kinds that are reserved, and bad ones, are dropped."""
    rig = Rig(services=Shown())

    def tell(kind: int, nid: int, **fields: Any) -> list[Message]:
        message = err_msg(kind, A, NID, nid, severity=2, code=19, addr=0x40)  # type: ignore[arg-type]
        rig.io.receive(message._replace(**fields), 0)
        return rig.sent()

    assert tell(ErrMsgKind.ERROR, 5) == tell(0, 5) == tell(ErrMsgKind.FENCED, 8) == []
    assert tell(ErrMsgKind.ERROR, 6, len=0) == tell(ErrMsgKind.ERROR, 6, addr=0, be=0) == []
    assert list(rig.io.reports) == [Report(A, 5, 19, 2, 0x40)]
    assert tell(ErrMsgKind.FENCED, 9) == tell(ErrMsgKind.FENCED_ACK, 9) == []
    assert rig.io.idle
    for _ in range(REPORTS_LIMIT):
        tell(ErrMsgKind.ERROR, 7)
    assert [report.nid for report in rig.io.reports] == [7] * REPORTS_LIMIT


def test_cfg_writes_of_others_than_the_master() -> None:
    """With CFGMASTER on, CfgWrite of another SRC ends with ACCESS and changes nothing; reads go on."""
    rig = Rig(master=9)
    assert rig.err(Op.CfgWrite, addr=0x18, data=bytes([1, 4]) + bytes(6)) == "ACCESS"
    assert rig.io.registers.error_destination is None
    assert rig.err(Op.CfgRead, addr=0x18) == "OK"
    rig.send(Op.CfgWrite, 9, addr=0x18, data=bytes([1, 4]) + bytes(6))
    assert rig.io.registers.error_destination == 1


def test_lost_nodes_are_not_heard() -> None:
    """What a lost node says after its loss has no effect and no answer, but gives its buffer back (F3)."""
    rig = Rig(services=Shown())
    rig.send(Op.MgmtMsg, **ut(UtOp.LOAD))
    rig.io.lost(A)
    assert rig.io.idle
    assert rig.send(Op.NcWrite) == []
    assert not rig.io.has_doorbell()
    assert rig.io.counters["late"] == 1
    rig.io.readmit(A)
    assert rig.err(Op.NcWrite) == "OK"


OTHER_PORT = 40


def test_nodes_behind_one_port_share_what_ends_later() -> None:
    """LATER_LIMIT holds for a port, not for each of its nodes. HSL 6.3 [HSL-NCR-009]."""
    services = Shown()
    services.together = lambda one, other: one // 8 == other // 8  # type: ignore[method-assign]
    rig = Rig(services=services)
    never = Later(lambda now: None)
    rig.io._management.serve = lambda message, tested, now: never  # type: ignore[method-assign,assignment]
    for i in range(LATER_LIMIT):
        assert rig.send(Op.MgmtMsg, (A, B)[i % 2], **record(MgmtType.LOG)) == []
    ends = [Err(done.err).name for done in rig.send(Op.MgmtMsg, **record(MgmtType.LOG))]
    assert ends == ["BUSY"], "6.3: both are behind one port"
    assert rig.send(Op.MgmtMsg, OTHER_PORT, **record(MgmtType.LOG)) == []


def test_a_register_write_that_waits_is_done_when_another_has_ended() -> None:
    """A CfgWrite beyond LATER_LIMIT waits in its buffer, and is served when one that is under way ends.

    HSL 6.3.
    """
    rig = Rig()
    ends: list[Message] = []
    rig.io.registers.write = lambda *_: Later(lambda now: ends[0] if ends else None)  # type: ignore[method-assign]
    for _ in range(LATER_LIMIT + 1):
        assert rig.send(Op.CfgWrite) == []
    ends.append(Message(Op.Cmp))
    rig.io.poll(1)
    assert len(rig.sent()) == LATER_LIMIT + 1, "3.6 O4: no other message may come to serve it"
    assert rig.io.idle


def test_what_ends_later_ends_with_its_node() -> None:
    """No completion for a request of a lost node is sent into its next session. HSL 6.2 F1, F5."""
    rig = Rig(services=Shown())
    ends: list[Message] = []
    later = Later(lambda now: ends[0] if ends else None)
    rig.io._management.serve = lambda message, tested, now: later  # type: ignore[method-assign,assignment]
    rig.send(Op.MgmtMsg, **record(MgmtType.LOG))
    rig.io.lost(A)
    rig.io.readmit(A)
    ends.append(Message(Op.Cmp))
    rig.io.poll(1)
    assert rig.sent() == [], "6.2 F1: the request went with its session"


def test_a_page_response_of_a_stranger_is_refused() -> None:
    """A PageRsp counts only from the port of the node that translates. [HSL-ATS-003]."""
    services = Alone()
    services.together = lambda one, other: one == other  # type: ignore[method-assign]
    took: list[Message] = []

    def respond(message: Message, now: int) -> bool:
        took.append(message)
        return True

    atc: Any = SimpleNamespace(config=SimpleNamespace(iommu=B), page_response=respond)
    io = IoAgent(IoConfig(nid=NID, address_map=MAP), services, atc)
    rig = Rig()
    rig.io = io
    assert rig.err(Op.PageRsp, data=bytes(8)) == "PROTO"
    assert not took, "5.10.3: another port answers for no group"
    assert len(rig.send(Op.PageRsp, B, data=bytes(8))) == len(took) == 1


def test_a_range_that_one_of_the_homes_cannot_serve_is_refused() -> None:
    """An entry of the map stands only if each home of the node has the memory that it says. HSL 5.14."""
    homes: dict[int, Any] = {
        nid: SimpleNamespace(can_serve=lambda entry, nid=nid: nid != 1) for nid in (0, 1)
    }
    services = NodeServices({}, homes, [], ErrorLog())
    assert not services.can_serve(SamEntry(0, 4095, home=1)), "5.14: home 1 has no memory there"
