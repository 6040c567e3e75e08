"""VIRAL before the alive mask is set (HSL 2.3, 6.1)."""

from __future__ import annotations

from hsl._generated.constants import CtlOp, FlitType, LinkState
from hsl.link.config import negotiate
from tests.link.pair import TU, Pair, config
from tests.link.raw_peer import GUID, RawPeer


def test_viral_in_the_prot_that_joins_counts() -> None:
    """The first PROT brings a link from INIT to ACTIVE and shows VIRAL itself. [HSL-RAS-014]."""
    peer = RawPeer()
    peer.port.enable(0)
    peer.port.pal_up(0, 0)
    peer.instant()
    peer.links[0].peer = peer.ctls(CtlOp.HELLO)[-1].epoch
    peer.give(peer.hello())
    peer.instant()
    record = peer.own.record()
    cfg_hash = negotiate(record, GUID, peer.ctls(CtlOp.CAPS)[-1].body["record"], 1).cfg_hash
    peer.give(peer.ctl(CtlOp.CAPS, {"record": record, "cfg_hash": cfg_hash}, seen=True))
    peer.instant()
    granted = {"credits": list(peer.own.advertised(peer.own.vc_mask))}
    peer.give(peer.ctl(CtlOp.INITFC, granted, seen=False))
    peer.instant()
    assert peer.state() is LinkState.INIT
    peer.give(peer.flit(FlitType.PROT, viral=1))
    peer.instant()
    assert peer.state() is LinkState.ACTIVE
    assert peer.port.peer_viral


def test_viral_before_the_port_was_up_is_kept_when_its_link_begins_anew() -> None:
    """Link 0 showed VIRAL before link 1 joined; its own end and DETECT change nothing. [HSL-RAS-014]."""
    pair = Pair(config(1, links=2), config(2, links=2)).start()
    pair.cut(1)
    pair.b.port.viral = True
    pair.run(40 * TU, until=lambda: pair.a.port.links[0].viral_seen)
    pair.b.port.viral = False
    pair.run(4 * TU)
    for side, _ in pair.sides:
        side.port.pal_up(1, pair.now)
    pair.run(80 * TU)
    assert pair.a.port.up
    assert not pair.a.port.links[1].viral_seen
    pair.a.port.disable_link(0, pair.now)
    pair.run(TU)
    pair.a.port.enable(pair.now)
    pair.run(40 * TU)
    assert pair.a.state(0) is LinkState.DETECT
    assert pair.a.port.up
    assert pair.a.port.peer_viral
