"""Proof and last words of one session say nothing about the next (HSL 6.2 F4)."""

from __future__ import annotations

from hsl._generated.constants import CtlOp
from hsl.link.events import LinkDown, PeerGone
from tests.link.pair import TU, Pair, config
from tests.link.test_loss import bonded, say


def told(pair: Pair) -> list[type]:
    """What the first port tells now about a loss."""
    return [type(event) for event in pair.a.port.events() if isinstance(event, LinkDown | PeerGone)]


def test_the_proof_of_one_session_is_none_in_the_next() -> None:
    """DISABLE was proof; the next session is lost, and nothing is proved. [HSL-RAS-009]."""
    pair = Pair(config(1), config(2)).up()
    pair.b.port.disable(pair.now)
    pair.run(40 * TU)
    assert any(isinstance(event, PeerGone) for event in pair.a.events)
    pair.b.port.enable(pair.now)
    pair.run(400 * TU, until=lambda: pair.a.port.up and pair.b.port.up)
    pair.run(10 * TU)
    assert pair.a.port.up
    pair.a.port.down(pair.now)
    assert told(pair) == [LinkDown]


def test_last_words_of_one_session_do_not_count_in_the_next() -> None:
    """DISABLE on link 1, a new session, DISABLE on link 0 alone: no proof. [HSL-RAS-009]."""
    pair, words = bonded()
    pair.a.finishing = True
    assert say(pair, words[1], 1) == []
    for side, _ in pair.sides:
        side.port.disable(pair.now)
    pair.run(40 * TU)
    pair.a.events.clear()
    for side, _ in pair.sides:
        side.port.enable(pair.now)
    pair.run(4000 * TU, until=lambda: pair.a.port.alive == pair.b.port.alive == 3)
    pair.run(40 * TU)
    assert pair.a.port.up
    near, far = pair.a.port.links[0], pair.b.port.links[0]
    pair.a.finishing = False
    pair.a.port.down(pair.now)
    pair.a.events.clear()
    pair.a.port.events()
    last = words[0]._replace(op=CtlOp.DISABLE, epoch=far.epoch, peer=pair.a.port.loss._pairs[0][1])
    assert near.epoch != last.peer
    assert [proof for proof in say(pair, last, 0) if proof == "DISABLE"] == []
