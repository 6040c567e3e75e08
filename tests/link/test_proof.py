"""Proof, T_LOSS, and what a stall ends (HSL 6.2 F4, 3.1)."""

from __future__ import annotations

import pytest

from hsl._generated.constants import ROUND_TRIP_TU, TIMERS, CtlOp, LinkState, Op
from hsl.link.events import PeerGone
from tests.agents.home_rig import LINE, OTHER, A, B, Rig
from tests.link.pair import TU, Pair, config
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


@pytest.mark.parametrize(("one", "other"), [(2, 2), (4, 2), (2, 4)])
def test_disable_on_the_configured_links_is_proof(one: int, other: int) -> None:
    """Not on links that only one side has. HSL 4.1, 6.2 F4 [HSL-RAS-009]."""
    pair = Pair(config(1, links=one), config(2, links=other))
    pair.wired = True
    for side, _ in pair.sides:
        side.port.enable(0)
        for link in range(min(one, other)):
            side.port.pal_up(link, 0)
    assert pair.run(30000 * TU, until=lambda: pair.a.port.up and pair.b.port.up)
    pair.a.finishing = False
    pair.b.port.disable(pair.now)
    assert pair.run(100 * TU, until=lambda: any(isinstance(e, PeerGone) for e in pair.a.events))


@pytest.mark.parametrize(("epoch", "incarnation"), [(0, 901), (900, 0)])
def test_a_hello_that_names_no_incarnation_is_no_proof(epoch: int, incarnation: int) -> None:
    """EPOCH 0 and PORT 0 are no other incarnation: row 29 drops the flit. [HSL-RAS-009]."""
    peer = RawPeer().up()
    peer.port.down(peer.now)
    peer.port.pal_up(0, peer.now)
    hello(peer, epoch=epoch, peer=0, port=incarnation)
    assert proofs(peer) == []
    hello(peer, epoch=900, peer=0, port=901)
    assert proofs(peer) == ["HELLO of another incarnation"]
