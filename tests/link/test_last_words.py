"""Last words on the links of the session are no proof if more are configured (HSL 6.2 F4)."""

from __future__ import annotations

from hsl._generated.constants import TIMERS, CtlOp, FlitType, LinkState
from hsl.codec.ctl import Ctl, encode_ctl
from hsl.codec.flit import Flit
from hsl.codec.reference import encode_flit
from hsl.link.events import LinkDown, PeerGone
from tests.link.pair import TU, Pair, config

T_PORT = TIMERS["T_PORT"].tu * TU


def test_last_words_on_a_part_of_the_configured_links_are_no_proof() -> None:
    """One of two configured links has the session: DISABLE on it proves nothing. [HSL-RAS-009]."""
    pair = Pair(config(1, links=2), config(2, links=2)).start()
    pair.cut(1)
    pair.run(2 * T_PORT)
    assert pair.a.port.up
    assert pair.a.port.alive == 1
    pair.a.finishing = False
    near, far = pair.a.port.links[0], pair.b.port.links[0]
    last = encode_ctl(Ctl(CtlOp.DISABLE, False, far.epoch, near.epoch, {}))
    pair.a.port.receive(0, encode_flit(Flit("L64", FlitType.CTL, payload=last)), pair.now)
    pair.a.events += pair.a.port.events()
    assert pair.a.state() is LinkState.DETECT
    told = [type(event) for event in pair.a.events if isinstance(event, LinkDown | PeerGone)]
    assert told == [LinkDown]
