"""HSL 3.2.1 PORT: the name of an incarnation of a port, which all its links send, and what it decides."""

from __future__ import annotations

import pytest

from hsl._generated.constants import TIMERS, CtlOp, LinkState
from hsl.link.events import LinkDown
from tests.link.pair import TU, Pair, Side, config
from tests.link.raw_peer import RawPeer
from tests.link.restarts import soak

T_PORT = TIMERS["T_PORT"].tu * TU


def ports(side: Side) -> list[int]:
    """The PORT of each HELLO that a side has sent since the last call."""
    found = [ctl.body["port"] for _, ctl in side.ctl(CtlOp.HELLO)]
    side.sent.clear()
    return found


def bonded(links: int = 2) -> Pair:
    return Pair(config(1, links=links), config(2, links=links)).up()


def test_all_links_of_a_port_send_its_port() -> None:
    """HELLO of every link names the same PORT, not 0, and each side keeps the peer's [HSL-LNK-044]."""
    pair = bonded(3)
    for side, other in pair.sides:
        assert set(ports(side)) == {side.port.incarnation}
        assert side.port.incarnation != 0
        assert [link.peer_port for link in side.port.links] == [other.port.incarnation] * 3


def test_port_is_new_after_a_port_reset() -> None:
    """sw_enable takes a new PORT when all links are DISABLED or DEAD, else none [HSL-LNK-044]."""
    pair = bonded()
    first = pair.a.port.incarnation
    pair.a.port.disable_link(1, pair.now)
    pair.a.port.enable(pair.now)
    assert pair.a.port.incarnation == first, "HSL-LNK-044: link 0 is ACTIVE"
    pair.a.port.disable(pair.now)
    pair.a.port.enable(pair.now)
    assert pair.a.port.incarnation != first


def test_port_is_new_after_port_down_of_the_transaction_layer() -> None:
    """A port_down of the transaction layer takes a new PORT, which the peer keeps [HSL-LNK-044]."""
    pair = bonded()
    first = pair.a.port.incarnation
    ports(pair.a)
    pair.a.port.down(pair.now)
    assert pair.a.port.incarnation != first
    pair.run(60 * TU)
    assert set(ports(pair.a)) == {pair.a.port.incarnation}
    assert [link.peer_port for link in pair.b.port.links] == [pair.a.port.incarnation] * 2
    assert pair.b.port.up


def test_port_is_kept_when_the_peer_restarts() -> None:
    """A port_down that a HELLO caused keeps PORT [HSL-LNK-044]."""
    pair = bonded()
    kept = pair.a.port.incarnation
    ports(pair.a)
    pair.restart(pair.b)
    pair.run(60 * TU)
    assert LinkState.DETECT in pair.a.states()
    assert set(ports(pair.a)) == {kept}


def downs(peer: RawPeer) -> int:
    return sum(isinstance(event, LinkDown) for event in peer.events)


def test_a_link_that_begins_alone_leaves_the_bond() -> None:
    """HELLO of a new EPOCH with the PORT of the session is the loss of one link [HSL-BND-011]."""
    peer = RawPeer(3).up()
    peer.restart(1)
    peer.give(peer.hello(1), 1)
    peer.instant()
    assert [peer.state(link) for link in range(3)] == [LinkState.ACTIVE, LinkState.DEAD, LinkState.ACTIVE]
    assert peer.port.alive == 0b101
    assert downs(peer) == 0


def test_the_last_link_of_the_bond_takes_the_port_down() -> None:
    """The same on the only link of AM ends the session, and the lost links come back [HSL-BND-011]."""
    peer = begun(RawPeer(2).up())
    for link in (1, 0):
        peer.restart(link)
        peer.give(peer.hello(link), link)
        peer.instant()
    assert downs(peer) == 1
    assert [peer.state(link) for link in range(2)] == [LinkState.DETECT, LinkState.DETECT]


def test_a_new_port_ends_the_session() -> None:
    """HELLO of a new EPOCH with another PORT takes the port down with all its links [HSL-BND-011]."""
    peer = begun(RawPeer(2).up())
    peer.name += 1
    peer.restart(1)
    peer.give(peer.hello(1), 1)
    peer.instant()
    assert downs(peer) == 1
    assert [peer.state(link) for link in range(2)] == [LinkState.DETECT, LinkState.DETECT]


def begun(peer: RawPeer) -> RawPeer:
    """LINK_UP: both directions have left the empty epoch."""
    report = {"base": 0, "mask": 0b11, "exp": [0] * 8}
    peer.give(peer.ctl(CtlOp.BOND_FAIL, report))
    peer.instant()
    peer.give(peer.ctl(CtlOp.BOND_RESUME, {"base": 0, "mask": 0b11, "count": 0, "t": 0}))
    peer.give(peer.ctl(CtlOp.BOND_RESUME_ACK, {"base": 0, "mask": 0b11}))
    peer.instant()
    assert peer.port.up
    return peer


def of_two_ports() -> RawPeer:
    """Both links are ACTIVE; link 1 by a HELLO with another PORT."""
    peer = RawPeer(2).up(1)
    peer.name += 1
    peer.shake_hands(1)
    return peer


def test_no_bond_of_two_ports() -> None:
    """Links whose HELLOs named different PORTs form no bond; T_PORT leaves those of one [HSL-BND-012]."""
    peer = of_two_ports()
    assert peer.port.alive == 0
    peer.wait(T_PORT)
    assert peer.port.alive == 0b01
    assert peer.state(1) is LinkState.DEAD


def test_no_bond_of_two_ports_by_bond_fail() -> None:
    """BOND_FAIL does not set AM to links of different PORTs [HSL-BND-012]."""
    peer = of_two_ports()
    peer.give(peer.ctl(CtlOp.BOND_FAIL, {"base": 0, "mask": 0b11, "exp": [0] * 8}))
    peer.instant()
    assert peer.port.alive == 0
    peer.give(peer.ctl(CtlOp.BOND_FAIL, {"base": 0, "mask": 0b01, "exp": [0] * 8}))
    peer.instant()
    assert peer.port.alive == 0b01


def test_sw_enable_leaves_a_dead_link_of_a_port_that_is_up() -> None:
    """sw_enable brings a DEAD link back only while AM is not set [HSL-BND-013]."""
    peer = RawPeer(2).up()
    peer.restart(1)
    peer.give(peer.hello(1), 1)
    peer.instant()
    peer.port.enable(peer.now)
    peer.instant()
    assert peer.state(1) is LinkState.DEAD, "HSL-BND-013: AM is set"


def test_sw_enable_brings_back_the_dead_links_of_a_port_that_is_down() -> None:
    """Without AM the DEAD links alone begin anew, and PORT stays as it is [HSL-BND-013] [HSL-LNK-044]."""
    peer = RawPeer(2)
    peer.port.enable(0)
    peer.port.pal_up(0, 0)
    peer.instant()
    peer.give(peer.hello(1), 0)  # a wrong index: DEAD
    peer.instant()
    assert peer.state(0) is LinkState.DEAD
    name = peer.port.incarnation
    peer.port.enable(peer.now)
    peer.instant()
    assert [peer.state(link) for link in range(2)] == [LinkState.DETECT, LinkState.DETECT]
    assert peer.port.incarnation == name


@pytest.mark.parametrize(("links", "seed"), [(2, 7), (3, 18)])
def test_restarts_do_not_livelock(links: int, seed: int) -> None:
    """After each restart the ports come up and stay up, whatever HELLOs were late [HSL-BND-014]."""
    assert soak(restarts=20, seed=seed, links=links)
