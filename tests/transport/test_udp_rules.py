"""A served peer keeps its place for T_STATE, and the side that connects judges too (HSL 3.9)."""

from __future__ import annotations

import socket

from hsl._generated.constants import LinkState
from hsl.transport.base import parse_uri
from hsl.transport.udp import Drop, UdpLink, pack
from tests.support.relay import LOCALHOST
from tests.support.sessions import hello, no_faults, run
from tests.transport.test_udp_place import T_STATE, TU, Bench, nop, on_bench


def test_the_place_is_kept_for_t_state_after_the_link_was_active() -> None:
    """ACTIVE for longer than T_STATE, then RECOVERY: the peer has T_STATE from there. [HSL-PAL-007]."""

    async def test(bench: Bench) -> None:
        bench.session()
        late = 3 * T_STATE
        bench.one.send(9, 1, nop(1))
        assert bench.take(late) == [nop(1)]
        bench.state = LinkState.RECOVERY
        bench.one.send(9, 2, nop(2))
        assert bench.take(late + T_STATE // 2) == [nop(2)]
        bench.one.send(9, 3, nop(3))
        assert bench.take(late + T_STATE - 1) == [nop(3)], "HSL-PAL-007: T_STATE has not passed"

    on_bench(test)


def test_the_side_that_connects_takes_a_hello_first() -> None:
    """The one address it talks to takes the place by the same rules. [HSL-PAL-005]."""

    async def body() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
            far.bind((LOCALHOST, 0))
            uri = f"udp://{LOCALHOST}:{far.getsockname()[1]}"
            link = UdpLink(parse_uri(uri), no_faults(), lambda: None, listen=False)
            await link.open()
            assert link.adopt()
            link.above = lambda: (LinkState.DETECT, TU)
            assert link._socket is not None
            near = link._socket.getsockname()
            for counter, flit in enumerate((nop(1), hello(), nop(2))):
                far.sendto(pack(0, 9, counter, flit), near)
            try:
                assert link.connection is not None
                found = [flit for _ in range(5) for flit in link.connection.frames(100, 0)]
                assert found == [hello(), nop(2)], "HSL-PAL-005: only a good HELLO takes the place"
                assert link.dropped == {Drop.SOURCE: 1}
            finally:
                await link.close(0)

    run(body())
