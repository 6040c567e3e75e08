"""L1 after a gap, and its lease (HSL 3.7, 3.7.5)."""

from __future__ import annotations

from hsl._generated.constants import TIMERS, FlitType, LinkState
from hsl.codec.flit import Flit
from tests.link.low_power import asleep, awake
from tests.link.pair import TU, flit_from

T_STATE = TIMERS["T_STATE"].tu


def test_a_gap_in_l1_takes_a_new_rn() -> None:
    """The RESYNC after a gap in L1 has a new RN: no old answer fits. [HSL-LNK-038]."""
    pair = asleep()
    link = pair.a.link
    before = link.rn
    ahead = flit_from(pair.b, FlitType.NOP, seq=(pair.b.link.tx.rp + 1) % 1024)
    pair.inject(pair.a, ahead)
    assert pair.a.state() is LinkState.RECOVERY
    assert link.rn == before + 1


def test_a_gap_that_is_open_is_no_idle_link() -> None:
    """NAKED stays with a SEQ from behind EXP: a PM_REQ in such a flit is refused. HSL 3.7 [HSL-LNK-014]."""
    pair = awake()
    link = pair.a.link
    link.rx.naked = True
    behind = Flit("L64", FlitType.CTL, seq=(link.rx.exp - 1) % 1024, ack=link.tx.base - 1)
    assert not link.idle_after(behind)


def test_the_lease_is_in_the_slow_unit() -> None:
    """T_STATE of the lease counts in slow TU. [HSL-LNK-057, HSL-LNK-051]."""
    slow = 9
    pair = asleep(slow_exp=slow)
    pair.run(T_STATE * TU * 2)
    assert pair.a.port.loss.leased(pair.now)
    pair.run(T_STATE << slow)
    assert not pair.a.port.loss.leased(pair.now)


def test_one_link_that_is_awake_is_enough_for_the_lease() -> None:
    """One link of a bonded port has come back by RESYNC_ACK: copies may be used. [HSL-LNK-057]."""
    pair = asleep(links=2)
    port = pair.a.port
    pair.run(T_STATE * TU)
    assert not port.loss.leased(pair.now)
    first, second = port.links
    first.lease_until = None
    assert second.lease_until is not None
    assert port.loss.leased(pair.now)
