"""Non-coherent requests that wait at an I/O agent: order, TXNs, and what they cost (HSL 3.6 O4, 6.3)."""

from __future__ import annotations

import pytest

from hsl._generated.constants import Err, ErrorCode, Op
from hsl.agents.io import IoAgent, IoConfig
from hsl.codec.message import Message
from tests.agents.test_io import EIGHT, MAP, MMIO, NID
from tests.support.calls import calls

FIRST = 16  # NID of the first node that rings
STREAMS = 32


def bell(number: int) -> Message:
    """A doorbell of a stream of its own; STREAMS of them are of one node."""
    src, stream = FIRST + number // STREAMS, number % STREAMS
    return Message(Op.NcWrite, src, NID, stream, addr=MMIO + 8, data=EIGHT, aop=stream)


def full(waiting: int) -> IoAgent:
    """An agent whose device has taken no doorbell: one fills it, so many others wait."""
    io = IoAgent(IoConfig(nid=NID, address_map=MAP, doorbells=1))
    io.receive(Message(Op.NcWrite, 2, NID, 0, addr=MMIO, data=EIGHT), 0)
    for number in range(waiting):
        io.receive(bell(number), number)
    assert [message.dst for message in io.outbox] == [2]
    io.outbox.clear()
    io.taken.clear()
    return io


def test_those_that_wait_are_done_in_the_order_of_arrival() -> None:
    """Each time the device takes the doorbells as many that wait are done as find room, the oldest first."""
    io = full(70)
    done = []
    for _ in range(71):
        (rung,) = io.doorbells()
        done += [message.dst for message in io.outbox]
        io.outbox.clear()
    assert done == [bell(number).src for number in range(70)], "3.6 O4"
    assert rung.src == bell(69).src
    assert io.idle


def test_a_request_that_waits_does_not_stop_another_stream() -> None:
    """A request of another stream is done at once, one of the same stream waits behind. [HSL-NCR-001]."""
    io = full(3)
    read = Message(Op.NcRead, FIRST, NID, 99, addr=MMIO)
    io.receive(read._replace(aop=1), 9)
    assert not io.outbox, "3.6 O4: it passes the doorbell of its stream"
    io.receive(read._replace(aop=5, txn=100), 9)
    assert [message.txn for message in io.outbox] == [100]
    for _ in range(4):
        io.doorbells()
    assert [message.txn for message in io.outbox] == [100, 0, 1, 99, 2]


def test_the_txn_of_a_request_that_waits_is_in_use() -> None:
    """A request with the TXN of one that waits is dropped with PROTO; a refused one does not free it.

    HSL 5.4 T15.
    """
    io = full(1)
    again = Message(Op.NcRead, FIRST, NID, 0, addr=MMIO, aop=9)
    io.receive(again._replace(addr=0), 1)  # DECODE, which T15 checks first
    assert [message.err for message in io.outbox] == [Err.DECODE]
    io.receive(again, 2)
    assert [code for code, _, _ in io.errors] == [ErrorCode.PROTO], "5.4 T15: the TXN is in use"
    io.doorbells()
    io.outbox.clear()
    io.receive(again, 3)
    assert [message.err for message in io.outbox] == [Err.OK], "5.4 T15: the TXN is free again"


def test_a_lost_node_leaves_nothing_in_use() -> None:
    """Requests of a lost node that wait are dropped; later all its TXNs are free. HSL 6.2 F1, F5."""
    io = full(STREAMS + 1)
    io.lost(FIRST)
    io.doorbells()
    assert [message.dst for message in io.outbox] == [FIRST + 1]
    io.readmit(FIRST)
    io.doorbells()
    io.receive(bell(0), 50)
    assert io.outbox.pop().dst == FIRST
    assert not io.errors


def costs(waiting: int) -> dict[str, int]:
    """The calls of an event while so many requests wait, each of a stream of its own."""
    io = full(waiting)
    read = Message(Op.NcRead, 2, NID, 9, addr=MMIO)
    register = Message(Op.CfgRead, 2, NID, 10)
    another = bell(150)
    behind = bell(0)._replace(txn=99)
    return {
        "a read": calls(lambda: io.receive(read, 200)),
        "a read of a register": calls(lambda: io.receive(register, 200)),
        "a doorbell": calls(lambda: io.receive(another, 200)),
        "a doorbell behind one of its stream": calls(lambda: io.receive(behind, 200)),
        "a look at what has ended": calls(lambda: io.poll(200)),
    }


@pytest.mark.parametrize("waiting", [37, 107])
def test_the_cost_of_a_message_does_not_depend_on_how_many_wait(waiting: int) -> None:
    """Each message makes as many calls with 37 or 107 requests waiting as with 7. HSL 6.3."""
    assert costs(waiting) == costs(7), f"6.3: work for each of {waiting} requests that wait"
