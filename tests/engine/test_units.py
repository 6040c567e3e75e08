"""The unit of each limit and pause (HSL 3.1, 5.11, 6.3)."""

from __future__ import annotations

from hsl._generated.constants import PROTO_LIMIT, PROTO_WINDOW_TU, TIMERS, Err, Op, St
from hsl.agents.access import Access
from hsl.codec.message import Message
from tests.agents.test_sinking import DATA
from tests.engine.test_hostile_peer import Meeting
from tests.engine.wires import TU_EXPONENT
from tests.link.pair import TU, Pair, config
from tests.support.agents import A, drain, load
from tests.support.coherence import FIRST, HOME, agent

T_BUSY = TIMERS["T_BUSY"].tu


def test_slow_timers_before_config_are_no_faster_than_the_handshake() -> None:
    """A SLOW_EXP below the own exponent of the handshake counts as that exponent. [HSL-LNK-051]."""
    own = config(1, tu_exp=6, handshake_tu_exp=10)
    assert (own.handshake_tu, own.handshake_slow) == (10, 10)


def test_pauses_after_busy_take_the_unit_of_the_session() -> None:
    """T_BUSY of coherent requests and of NCR is in the slow TU that `set_tu` said last. HSL 5.11."""
    one = agent(tu=2)
    one.set_tu(16)
    one.submit(load(A), 0)
    one.submit(Access("page_req", 0, data=DATA, dst=1), 0)
    assert len(drain(one)) == 2
    ends = []
    for src, txn in ((HOME, 0), (1, 1)):
        one.receive(Message(Op.Cmp, src, FIRST, txn, st=St.I, err=Err.BUSY), 0)
        ends.append(one.next_deadline())
        one.tick(T_BUSY * 16)
        assert len(drain(one)) == 1, "it is presented again"
        one.receive(Message(Op.Cmp, src, FIRST, txn, err=Err.DECODE), T_BUSY * 16)
    assert ends == [T_BUSY * 16] * 2


def test_t_port_is_in_the_slow_unit_of_the_result() -> None:
    """Both sides wait for the second link by the greater SLOW_EXP. HSL 3.1 [HSL-LNK-051]."""
    slow = 9
    pair = Pair(config(1, links=2), config(2, links=2, slow_exp=slow)).start()
    pair.cut(1)
    pair.run(TIMERS["T_PORT"].tu * TU * 2)
    assert [side.port.up for side in (pair.a, pair.b)] == [False, False]
    pair.run(TIMERS["T_PORT"].tu << slow)
    assert [side.port.up for side in (pair.a, pair.b)] == [True, True]


def test_the_window_of_proto_errors_is_in_tu() -> None:
    """Fewer than PROTO_LIMIT errors in each window of TU end nothing, however slow SLOW_EXP is. HSL 6.3."""
    meeting = Meeting(slow_exp=TU_EXPONENT + 6)
    gate = meeting.node._gates[0]
    for window in range(3):
        for _ in range(PROTO_LIMIT - 1):
            gate.proto(meeting.wire.now + (window * PROTO_WINDOW_TU << TU_EXPONENT))
    assert gate.port.up
