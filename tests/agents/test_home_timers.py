"""Timers of a home end with what they time, so that no instant in the past is left (HSL 5.11)."""

from hsl._generated.constants import Op, SamType, St
from hsl.agents.address_map import SamEntry
from tests.agents.home_rig import HOME, LINE, MT, A, B, Rig, SlowRig

TIMERS = {"T_SNP": 100, "T_MEM": 100, "T_CACK": 1000}


def writing_at_50() -> SlowRig:
    """Return a home that has granted `B` the line that `A` had modified, and writes it since instant 50."""
    rig = SlowRig(timers=TIMERS)
    rig.send(Op.ReadUnique, A)
    (grant,) = rig.memory_done()
    rig.ack(grant)
    (snoop,) = rig.send(Op.ReadShared, B)
    rig.now = 50
    rig.send(Op.SnpRspData, A, txn=snoop.txn, st=St.S)
    return rig


def test_t_snp_ends_with_the_last_answer() -> None:
    """A line whose snoops are answered waits for its CmpAck alone: no instant of T_SNP is left. HSL 5.11."""
    rig = Rig(timers=TIMERS)
    (grant,) = rig.send(Op.ReadUnique, A)
    rig.ack(grant)
    (snoop,) = rig.send(Op.ReadShared, B)
    rig.now = 20
    rig.send(Op.SnpRspData, A, txn=snoop.txn, st=St.S)
    assert rig.home.next_deadline() == 1020, "5.11: T_CACK since the grant"


def test_a_grant_that_was_not_acknowledged_in_time_has_no_further_deadline() -> None:
    """T_CACK of a grant expires once; then the home waits for proof of the loss.

    HSL 5.11, 6.2 F1 [HSL-RAS-007].
    """
    rig = Rig(timers=TIMERS)
    rig.send(Op.ReadUnique, A)
    rig.home.tick(1000)
    assert (rig.home.fences, rig.home.isolating(A)) == ([A], True)
    assert rig.home.next_deadline() is None


def test_t_mem_ends_with_its_target() -> None:
    """A grant whose memory write ends with the loss of the target waits for its CmpAck alone.

    HSL 5.6 M4, 5.11.
    """
    rig = writing_at_50()
    assert rig.home.next_deadline() == 150, "5.11: T_MEM of the write"
    rig.home.fence(MT, 60)
    assert rig.home.state_of(LINE) == "ACK"
    assert rig.home.next_deadline() == 1050, "5.11: no instant of T_MEM is left"


def test_t_mem_ends_with_the_answer_of_its_target() -> None:
    """A grant whose memory write is done waits for its CmpAck alone: no instant of T_MEM is left.

    HSL 5.11.
    """
    rig = writing_at_50()
    assert rig.memory_done() == []
    assert rig.home.state_of(LINE) == "ACK"
    assert rig.home.next_deadline() == 1050


def test_a_node_that_comes_back_owes_no_earlier_cmpack() -> None:
    """T_CACK of a grant ends with the loss of its requester, also while memory is written.

    HSL 5.6, 6.2 F5.
    """
    rig = SlowRig(timers={"T_SNP": 100, "T_MEM": 5000, "T_CACK": 1000})
    rig.send(Op.ReadUnique, A)
    (grant,) = rig.memory_done()
    rig.ack(grant)
    (snoop,) = rig.send(Op.ReadShared, B)
    rig.send(Op.SnpRspData, A, txn=snoop.txn, st=St.S)
    assert rig.home.state_of(LINE) == "WACK"
    rig.home.fence(B, 10)
    rig.home.readmit(B)
    rig.home.tick(1000)
    assert rig.home.fences == [], "6.2 F5: it starts anew, and nothing of its old session counts"


def test_each_timer_of_a_home_may_be_shortened_alone() -> None:
    """T_MEM is the configured T_MEM, whatever T_SNP is. HSL 5.11."""
    rig = SlowRig(timers={"T_SNP": 100, "T_MEM": 300})
    rig.send(Op.ReadShared, A)
    assert rig.home.next_deadline() == 300


def test_a_range_of_an_unknown_target_cannot_be_served() -> None:
    """A home serves no HDM-H range whose memory target it does not know. HSL 5.14."""
    home = SlowRig().home
    entry = SamEntry(0, 4095, SamType.HDM_H, home=HOME, mt=MT)
    assert home.can_serve(entry)
    assert not home.can_serve(entry._replace(mt=MT + 1))
