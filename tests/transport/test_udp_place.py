"""udp: which source has the place of the peer, how another takes it, when it is given up (HSL 3.9)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hsl._generated.constants import TIMERS, CtlOp, ErrorCode, FlitType, LinkState
from hsl.codec.flit import Flit
from hsl.codec.reference import decode_flit, encode_flit
from hsl.errors import PeerLost
from hsl.link.events import LinkUp
from hsl.transport.base import parse_uri
from hsl.transport.faults import FaultInjector, FaultPlan
from hsl.transport.udp import Drop, UdpLink, pack, unpack
from tests.support.relay import LOCALHOST
from tests.support.sessions import FAST, Running, calling, device, hello, listening, no_faults, run, until

TOP = (1 << 64) - 1  # the greatest INCARNATION and COUNTER
TU = 1000  # ns
T_DEADKA, T_STATE = (TIMERS[name].tu * TU for name in ("T_DEADKA", "T_STATE"))
NO_HELLO = ["zeros", "NOP", "short", "damaged"]
OPEN = [state for state in LinkState if state not in (LinkState.DETECT, LinkState.L1)]


def nop(number: int) -> bytes:
    """A NOP that can be told from others."""
    return encode_flit(Flit("L64", FlitType.NOP, seq=number))


class Source:
    """A bare socket that talks to a listening link."""

    def __init__(self, uri: str) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((LOCALHOST, 0))
        self.socket.settimeout(1)
        self.target = (LOCALHOST, int(uri.rpartition(":")[2]))

    def send(self, incarnation: int, counter: int, *flits: bytes) -> None:
        """Each flit in a datagram of its own, with counters from `counter` on."""
        for step, flit in enumerate(flits):
            self.socket.sendto(pack(0, incarnation, counter + step, flit), self.target)

    def heard(self) -> bytes:
        """The flit of the next datagram that the listener sent here."""
        found = unpack(self.socket.recv(1000), 0)
        assert found is not None
        return found.flit


class Bench:
    """A listening link under a link machine whose state the test sets, and two sources."""

    def __init__(self, link: UdpLink, one: Source, two: Source) -> None:
        self.link, self.one, self.two = link, one, two
        self.state = LinkState.DETECT

    def take(self, now: int) -> list[bytes]:
        """The flits that the link delivers at `now`; the socket is empty afterwards."""
        assert self.link.connection is not None
        found: list[bytes] = []
        for _ in range(20):
            found += self.link.connection.frames(1000, now)
            self.link.check(now, 0)
        return found

    def session(self, now: int = 0) -> None:
        """Source one has the place, and its link is ACTIVE."""
        self.one.send(9, 0, hello())
        assert self.take(now) == [hello()]
        self.state = LinkState.ACTIVE


def on_bench(test: Callable[[Bench], Awaitable[None]], faults: str = "") -> None:
    """Run a test on a bench whose PAL is up."""

    async def body() -> None:
        injector = FaultInjector(FaultPlan.parse(faults), no_faults().rng) if faults else no_faults()
        link = UdpLink(parse_uri("udp://:0"), injector, lambda: None, listen=True)
        await link.open()
        assert link.adopt()
        bench = Bench(link, Source(str(link.address)), Source(str(link.address)))
        link.above = lambda: (bench.state, TU)
        try:
            await test(bench)
        finally:
            bench.one.socket.close()
            bench.two.socket.close()
            await link.close(0)

    run(body())


# ------------------------------------------------------------------------------------------- taking the place


@pytest.mark.parametrize(
    "flit", [bytes(64), nop(0), hello()[:-1], hello()[:40] + b"x" + hello()[41:]], ids=NO_HELLO
)
def test_only_a_good_hello_takes_the_place(flit: bytes) -> None:
    """A datagram that is no HELLO with a good CRC makes nobody the peer, whatever its pair [HSL-PAL-005]."""

    async def test(bench: Bench) -> None:
        bench.two.send(TOP, TOP, flit)
        assert bench.take(0) == [], "HSL-PAL-005: only a good HELLO takes the place"
        assert bench.link.dropped == {Drop.SOURCE: 1}
        bench.one.send(9, 0, hello(), nop(1))
        assert bench.take(1) == [hello(), nop(1)]

    on_bench(test)


@pytest.mark.parametrize("form", ["L64", "B256"])
def test_hello_of_either_size_takes_the_place(form: str) -> None:
    """CTL are taken in both sizes, so a HELLO of either takes the place [HSL-PAL-005]."""

    async def test(bench: Bench) -> None:
        bench.one.send(9, 0, hello(form=form))
        assert bench.take(0) == [hello(form=form)]

    on_bench(test)


@pytest.mark.parametrize("changes", [{"magic": b"HSLO"}, {"min_major": 9, "max_major": 9}, {"link": 3}])
def test_content_of_a_hello_is_judged_by_the_link(changes: dict[str, Any]) -> None:
    """A HELLO that row 30 refuses reaches the link, and its source can be told so [HSL-PAL-008]."""
    foreign = hello(**changes)

    async def test(bench: Bench) -> None:
        bench.one.send(9, 0, foreign)
        assert bench.take(0) == [foreign], "HSL-PAL-008: row 30 judges it"
        bench.link.send(nop(5), 0)
        bench.link.flush(0)
        assert bench.one.heard() == nop(5), "HSL-PAL-008"

    on_bench(test)


def test_hello_in_detect_takes_the_place_at_once() -> None:
    """In DETECT a HELLO of another source takes the place without silence [HSL-PAL-005]."""

    async def test(bench: Bench) -> None:
        bench.one.send(TOP, TOP, hello(1))
        bench.two.send(9, 0, hello(2))
        assert bench.take(0) == [hello(1), hello(2)], "HSL-PAL-005: DETECT"
        bench.link.send(nop(5), 0)
        bench.link.flush(0)
        assert bench.two.heard() == nop(5)

    on_bench(test)


@pytest.mark.parametrize("state", OPEN)
def test_hello_after_silence_takes_the_place(state: LinkState) -> None:
    """Outside DETECT and L1 a HELLO takes the place after T_DEADKA of silence, not before [HSL-PAL-005]."""

    async def test(bench: Bench) -> None:
        bench.session(now=5)
        bench.state = state
        bench.two.send(3, 0, hello(2))
        assert bench.take(T_DEADKA + 4) == [], "HSL-PAL-005: the peer is not silent yet"
        bench.take(T_DEADKA + 5)  # the socket is seen empty: T_DEADKA of silence are over
        bench.two.send(3, 1, nop(1), hello(2))
        assert bench.take(T_DEADKA + 6) == [hello(2)], "HSL-PAL-005: T_DEADKA of silence"
        bench.one.send(9, 1, nop(7))
        assert bench.take(T_DEADKA + 7) == []

    on_bench(test)


def test_nobody_takes_the_place_in_l1() -> None:
    """In L1 both sides are silent: no HELLO takes the place, and it is not given up [HSL-PAL-005]."""

    async def test(bench: Bench) -> None:
        bench.session()
        bench.state = LinkState.L1
        for now in (T_DEADKA, T_STATE, 10 * T_STATE):
            bench.two.send(TOP, now, hello(2))
            assert bench.take(now) == [], "HSL-PAL-005: L1"
        bench.one.send(9, 1, nop(1))
        bench.state = LinkState.RECOVERY
        assert bench.take(10 * T_STATE + 1) == [nop(1)], "HSL-PAL-007: L1 is not silence"

    on_bench(test)


def test_what_waits_in_the_socket_is_no_silence() -> None:
    """Datagrams of the peer that wait while the listener is held up end its silence [HSL-PAL-005]."""

    async def test(bench: Bench) -> None:
        bench.session()
        bench.two.send(TOP, 0, hello(2))
        bench.one.send(9, 1, nop(1))
        assert bench.take(2 * T_STATE) == [nop(1)], "HSL-PAL-005: silence is an empty socket"

    on_bench(test)


# --------------------------------------------------------------------------------------- pairs of one source


def test_old_incarnation_of_the_same_source() -> None:
    """Of one source a datagram of an older incarnation, a HELLO too, is late [HSL-PAL-006] [HSL-PAL-003]."""

    async def test(bench: Bench) -> None:
        bench.session()
        bench.one.send(8, 50, hello(2), nop(1))
        bench.state = LinkState.DETECT
        bench.one.send(8, 52, hello(3))
        assert bench.take(1) == [], "HSL-PAL-006: pairs of one source"
        assert bench.link.dropped == {Drop.LATE: 3}
        bench.one.send(10, 0, hello(4))
        assert bench.take(2) == [hello(4)]

    on_bench(test)


def test_pairs_of_two_sources_are_not_compared() -> None:
    """The pair of one source says nothing about that of another [HSL-PAL-006]."""

    async def test(bench: Bench) -> None:
        bench.one.send(TOP, TOP, hello(1))
        bench.two.send(0, 0, hello(2), nop(1))
        assert bench.take(0) == [hello(1), hello(2), nop(1)], "HSL-PAL-006: other source"
        assert bench.link.lost == 0  # what a source sent before it was heard is no gap

    on_bench(test)


# ---------------------------------------------------------------------------------------- giving the place up


def test_place_is_given_up_after_silence() -> None:
    """After T_STATE of silence nobody is the peer: PAL_TX drops, and the pair is forgotten [HSL-PAL-007]."""

    async def test(bench: Bench) -> None:
        bench.session()
        bench.one.send(TOP, TOP, nop(1))
        assert bench.take(10) == [nop(1)]
        bench.take(T_STATE + 9)
        assert bench.link.peer is not None
        bench.take(T_STATE + 10)
        assert bench.link.peer is None, "HSL-PAL-007: T_STATE of silence"
        bench.link.send(nop(2), T_STATE + 10)
        bench.link.flush(T_STATE + 10)
        assert bench.link.sent == 0
        bench.one.send(9, 1, nop(3), hello())
        assert bench.take(T_STATE + 11) == [hello()]

    on_bench(test)


@pytest.mark.parametrize(
    "state", [state for state in LinkState if state not in (LinkState.ACTIVE, LinkState.L1)]
)
def test_place_is_given_up_when_the_link_is_not_active(state: LinkState) -> None:
    """A source that talks and talks has the place for T_STATE while the link is not ACTIVE [HSL-PAL-007]."""

    async def test(bench: Bench) -> None:
        bench.one.send(9, 0, hello())
        bench.take(0)
        bench.state = state
        step = T_STATE // 8
        for turn in range(1, 8):
            bench.one.send(9, turn, nop(turn))
            assert bench.take(turn * step) == [nop(turn)]
        bench.one.send(9, 8, nop(8))
        bench.take(8 * step)
        assert bench.link.peer is None, "HSL-PAL-007: not ACTIVE within T_STATE"
        bench.two.send(0, 0, hello(2))
        assert bench.take(8 * step + 1) == [hello(2)]

    on_bench(test)


def test_a_peer_that_comes_late_has_the_place_for_as_long() -> None:
    """A source has T_STATE to become ACTIVE from when it takes the place, however late [HSL-PAL-007]."""

    async def test(bench: Bench) -> None:
        start = 10 * T_STATE
        bench.one.send(9, 0, hello())
        assert bench.take(start) == [hello()]
        assert bench.link.peer is not None, "HSL-PAL-007: it has T_STATE to become ACTIVE"
        bench.state = LinkState.CONFIG
        bench.one.send(9, 1, nop(1))
        assert bench.take(start + T_STATE - 1) == [nop(1)]
        bench.take(start + T_STATE)
        assert bench.link.peer is None, "HSL-PAL-007: not ACTIVE within T_STATE"

    on_bench(test)


def test_the_next_source_gets_nothing_of_the_last_one() -> None:
    """A flit that was taken for a peer and not yet sent is lost with its place [HSL-PAL-005]."""

    async def test(bench: Bench) -> None:
        bench.one.send(9, 0, hello())
        bench.take(0)
        assert bench.link.connection is not None
        bench.link.connection.write(nop(1))
        bench.two.send(9, 0, hello(2))
        assert bench.take(1) == [hello(2)]
        bench.link.connection.write(nop(2))
        bench.link.flush(1)
        assert bench.two.heard() == nop(2), "HSL-PAL-005: the first flit for the new peer"

    on_bench(test)


def test_active_link_keeps_the_place() -> None:
    """While the link is ACTIVE and its peer talks nobody takes the place [HSL-PAL-007]."""

    async def test(bench: Bench) -> None:
        bench.session()
        for turn in range(1, 40):
            now = turn * (T_DEADKA - 1)
            bench.two.send(TOP, turn, hello(2))
            bench.one.send(9, turn, nop(turn))
            assert bench.take(now) == [nop(turn)], "HSL-PAL-007: ACTIVE"

    on_bench(test)


def test_nothing_is_sent_and_counted_without_a_peer() -> None:
    """What PAL_TX takes without a peer is dropped: the first datagram has counter 0 [HSL-PAL-010]."""

    async def test(bench: Bench) -> None:
        bench.link.send(nop(1), 0)
        bench.link.flush(0)
        bench.one.send(9, 0, hello())
        bench.take(0)
        bench.link.send(nop(2), 0)
        bench.link.flush(0)
        found = unpack(bench.one.socket.recv(1000), 0)
        assert found is not None
        assert (found.flit, found.counter) == (nop(2), 0), "HSL-PAL-010"

    on_bench(test)


def test_cut_keeps_the_place() -> None:
    """A PAL that a fault takes down leaves the peer its place, so RECOVERY goes on [HSL-PAL-007]."""

    async def test(bench: Bench) -> None:
        bench.session()
        bench.link.send(nop(1), 10)
        assert bench.link.connection is not None
        assert bench.link.connection.ended
        bench.link.drop()
        bench.state = LinkState.RECOVERY
        assert bench.link.adopt(510)
        bench.one.send(9, 1, nop(2))
        assert bench.take(511) == [nop(2)]

    on_bench(test, faults="link-down:x1:nth=1:ns=500")


def test_delayed_flit_ends_with_its_connection() -> None:
    """A flit that a fault delays is not sent to the next peer after PAL_DOWN and PAL_UP [HSL-PAL-003]."""

    async def test(bench: Bench) -> None:
        bench.session()
        bench.link.send(nop(1), 10)  # delayed until 510
        bench.link.flush(10)
        bench.link.drop()
        bench.state = LinkState.DETECT
        assert bench.link.adopt(20)
        bench.two.send(9, 0, hello(2))
        assert bench.take(20) == [hello(2)]
        bench.link.send(nop(2), 600)
        bench.link.flush(600)
        assert bench.two.heard() == nop(2), "HSL-PAL-003: a flit of the former session"

    on_bench(test, faults="delay:x1:nth=1:ns=500")


# ------------------------------------------------------------------------------------------- whole sessions


async def served(one: Running, count: int = 100, **config: Any) -> None:
    """An honest caller must be served by the listener now."""
    two = await calling(device(2, count, **config), one.uri)
    await asyncio.gather(one.end(), two.end())
    assert one.device.got == two.device.got == count, "HSL-PAL-005: an honest peer is served"


@pytest.mark.parametrize("flit", [b"x" * 64, hello(), nop(1)], ids=["garbage", "HELLO", "NOP"])
def test_greatest_pair_bars_nobody(flit: bytes) -> None:
    """A datagram with INCARNATION = COUNTER = 2^64-1 does not bar the next honest peer [HSL-PAL-006]."""

    async def body() -> None:
        one = await listening(device(1, tu_exp=FAST), "udp://:0", passive=True)
        bad = Source(one.uri)
        bad.send(TOP, TOP, flit)
        assert isinstance(one.link, UdpLink)
        link = one.link
        await until(lambda: link.accepted + link.dropped.total() > 0)
        await served(one, tu_exp=FAST)
        bad.socket.close()

    run(body())


def test_greatest_pair_in_mid_session() -> None:
    """A stranger's HELLO with the greatest pair changes nothing in a session that lives [HSL-PAL-005]."""

    async def body() -> None:
        one = await listening(device(1, 400), "udp://:0", passive=True)
        two = await calling(device(2, 400), one.uri)
        bad = Source(one.uri)
        await until(lambda: one.device.got > 50)
        bad.send(TOP, TOP - 1, hello(), hello())
        await asyncio.gather(one.end(), two.end())
        assert isinstance(one.link, UdpLink)
        assert one.link.dropped[Drop.SOURCE] == 2
        # Recoveries are not judged: a loaded machine lets T_REPLAY pass.
        assert one.device.got == two.device.got == 400
        bad.socket.close()

    run(body())


def test_restart_from_a_new_source() -> None:
    """A peer that died in mid-session and starts behind another port is heard after T_DEADKA [HSL-PAL-005].

    The listener's programs had begun, so it learns that the session is lost: from the new HELLO, long before
    RECOVERY would have ended.
    """

    async def body() -> None:
        one = await listening(device(1, 100, 1000, tu_exp=FAST), "udp://:0", passive=True)
        two = await calling(device(2, 50, 1000, tu_exp=FAST), one.uri)
        await until(lambda: one.device.got == 50 and two.device.got == 100)
        await two.kill()
        three = await calling(device(3, 50, 1000, tu_exp=FAST), one.uri)  # its EPOCH is new
        with pytest.raises(PeerLost, match="HELLO_new_other"):
            await one.end()
        await three.kill()

    run(body())


def test_stranger_without_a_session_is_followed_by_an_honest_peer() -> None:
    """A source that takes the place and then says nothing is replaced by the next HELLO [HSL-PAL-005]."""

    async def body() -> None:
        one = await listening(device(1, tu_exp=FAST), "udp://:0", passive=True)
        bad = Source(one.uri)
        bad.send(TOP, 0, hello(1))
        theirs = decode_flit(await asyncio.to_thread(bad.heard), "L64").payload
        bad.send(TOP, 1, hello(1, peer=int.from_bytes(theirs[4:8], "little")))
        await until(lambda: one.device.port.state(0) is not LinkState.DETECT)
        await served(one, tu_exp=FAST)
        bad.socket.close()

    run(body())


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"magic": b"LSHX"}, ErrorCode.VERSION),
        ({"min_major": 9, "max_major": 9}, ErrorCode.VERSION),
        ({"link": 3}, ErrorCode.CFG),
    ],
    ids=["magic", "version", "link"],
)
def test_row_30_judges_the_content_of_a_hello(changes: dict[str, Any], code: ErrorCode) -> None:
    """A HELLO with wrong content reaches the link, which tells its sender the code [HSL-PAL-008].

    The next peer is served.
    """

    async def body() -> None:
        one = await listening(device(1, tu_exp=FAST), "udp://:0", passive=True)
        bad = Source(one.uri)
        bad.send(TOP, TOP, hello(**changes))
        payload = decode_flit(await asyncio.to_thread(bad.heard), "L64").payload
        assert (payload[0], payload[12]) == (CtlOp.ERR_FATAL, code), "HSL-PAL-008: row 30 judges it"
        await served(one, tu_exp=FAST)
        assert sum(isinstance(event, LinkUp) for event in one.events) == 1
        bad.socket.close()

    run(body())
