"""Proof, T_LOSS, and what a stall ends (HSL 6.2 F4, 3.1)."""

from __future__ import annotations

from hsl._generated.constants import ROUND_TRIP_TU, TIMERS, CtlOp, LinkState, Op
from tests.agents.home_rig import LINE, OTHER, A, B, Rig
from tests.link.pair import TU
from tests.link.raw_peer import RawPeer
from tests.link.test_loss import T_DEADKA, T_STATE, hello, proofs

T_LOSS = TIMERS["T_LOSS"].tu


def test_a_hello_that_names_the_epoch_of_the_lost_session_is_no_proof() -> None:
    """A new EPOCH with the old PORT ends the session; its PEER was chosen before the loss. [HSL-RAS-009]."""
    peer = RawPeer().up()
    old = peer.port.links[0].epoch
    hello(peer, epoch=900, peer=old)
    assert not peer.port.up
    assert peer.port.links[0].epoch == old
    hello(peer, epoch=900, peer=old)
    assert proofs(peer) == []


def test_t_loss_is_in_the_slow_unit_of_the_lost_session() -> None:
    """LINK_DOWN starts T_LOSS in slow TU. [HSL-RAS-010, HSL-LNK-051]."""
    slow = 9
    peer = RawPeer(slow_exp=slow).up()
    peer.port.down(peer.now)
    assert peer.port.loss.deadline == peer.now + (T_LOSS << slow)


def test_a_stall_without_flits_ends_the_session_too() -> None:
    """T_DEADKA and T_STATE have passed in a stall, and nothing waited: both have expired. [HSL-LNK-058]."""
    peer = RawPeer().up()
    peer.now += T_DEADKA + T_STATE + (ROUND_TRIP_TU + 1) * TU
    peer.instant()
    assert peer.state() is LinkState.DEAD


def test_t_state_comes_before_a_resync_ack_that_waited_in_a_stall() -> None:
    """In RECOVERY the answer comes after T_STATE: the link is lost already. [HSL-LNK-058]."""
    peer = RawPeer().up()
    peer.wait(T_DEADKA + TU)
    assert peer.state() is LinkState.RECOVERY
    answer = peer.ctl(CtlOp.RESYNC_ACK, {"exp": 0, "rn": peer.port.links[0].rn})
    peer.now += T_STATE + (ROUND_TRIP_TU + 1) * TU
    peer.give(answer)
    peer.instant()
    assert peer.state() is LinkState.DEAD


def test_a_waiting_request_of_a_node_under_isolation_is_dropped() -> None:
    """B is lost and may still use its copy of OTHER: its write of LINE is dropped. [HSL-RAS-008]."""
    rig = Rig()
    rig.hold(B, addr=OTHER)
    (grant,) = rig.send(Op.ReadUnique, A)
    assert rig.send(Op.WriteFull, B) == []
    rig.home.taken.clear()
    assert rig.home.isolate(B, rig.now)
    assert [message.src for message in rig.home.taken] == [B]
    assert rig.ack(grant) == [], "A is not snooped for a request of B"
    assert rig.directory(LINE) == ("X", {A})
