"""What a port does with flits that no conforming peer sends, or only rarely: by bytes, against a raw peer."""

from __future__ import annotations

import pytest

from hsl._generated.constants import N_RECOV, SEQ_HALF, TIMERS, CtlOp, FlitType, LinkState, Op, Power
from hsl.codec.ctl import decode_ctl
from tests.link.pair import TU, message
from tests.link.raw_peer import RawPeer, ops

LENGTH = {name: timer.tu * TU for name, timer in TIMERS.items()}


@pytest.mark.parametrize(("ahead", "naks"), [(1, 1), (SEQ_HALF - 1, 1), (SEQ_HALF, 0), (SEQ_HALF + 1, 0)])
@pytest.mark.parametrize("ft", ["NOP", "CTL"])
def test_a_distance_of_half_the_numbers_is_behind(ahead: int, naks: int, ft: str) -> None:
    """A NOP or CTL whose SEQ is 1 to 511 ahead of EXP shows a gap; 512 ahead is behind [HSL-LNK-014]."""
    peer = RawPeer().up()
    if ft == "NOP":
        peer.give(peer.flit(FlitType.NOP, seq=ahead))
    else:
        peer.give(peer.ctl(CtlOp.PM_NAK, {"level": 1, "tag": 9}, seq=ahead))
    assert ops(peer.instant()) == [CtlOp.NAK] * naks, f"HSL-LNK-014: SEQ = EXP + {ahead}"


def test_gap_that_is_closed_in_the_same_instant() -> None:
    """A gap that is opened and closed before anything is sent asks for nothing: no NAK [HSL-LNK-012].

    NAKED = 0 also cancels a NAK that is due (3.1, T_NAK).
    """
    peer = RawPeer().up()
    peer.instant()
    peer.give(peer.flit(FlitType.NOP, seq=1))  # PROT 0 is missing
    peer.give(peer.prot())  # it comes
    assert CtlOp.NAK not in ops(peer.wait(2 * LENGTH["T_NAK"])), "HSL-LNK-012: the gap is closed"


def test_progress_under_load_clears_the_recoveries() -> None:
    """A link with progress works, also when it never has all acknowledged: RC is 0 again (3.4.3)."""
    peer = RawPeer().up()
    peer.port.send(message(Op.NcWrite, 0))
    peer.instant()
    for turn in range(2 * (N_RECOV + 1)):
        peer.port.send(message(Op.NcWrite, turn + 1))
        peer.instant()
        peer.links[0].exp = turn + 1  # one flit more is acknowledged, one is still under way
        peer.give(peer.flit(FlitType.NOP))
        peer.port.retrain(peer.now)
        peer.wait(TU)
        assert peer.state() is LinkState.RECOVERY, f"3.4.3: recovery {turn + 1} after progress"
        rn = peer.ctls(CtlOp.RESYNC)[-1].body["rn"]
        peer.give(peer.ctl(CtlOp.RESYNC_ACK, {"exp": turn + 1, "rn": rn}))
        peer.instant()
        assert peer.state() is LinkState.ACTIVE


@pytest.mark.parametrize(("seq", "wanted"), [(0, LinkState.L1), (1, LinkState.ACTIVE)])
def test_pm_ack_that_shows_a_gap(seq: int, wanted: LinkState) -> None:
    """A PM_ACK whose SEQ shows a gap does not lead into L1: the missing flit is asked for [HSL-LNK-014]."""
    peer = RawPeer(power=int(Power.L1)).up()
    peer.wait(TU)
    peer.port.pm_idle(peer.now)
    tag = decode_ctl(peer.instant()[0].payload).body["tag"]
    peer.give(peer.ctl(CtlOp.PM_ACK, {"level": 1, "tag": tag}, seq=seq))
    sent = ops(peer.instant())
    assert peer.state() is wanted, "3.7: a link with a gap is not idle"
    assert (CtlOp.NAK in sent) is (seq == 1), "HSL-LNK-014: the gap is told"


def test_credits_of_two_classes_are_both_returned_in_time() -> None:
    """A return that leaves credits of another VC starts T_CR again, so those follow [HSL-LNK-028]."""
    peer = RawPeer().up()
    peer.give(peer.prot(message(Op.Cmp)))
    peer.give(peer.prot(message(Op.NcWrite)))
    peer.instant()
    for got in peer.got:
        peer.port.release(got.vc)
    first = [(flit.cvc, flit.ccnt) for flit in peer.wait(LENGTH["T_CR"]) if flit.ft == FlitType.PROT]
    second = [(flit.cvc, flit.ccnt) for flit in peer.wait(LENGTH["T_CR"]) if flit.ft == FlitType.PROT]
    assert len(first) == 1, "HSL-LNK-028: T_CR"
    assert sorted(first + second) == [(4, 1), (7, 1)], "HSL-LNK-028: T_CR runs on while credits are left"


def test_bond_fail_of_another_base_changes_nothing() -> None:
    """A BOND_FAIL whose base is not the TX epoch does not replace the one that is (4.6 R3)."""
    peer = RawPeer(links=2).up()
    both = {"mask": 0b11, "exp": [0] * 8}
    peer.give(peer.ctl(CtlOp.BOND_FAIL, {"base": 0} | both))
    peer.give(peer.ctl(CtlOp.BOND_FAIL, {"base": 0b10} | both))
    peer.instant()
    sent = [ctl.body for ctl in peer.ctls(CtlOp.BOND_RESUME)]
    wanted = {"base": 0, "mask": 0b11, "count": 0, "t": 0}
    assert [{key: body[key] for key in wanted} for body in sent] == [wanted], "4.6 R3: base is the TX epoch"


@pytest.mark.parametrize("what", ["NAK", "RESYNC_ACK"])
def test_what_is_due_ends_with_its_session(what: str) -> None:
    """A HELLO of a new EPOCH cancels what is due, also where row 34 leads from ACTIVE to CONFIG (code D).

    LINK_UP was not told yet, so there is no HOLD, and the link does not pass DETECT.
    """
    peer = RawPeer(links=2).up(1)
    if what == "NAK":
        peer.give(peer.flit(FlitType.NOP, seq=1))
    else:
        peer.give(peer.ctl(CtlOp.RESYNC, {"exp": 0, "rn": 5}))
    before = len(peer.links[0].heard)
    peer.restart(0)
    peer.give(peer.hello())
    assert ops(peer.instant()) == [CtlOp.CAPS]
    peer.shake(0)
    assert peer.state() is LinkState.ACTIVE
    assert CtlOp[what] not in ops(peer.links[0].heard[before:]), f"code D: {what} of the former session"
