"""Bonded ports: rotation, merge, start, loss of a link (HSL 4)."""

from __future__ import annotations

import pytest

from hsl._generated.constants import Op
from tests.link.pair import Pair, Side, config, message


def bonded(links: int, **changes: object) -> Pair:
    """A pair of ports of `links` links."""
    return Pair(config(1, links=links, **changes), config(2, links=links, **changes))


def load(pair: Pair, count: int) -> None:
    """Queue `count` numbered messages of one flit each on both sides."""
    for side, _ in pair.sides:
        side.waiting.extend(message(Op.NcWrite, txn) for txn in range(count))


def all_arrived(pair: Pair, count: int) -> None:
    """Each message was delivered once and in order, and no credit is missing."""
    for side, _ in pair.sides:
        assert [received.txn for received in side.got] == list(range(count))
        assert side.port.quiesced


def sent_prot(side: Side) -> list[int]:
    return [link.counters.prot_sent for link in side.port.links]


@pytest.mark.parametrize("links", range(1, 9))
def test_any_number_of_links_is_one_port(links: int) -> None:
    """Ports of 1 to 8 links carry all messages in order, with equal shares of flits [HSL-BND-007]."""
    pair = bonded(links).up()
    load(pair, 120)
    pair.settle()
    all_arrived(pair, 120)
    assert pair.a.port.alive == pair.b.port.alive == (1 << links) - 1
    shares = sent_prot(pair.a)
    assert max(shares) - min(shares) <= 1
    assert pair.a.ups() == pair.b.ups() == 1


@pytest.mark.parametrize("lost", range(3))
def test_loss_of_a_link_in_mid_traffic_loses_and_doubles_nothing(lost: int) -> None:
    """A link that is cut with flits under way: the port goes on without it, all messages arrive once.

    [HSL-BND-004]
    """
    pair = bonded(3).up()
    load(pair, 400)
    pair.run(1500)
    pair.cut(lost)
    assert len(pair.b.got) < 400
    pair.settle()
    all_arrived(pair, 400)
    assert pair.a.port.alive == pair.b.port.alive == 0b111 & ~(1 << lost)
    assert not pair.a.downs()
    assert not pair.b.downs()
