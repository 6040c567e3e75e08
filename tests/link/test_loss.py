"""Proof that a lost peer can no longer use its copies; how long a session lives (HSL 6.2 F4, 3.1, 3.7.5)."""

from __future__ import annotations

from typing import Any

import pytest

from hsl._generated.constants import ROUND_TRIP_TU, TIMERS, CtlOp, ErrorCode, FlitType, LinkState
from hsl.codec.ctl import Ctl, decode_ctl, encode_ctl
from hsl.codec.flit import Flit
from hsl.codec.reference import encode_flit
from hsl.link.events import LinkDown, PeerGone
from tests.link.low_power import asleep
from tests.link.pair import TU, Pair, config, decode
from tests.link.raw_peer import RawPeer

T_STATE, T_DEADKA, T_LOSS = (TIMERS[name].tu * TU for name in ("T_STATE", "T_DEADKA", "T_LOSS"))


def hello(far: RawPeer, link: int = 0, **changes: Any) -> None:
    """The HELLO of the peer, with some fields changed: `epoch`, `peer`, or of its body."""
    ctl = decode_ctl(decode(far.hello(link)).payload)
    pair = {name: changes.pop(name) for name in ("epoch", "peer") if name in changes}
    payload = encode_ctl(ctl._replace(body=ctl.body | changes, **pair))
    far.give(far.flit(FlitType.CTL, link, payload=payload), link)
    far.instant()


def proofs(peer: RawPeer) -> list[str]:
    """The proofs that were told; one at most for each LINK_DOWN, and after it."""
    told = [event for event in peer.events if isinstance(event, LinkDown | PeerGone)]
    found = [event.proof for event in told if isinstance(event, PeerGone)]
    assert [type(event).__name__ for event in told] in ([], ["LinkDown"], ["LinkDown", "PeerGone"])
    return found


def lost(links: int = 1) -> RawPeer:
    """A port that has taken its session down, as after T_SNP."""
    peer = RawPeer(links).up()
    peer.port.down(peer.now)
    peer.instant()
    assert proofs(peer) == []
    return peer


def test_hello_of_another_incarnation_is_proof_at_once() -> None:
    """A HELLO that ends the session is proof when its EPOCH and its PORT are new [HSL-RAS-009]."""
    peer = RawPeer().up()
    hello(peer, epoch=900, port=8, peer=0)
    assert proofs(peer) == ["HELLO of another incarnation"]


@pytest.mark.parametrize(
    "changes",
    [{"epoch": 900}, {"port": 8}, {"epoch": 900, "port": 8, "guid": 3}],
    ids=["EPOCH", "PORT", "GUID"],
)
def test_half_a_hello_is_no_proof(changes: dict[str, int]) -> None:
    """A new EPOCH with the old PORT, the reverse, and another node are no proof [HSL-RAS-009]."""
    peer = lost()
    hello(peer, peer=0, **changes)
    assert proofs(peer) == []


def test_hello_that_names_an_epoch_of_after_the_loss_is_proof() -> None:
    """The peer has left the old session when it names an EPOCH that was chosen since [HSL-RAS-009]."""
    peer = lost()
    hello(peer, peer=peer.links[0].peer)
    assert proofs(peer) == []
    hello(peer, peer=peer.ctls(CtlOp.HELLO)[-1].epoch)
    assert proofs(peer) == ["HELLO that answers"]


def bonded() -> tuple[Pair, list[Ctl]]:
    """Two ports of two links, and a CTL of the second on each link with the pair of the session."""
    pair = Pair(config(1, links=2), config(2, links=2)).up()
    pair.a.finishing = False
    ends = zip(pair.a.port.links, pair.b.port.links, strict=True)
    return pair, [Ctl(CtlOp.DISABLE, False, far.epoch, near.epoch, {}) for near, far in ends]


def say(pair: Pair, ctl: Ctl, link: int) -> list[str]:
    """The first port gets a CTL on a link; the proofs that it has told so far."""
    flit = encode_flit(Flit("L64", FlitType.CTL, payload=encode_ctl(ctl)))
    pair.a.port.receive(link, flit, pair.now)
    pair.run(0)
    return [event.proof for event in pair.a.events if isinstance(event, PeerGone)]


@pytest.mark.parametrize("op", [CtlOp.DISABLE, CtlOp.ERR_FATAL])
def test_last_words_count_on_every_link(op: CtlOp) -> None:
    """DISABLE, or ERR_FATAL of a link, is proof when it has come on all configured links [HSL-RAS-009]."""
    pair, words = bonded()
    body = {"error": ErrorCode.LOST} if op is CtlOp.ERR_FATAL else {}
    first, second = (word._replace(op=op, body=body) for word in words)
    assert say(pair, first, 0) == []
    assert pair.a.port.up
    pair.a.port.down(pair.now)
    assert say(pair, first, 0) == []
    assert say(pair, second, 1) == [op.name]


def test_port_fatal_error_is_proof_on_one_link() -> None:
    """ERR_FATAL with a port-fatal code and the pair of the lost session ends the whole port [HSL-RAS-009]."""
    pair, words = bonded()
    pair.a.port.down(pair.now)
    fatal = words[1]._replace(op=CtlOp.ERR_FATAL, body={"error": ErrorCode.MALFORMED})
    assert say(pair, fatal._replace(peer=fatal.peer + 1), 1) == []
    assert say(pair, fatal, 1) == ["ERR_FATAL"]


def test_t_loss_is_proof_whatever_comes() -> None:
    """T_LOSS runs from LINK_DOWN; neither HELLO nor a flit of the session restarts it [HSL-RAS-010]."""
    peer = RawPeer().up()
    old = peer.ctl(CtlOp.RESYNC, {"exp": 0, "rn": 1})
    peer.port.down(peer.now)
    peer.instant()
    end = peer.now + T_LOSS
    while peer.now + 1024 * TU < end:
        peer.wait(1024 * TU)
        hello(peer, epoch=900, peer=0)
        peer.give(old)
    peer.wait(end - 1 - peer.now)
    assert proofs(peer) == []
    peer.wait(1)
    assert proofs(peer) == ["T_LOSS"]
    peer.wait(T_LOSS)
    assert proofs(peer) == ["T_LOSS"]


def test_no_peer_is_taken_beside_a_session() -> None:
    """A link that is enabled beside a session of its port sends HELLO with PEER = 0 [HSL-LNK-059]."""
    pair, _ = bonded()
    for side in (pair.a, pair.b):
        side.port.disable_link(1, pair.now)
    pair.run(TU)
    pair.a.sent.clear()
    for side in (pair.a, pair.b):
        side.port.enable(pair.now)
    pair.run(100 * TU)
    assert [side.state(1) for side in (pair.a, pair.b)] == [LinkState.DETECT] * 2
    assert {ctl.peer for _, ctl in pair.a.ctl(CtlOp.HELLO)} == {0}
    assert pair.a.port.up


@pytest.mark.parametrize("kind", ["stale CTL", "reserved FT", "own HELLO"])
def test_dropped_flits_are_no_sign_of_life(kind: str) -> None:
    """T_DEADKA expires although flits come that are dropped [HSL-LNK-056]."""
    peer = RawPeer().up()
    stale = encode_ctl(Ctl(CtlOp.RESYNC, False, 1, 2, {"exp": 0, "rn": 1}))
    for _ in range(T_DEADKA // (16 * TU)):
        peer.wait(16 * TU)
        if kind == "reserved FT":
            peer.give(peer.flit(FlitType(7) if 7 in list(FlitType) else 7))  # type: ignore[arg-type]
        elif kind == "stale CTL":
            peer.give(peer.flit(FlitType.CTL, payload=stale))
        else:
            hello(peer, guid=1)
    peer.wait(TU)
    assert peer.state() is LinkState.RECOVERY


def test_timers_come_before_flits_that_waited_in_a_stall() -> None:
    """Who stalls for longer than T_DEADKA and T_STATE has lost its session, whatever waits [HSL-LNK-058]."""
    peer = RawPeer().up()
    nop = peer.flit(FlitType.NOP)
    peer.now += T_DEADKA + T_STATE + (ROUND_TRIP_TU + 1) * TU
    peer.give(nop)
    peer.instant()
    assert peer.state() is LinkState.DEAD
    assert proofs(peer) == []


def test_no_copy_is_used_after_a_stall_before_the_timers_are_judged() -> None:
    """Who stalls for longer than T_DEADKA and T_STATE may have lost its copies already [HSL-LNK-058]."""
    peer = RawPeer().up()
    assert peer.port.loss.leased(peer.now + T_DEADKA + ROUND_TRIP_TU * TU)
    assert not peer.port.loss.leased(peer.now + T_DEADKA + T_STATE + (ROUND_TRIP_TU + 1) * TU)


def test_a_short_stall_ends_nothing() -> None:
    """A timer that is late by no more than 16 TU comes after the flits of the instant [HSL-LNK-058]."""
    peer = RawPeer().up()
    peer.now += T_DEADKA + ROUND_TRIP_TU * TU
    peer.give(peer.flit(FlitType.NOP))
    peer.instant()
    assert peer.state() is LinkState.ACTIVE


def test_the_lease_ends_in_l1_and_comes_back_with_resync_ack() -> None:
    """T_STATE after the entry into L1 no copy is used until a wake has got its RESYNC_ACK [HSL-LNK-057]."""
    pair = asleep()
    port = pair.a.port
    assert port.loss.leased(pair.now)
    pair.run(T_STATE)
    assert not port.loss.leased(pair.now)
    assert pair.a.state() is LinkState.L1, "HSL-LNK-057: nothing is sent when the lease ends"
    port.woken = True
    pair.run(2 * TU, until=lambda: pair.a.state() is LinkState.RECOVERY)
    assert not port.loss.leased(pair.now)
    pair.run(40 * TU, until=lambda: pair.a.state() is LinkState.ACTIVE)
    assert port.loss.leased(pair.now)


def test_a_port_is_released_when_its_owner_has_disabled_all_its_links() -> None:
    """A bond lives while one link does, and its NIDs stay with the port. HSL 6.3 [HSL-SEC-015]."""
    port = RawPeer(2).up().port
    released = []
    for link in range(2):
        port.disable_link(link, 0)
        released.append(port.loss.released)
    assert released == [False, True]
