"""The NCR that sink at the receiver, and how senders keep their order (HSL 5.10, 5.2 D6)."""

from __future__ import annotations

from typing import Any

import pytest

from hsl._generated.constants import N_BUSY, TIMERS, Err, MgmtType, Op, Register
from hsl._generated.tables import OPCODES
from hsl.agents.access import Access
from hsl.agents.io import Interrupt, IoAgent, IoConfig
from hsl.agents.iommu import Iommu
from hsl.agents.mmio import VECTORS_LIMIT
from hsl.agents.request import RequestAgent
from hsl.codec.message import Message
from hsl.errors import ConfigError
from tests.agents.test_io import INTR, MAP, MMIO, NID, A, B, Rig
from tests.support.agents import drain
from tests.support.coherence import FIRST, agent

T_REQ = 1000
SINKING = [Op(code) for code, info in OPCODES.items() if info.sinks]
DATA = bytes(8)


def vector(number: int, data: int) -> bytes:
    """Return the data of an Intr."""
    return number.to_bytes(4, "little") + data.to_bytes(4, "little")


# ---- the receiver


def test_an_interrupt_that_nobody_takes_stops_no_translation() -> None:
    """Two Intr and one TransReq of the same SRC on stream 0: all are answered, and all buffers free.

    HSL 5.10 [HSL-NCR-007].
    """
    rig = Rig(vectors=8, iommu=Iommu())
    asked: tuple[tuple[Op, dict[str, Any]], ...] = ((Op.Intr, {}), (Op.Intr, {}), (Op.TransReq, {"len": 1}))
    assert [len(rig.send(op, **fields)) for op, fields in asked] == [1, 1, 1]
    assert len(rig.io.taken) == 3


@pytest.mark.parametrize("op", SINKING)
def test_what_sinks_waits_for_no_doorbell(op: Op) -> None:
    """Behind doorbells of its own stream that nobody takes, each of the six frees its buffer at once.

    HSL 5.10 [HSL-NCR-007].
    """
    rig = Rig(doorbells=1, iommu=Iommu())
    for _ in range(3):
        rig.send(Op.NcWrite)
    assert not rig.io.idle
    rig.io.taken.clear()
    info = OPCODES[op]
    data = INTR.ljust(8 << info.len[0], b"\0") if info.data else b""
    done = rig.send(op, len=info.len[0], data=data)
    assert len(done) == len(info.completion)
    assert [message.op for message in rig.io.taken] == [op]


def test_interrupts_of_a_vector_merge() -> None:
    """An Intr goes into the slot of its vector, each is completed at once, and the last data win.

    HSL 5.10 [HSL-NCR-008].
    """
    rig = Rig(vectors=4)
    raised = [(A, 3, 1), (A, 1, 2), (B, 3, 9)]
    done = [rig.err(Op.Intr, data=vector(number, data)) for src, number, data in raised if src == A]
    assert done == ["OK", "OK"]
    assert [m.err for m in rig.send(Op.Intr, B, data=vector(3, 9))] == [Err.OK]
    assert rig.io.interrupts() == [Interrupt(3, 9, B), Interrupt(1, 2, A)]
    assert rig.io.interrupts() == []
    rig.send(Op.Intr, data=vector(3, 4))
    assert rig.io.interrupts() == [Interrupt(3, 4, A)]


def test_vectors_are_told_and_no_other_is_there() -> None:
    """VECTORS counts the vectors of the node; an Intr of any other ends with DECODE. [HSL-NCR-008]."""
    rig = Rig(vectors=4)
    (done,) = rig.send(Op.CfgRead, addr=Register.VECTORS)
    assert int.from_bytes(done.data, "little") == 4
    assert rig.err(Op.Intr, data=vector(3, 0)) == "OK"
    assert rig.err(Op.Intr, data=vector(4, 0)) == "DECODE"
    assert rig.err(Op.Intr, data=vector((1 << 32) - 1, 0)) == "DECODE"
    assert rig.io.interrupts() == [Interrupt(3, 0, A)]
    for wrong in (-1, VECTORS_LIMIT + 1):
        with pytest.raises(ConfigError, match=f"expected 0..{VECTORS_LIMIT}"):
            IoAgent(IoConfig(nid=NID, address_map=MAP, vectors=wrong))


def test_translation_and_management_are_in_no_stream() -> None:
    """A MgmtMsg behind a doorbell of stream 0 that nobody takes is answered. HSL 5.10 [HSL-NCR-011]."""
    rig = Rig(doorbells=1)
    rig.send(Op.NcWrite)
    assert rig.send(Op.NcWrite) == []
    assert rig.send(Op.CfgRead, addr=Register.ID) == []  # configuration is of stream 0
    record = bytes([MgmtType.COUNTERS]).ljust(64, b"\0")
    assert [m.op for m in rig.send(Op.MgmtMsg, len=3, data=record)] == [Op.CmpData]


# ---- the sender


def write(stream: int = 3, dst: int = 1) -> Access:
    """Return an NcWrite."""
    return Access("ncwrite", MMIO, 8, DATA, dst=dst, stream=stream)


def intr(stream: int = 3, dst: int = 1) -> Access:
    """Return an interrupt."""
    return Access("intr", size=8, data=INTR, dst=dst, stream=stream)


def sent(one: RequestAgent) -> list[str]:
    """Return the names of the messages that an agent sends now."""
    return [Op(message.op).name for message in drain(one)]


def done(one: RequestAgent, txn: int, now: int = 0, err: Err = Err.OK, src: int = 1) -> list[str]:
    """Complete the request with a TXN; return the names of what the agent sends then."""
    one.receive(Message(Op.Cmp, src, FIRST, txn, err=err), now)
    return sent(one)


def test_an_interrupt_is_held_until_the_writes_before_it_are_completed() -> None:
    """An Intr leaves after the Cmp of all earlier NCR of its stream, good or bad. HSL 5.10 [HSL-NCR-006]."""
    one = agent()
    for access in (write(), write(), intr()):
        one.submit(access, 0)
    assert sent(one) == ["NcWrite", "NcWrite"]
    assert done(one, 1) == []
    assert done(one, 0, err=Err.ACCESS) == ["Intr"]
    assert done(one, 0) == []
    assert one.idle


def test_what_is_behind_a_held_interrupt_is_held_and_nothing_else() -> None:
    """Later NCR of that stream follow the Intr; other streams, targets and translation do not wait.

    HSL 5.10 [HSL-NCR-006].
    """
    one = agent()
    page = Access("page_req", 0, data=DATA, dst=1)
    for access in (write(), intr(), write(), intr(), write(4), intr(4, dst=2), page):
        one.submit(access, 0)
    assert sent(one) == ["NcWrite", "NcWrite", "Intr", "PageReq"]
    assert done(one, 0) == ["Intr"]
    assert done(one, 0) == ["NcWrite"]
    assert done(one, 0) == ["Intr"]


def test_ordinary_requests_leave_room_for_what_sinks() -> None:
    """As many NcWrites as may be outstanding at a target do not keep a PageRsp from it. [HSL-NCR-005]."""
    one = agent(ncrs=2)
    for access in (write(), write(), write(), Access("page_rsp", 0, data=DATA, dst=1)):
        one.submit(access, 0)
    assert sent(one) == ["NcWrite", "NcWrite", "PageRsp"]


def test_an_interrupt_behind_a_request_that_is_not_answered_is_not_sent() -> None:
    """T_REQ of an NcWrite ends the Intr behind it UNREACH, what is behind that goes on, until it answers.

    HSL 5.10, 5.11 [HSL-NCR-006].
    """
    one = agent(t_req=T_REQ)
    held = [one.submit(access, 0) for access in (write(), intr(), write())]
    assert sent(one) == ["NcWrite"]
    one.tick(T_REQ)
    assert [ticket.err for ticket in held] == [Err.UNREACH, Err.UNREACH, Err.OK]
    assert sent(one) == ["NcWrite"]
    assert one.submit(intr(), T_REQ).err == Err.UNREACH
    assert done(one, 0, T_REQ) == done(one, 1, T_REQ) == []
    one.submit(intr(), T_REQ)
    assert sent(one) == ["Intr"]


def test_what_is_held_ends_with_the_loss_of_its_target() -> None:
    """Requests that are held, pause or wait for a lost node end UNREACH; later ones find an empty stream."""
    one = agent(ncrs=1)
    page = one.submit(Access("page_req", 0, data=DATA, dst=1), 0)
    assert sent(one) == ["PageReq"]
    assert done(one, 0, err=Err.BUSY) == []
    tickets = [one.submit(access, 0) for access in (write(), write(), intr(), write())]
    assert sent(one) == ["NcWrite"]
    one.home_lost(1, 0)
    assert [ticket.err for ticket in (*tickets, page)] == [Err.UNREACH] * 5
    one.readmit(1)
    one.submit(intr(), 0)
    assert sent(one) == ["Intr"]
    assert done(one, 0) == []
    assert one.idle
    assert one.next_deadline() is None


@pytest.mark.parametrize("kind", ["trans_req", "trans_inv", "page_req", "mgmt"])
def test_what_ends_busy_is_presented_again(kind: str) -> None:
    """After 64 TU, then twice as long up to 4,096, without a TXN meanwhile. HSL 5.10 [HSL-NCR-009]."""
    one = agent(tu=2, t_req=1 << 40)
    data = bytes(64) if kind == "mgmt" else b"" if kind == "trans_req" else DATA
    ticket = one.submit(Access(kind, 0, size=len(data) if kind == "mgmt" else 0, data=data, dst=1), 0)
    assert len(drain(one)) == 1
    now, pauses = 0, []
    for _ in range(8):
        assert done(one, 0, now, Err.BUSY) == []
        again = one.next_deadline()
        assert again is not None
        one.tick(again - 1)
        assert sent(one) == []
        one.submit(Access("ncread", MMIO, 8, dst=2), now)
        assert [message.txn for message in drain(one)] == [0], "what pauses holds no TXN"
        done(one, 0, now, Err.DECODE, src=2)
        one.tick(again)
        assert len(drain(one)) == 1
        pauses.append((again - now) // 2)
        now = again
    assert pauses == [TIMERS["T_BUSY"].tu << min(n, N_BUSY) for n in range(8)]
    assert not ticket.done
    done(one, 0, now, Err.ACCESS)
    assert ticket.err == Err.ACCESS


def test_an_ncr_that_is_busy_for_t_req_ends() -> None:
    """A TransInv is not presented for ever: it ends UNREACH. HSL 5.10 [HSL-NCR-013]."""
    one, now = agent(tu=2, t_req=10_000), 0
    ticket = one.submit(Access("trans_inv", 0, data=DATA, dst=1), 0)
    while not ticket.done:
        assert len(drain(one)) == 1
        done(one, 0, now, Err.BUSY)
        assert ticket.done == (now >= 10_000), "T_REQ since it was first presented"
        now = now if ticket.done else one.next_deadline() or 0
        one.tick(now)
    assert ticket.err == Err.UNREACH
    assert one.idle
    assert one.next_deadline() is None


def test_a_full_queue_is_told_and_not_asked_again() -> None:
    """BUSY of an NcEnq goes to the program. HSL 5.10 [HSL-NCR-004]."""
    one = agent()
    ticket = one.submit(Access("ncenq", MMIO, 64, bytes(64), dst=1), 0)
    drain(one)
    assert done(one, 0, err=Err.BUSY) == []
    assert ticket.err == Err.BUSY
