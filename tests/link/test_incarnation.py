"""HSL 3.2.1 PORT: the name of an incarnation of a port, which all its links send."""

from __future__ import annotations

from hsl._generated.constants import CtlOp, LinkState
from tests.link.pair import TU, Pair, Side, config


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
