"""Links of a port that ended by a fatal error are not brought back by TL (HSL 4.6)."""

from __future__ import annotations

from hsl._generated.constants import ErrorCode, LinkState
from tests.link.pair import TU, Pair, config


def test_links_of_a_fatal_port_stay_dead_until_software_enables_them() -> None:
    """port_down of TL revives links that a bond has lost, not those of a port-fatal error."""
    pair = Pair(config(1, links=2), config(2, links=2)).up()
    pair.a.port.fatal(ErrorCode.MALFORMED, pair.now)
    pair.run(TU)
    assert [pair.a.state(link) for link in (0, 1)] == [LinkState.DEAD] * 2
    pair.a.port.down(pair.now)
    pair.run(40 * TU)
    assert [pair.a.state(link) for link in (0, 1)] == [LinkState.DEAD] * 2
