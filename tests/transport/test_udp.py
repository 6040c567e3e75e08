"""udp: what a datagram must have, what is dropped, and links between real sockets over bad ways."""

import asyncio
import json
import random
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from hsl._generated.constants import FlitType, LinkState
from hsl._generated.layouts import UDP_FRAME, UDP_MAGIC, UDP_VERSION
from hsl.codec.flit import Flit
from hsl.codec.reference import encode_flit
from hsl.emulator.report import demo_report
from hsl.errors import ConfigError, PeerUnreachable
from hsl.transport.base import parse_uri
from hsl.transport.faults import FaultInjector, FaultPlan
from hsl.transport.udp import BUFFER_BYTES, Drop, UdpLink, next_incarnation, pack, unpack
from tests.support.relay import LOCALHOST, Relay
from tests.support.sessions import FAST, calling, check_balance, device, hello, listening, no_faults, run

SLOW = 24  # TU = 16 ms: 16 TU are above the round trip of processes that wait for a core
NOP = encode_flit(Flit("L64", FlitType.NOP, seq=5))
WIDE = encode_flit(Flit("B256", FlitType.NOP, seq=5))
HELLO = hello()
EXAMPLE = bytes.fromhex("48534c5501004000 0000e6d5a4c2f318 2900000000000000")


# ---------------------------------------------------------------------------------------------- datagrams


def test_datagram_of_the_specification() -> None:
    """The header is that of the worked example in chapter 7, byte for byte."""
    assert pack(0, 0x18F3C2A4D5E60000, 41, NOP) == EXAMPLE + NOP
    assert unpack(EXAMPLE + NOP, 0) == (0x18F3C2A4D5E60000, 41, NOP)


@pytest.mark.parametrize("flit", [NOP, WIDE], ids=["L64", "B256"])
@pytest.mark.parametrize("link", range(8))
def test_round_trip(flit: bytes, link: int) -> None:
    """Every link index and both sizes are read as they were written; another link's datagram is none."""
    data = pack(link, 7, 9, flit)
    assert unpack(data, link) == (7, 9, flit)
    assert len(data) < BUFFER_BYTES
    assert all(unpack(data, other) is None for other in range(8) if other != link)


@pytest.mark.parametrize("cut", range(len(EXAMPLE)))
def test_less_than_a_header_is_dropped(cut: int) -> None:
    """A prefix of a header is no datagram of ours."""
    assert unpack(EXAMPLE[:cut], 0) is None


@pytest.mark.parametrize(
    ("field", "value"), [("magic", b"HSLM"), ("magic", bytes(4)), ("version", 0), ("version", 2), ("link", 1)]
)
def test_foreign_header_is_dropped(field: str, value: Any) -> None:
    """Another magic, version or link is dropped, not reported."""
    fields = {
        "magic": UDP_MAGIC,
        "version": UDP_VERSION,
        "link": 0,
        "length": 64,
        "incarnation": 1,
        "counter": 1,
    }
    assert unpack(UDP_FRAME.build(fields) + NOP, 0) is not None
    assert unpack(UDP_FRAME.build(fields | {field: value}) + NOP, 0) is None


@pytest.mark.parametrize(
    ("length", "body"),
    [
        (64, b""),
        (64, NOP[:63]),
        (64, NOP + b"\0"),
        (64, WIDE),
        (256, NOP),
        (63, NOP[:63]),
        (0, b""),
        (65535, NOP),
    ],
)
def test_wrong_size_is_a_damaged_flit(length: int, body: bytes) -> None:
    """A size that is not 24 + LENGTH, or a LENGTH of no flit, is err = 1 and never a flit [HSL-PAL-001]."""
    fields = {
        "magic": UDP_MAGIC,
        "version": UDP_VERSION,
        "link": 0,
        "length": length,
        "incarnation": 1,
        "counter": 1,
    }
    assert unpack(UDP_FRAME.build(fields) + body, 0) == (1, 1, b"")
    assert unpack(EXAMPLE + NOP, 0, truncated=True) == (0x18F3C2A4D5E60000, 41, b"")


# --------------------------------------------------------------------------------------------- incarnation


def test_incarnation_grows_though_the_clock_goes_back(tmp_path: Path) -> None:
    """With a file each incarnation is greater than the last, whatever the clock says [HSL-PAL-003]."""
    path = tmp_path / "incarnation"
    clocks = [1000, 500, 2000, 2000, 0]
    assert [next_incarnation(clock, path) for clock in clocks] == [1000, 1001, 2000, 2001, 2002]
    assert path.read_text() == "2002\n"
    assert next_incarnation(7) == 7


@pytest.mark.parametrize("raw", ["x", "", "-1", "1.5", "9" * 40, str((1 << 64) - 1)])
def test_incarnation_file_with_something_else(raw: str, tmp_path: Path) -> None:
    """A file without an incarnation is refused with what is legal, and left as it was."""
    path = tmp_path / "incarnation"
    path.write_text(raw)
    with pytest.raises(ConfigError, match="incarnation"):
        next_incarnation(1, path)
    assert path.read_text() == raw
    with pytest.raises(ConfigError):
        next_incarnation(1, tmp_path / "no" / "folder")


# ---------------------------------------------------------------------------------------------- one socket


class Stranger:
    """A bare socket that talks to a listening link."""

    def __init__(self, link: UdpLink) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((LOCALHOST, 0))
        self.target = (LOCALHOST, link.address.port)

    def send(self, *datagrams: bytes) -> None:
        for data in datagrams:
            self.socket.sendto(data, self.target)


def on_listener(test: Callable[[UdpLink, Stranger], Awaitable[None]], **changes: Any) -> None:
    """Run a test on a listening link whose PAL is up, and on a socket whose HELLO has made it the peer."""

    async def body() -> None:
        link = UdpLink(parse_uri("udp://:0"), no_faults(), lambda: None, listen=True, **changes)
        await link.open()
        assert link.adopt()
        stranger = Stranger(link)
        stranger.send(pack(link.index, 0, 0, HELLO))
        assert taken(link) == [HELLO]
        link.accepted = 0
        try:
            await test(link, stranger)
        finally:
            stranger.socket.close()
            await link.close(0)

    run(body())


def taken(link: UdpLink, now: int = 0) -> list[bytes]:
    """What the link delivers now, however many turns it takes."""
    assert link.connection is not None
    found: list[bytes] = []
    for _ in range(100):
        found += link.connection.frames(1000, now)
    return found


def numbered(number: int) -> bytes:
    """A NOP that can be told from others."""
    return encode_flit(Flit("L64", FlitType.NOP, seq=number))


def test_late_and_repeated_datagrams_are_dropped() -> None:
    """Of datagrams in any order only those with a greater pair are delivered in order [HSL-PAL-004]."""

    async def test(link: UdpLink, stranger: Stranger) -> None:
        order = [0, 1, 1, 3, 2, 0, 5, 4, 5, 6]
        stranger.send(*(pack(0, 9, counter, numbered(counter)) for counter in order))
        assert taken(link) == [numbered(counter) for counter in (0, 1, 3, 5, 6)]
        assert link.dropped == {Drop.LATE: 5}
        assert (link.accepted, link.lost) == (5, 2)

    on_listener(test)


def test_restart_of_the_sender() -> None:
    """After a restart its counters begin anew, and nothing of before is delivered any more [HSL-PAL-003]."""

    async def test(link: UdpLink, stranger: Stranger) -> None:
        stranger.send(pack(0, 9, 70, numbered(1)), pack(0, 10, 0, numbered(2)), pack(0, 9, 71, numbered(3)))
        stranger.send(pack(0, 10, 1, numbered(4)), pack(0, 8, 99, numbered(5)))
        assert taken(link) == [numbered(1), numbered(2), numbered(4)]
        assert link.dropped == {Drop.LATE: 2}

    on_listener(test)


def test_damaged_datagram_is_told_once_and_takes_its_place() -> None:
    """A damaged one (err = 1) counts code 18, and a repeat of the pair is dropped [HSL-PAL-001]."""

    async def test(link: UdpLink, stranger: Stranger) -> None:
        stranger.send(
            pack(0, 9, 0, NOP)[:-1], pack(0, 9, 0, NOP), pack(0, 9, 1, NOP + WIDE), pack(0, 9, 2, NOP)
        )
        assert taken(link) == [b"", b"", NOP]
        assert link.framing_errors == 2

    on_listener(test)


def test_links_have_their_own_datagrams() -> None:
    """A link takes its own index only: eight links may use one address after the other."""

    async def test(link: UdpLink, stranger: Stranger) -> None:
        stranger.send(*(pack(index, 9, index, numbered(index)) for index in range(8)))
        assert taken(link) == [numbered(5)]
        assert link.dropped == {Drop.HEADER: 7}
        assert link.connection is not None
        link.connection.write(NOP)
        link.connection.flush()
        assert unpack(stranger.socket.recv(1000), 5) is not None

    on_listener(test, link=5)


def test_a_turn_reads_a_bounded_number() -> None:
    """However many bad datagrams wait, one turn reads a few and gives the timers their turn."""

    async def test(link: UdpLink, stranger: Stranger) -> None:
        stranger.send(*[b"noise"] * 100)
        assert link.connection is not None
        assert list(link.connection.frames(2, 0)) == []
        assert 0 < link.dropped[Drop.HEADER] < 100

    on_listener(test)


def test_never_fragments() -> None:
    """The socket refuses to fragment where the system lets us say so, and what it refuses is a loss."""

    async def test(link: UdpLink, stranger: Stranger) -> None:
        assert link._socket is not None
        if sys.platform == "linux":
            assert link._socket.getsockopt(socket.IPPROTO_IP, 10) == 2
        stranger.send(pack(0, 9, 0, NOP))
        taken(link)
        link.unsent.append(bytes(70_000))
        link.drain()
        assert not link.unsent

    on_listener(test)


def test_nobody_there_takes_nothing() -> None:
    """Before a peer is known flits are dropped and use up no counter (B4)."""

    async def test(link: UdpLink, stranger: Stranger) -> None:
        link.drop()
        assert link.adopt()
        assert link.ready()
        link.send(NOP, 0)
        link.flush(0)
        assert link.sent == 0
        stranger.send(pack(0, 1, 0, HELLO))
        taken(link)
        link.send(WIDE, 0)
        link.flush(0)
        found = unpack(stranger.socket.recv(1000), 0)
        assert found == (link.incarnation, 0, WIDE)

    on_listener(test)


def test_cut_by_a_fault() -> None:
    """link-down takes the PAL down for its time; what came meanwhile is never delivered [HSL-PAL-003]."""

    async def body() -> None:
        injector = FaultInjector(FaultPlan.parse("link-down:x1:nth=2:ns=500"), random.Random(1))
        link = UdpLink(parse_uri("udp://:0"), injector, lambda: None, listen=True)
        await link.open()
        assert link.adopt(0)
        stranger = Stranger(link)
        stranger.send(pack(0, 9, 0, HELLO))
        assert taken(link) == [HELLO]
        link.send(NOP, 10)
        link.send(NOP, 10)
        assert link.connection is not None
        assert link.connection.ended
        link.drop()
        stranger.send(pack(0, 9, 1, NOP))
        assert not link.adopt(509)
        assert link.deadline(1) == 510
        assert link.adopt(510)
        stranger.send(pack(0, 9, 2, WIDE))
        assert taken(link) == [WIDE]
        assert link.dropped[Drop.CUT] == 1
        stranger.socket.close()
        await link.close(0)

    run(body())


@pytest.mark.parametrize("uri", ["udp://192.0.2.1:9", "udp://name.invalid:9"])
def test_address_that_is_not_ours(uri: str) -> None:
    """An address that cannot be bound is a ConfigError that names it, and leaks no socket."""

    async def body() -> None:
        link = UdpLink(parse_uri(uri), no_faults(), lambda: None, listen=True)
        with pytest.raises(ConfigError, match="udp://"):
            await link.open()

    run(body())


# -------------------------------------------------------------------------------------------- whole sessions


def test_session_over_udp() -> None:
    """A clean session over udp repairs nothing and its account holds to the flit."""

    async def body() -> None:
        one = await listening(device(1, tu_exp=SLOW), "udp://:0", passive=True)
        two = await calling(device(2, tu_exp=SLOW), one.uri)
        await asyncio.gather(one.end(), two.end())
        check_balance(one, two, "udp")
        check_balance(two, one, "udp")
        assert (one.counters.replays, one.counters.recoveries, one.counters.stale) == (0, 0, 0)

    run(body())


@pytest.mark.parametrize("faults", ["0.05", "truncate:0.05,reorder@PROT:0.02:ns=3000000", "duplicate:0.1"])
def test_faults_are_repaired_and_counted(faults: str) -> None:
    """Faults at PAL_TX are counted over udp as on the other bindings; a truncated flit is err = 1."""

    async def body() -> None:
        plan = FaultPlan.parse(faults)
        one = await listening(device(1), "udp://:0", passive=True, faults=plan, seed=5)
        two = await calling(device(2), one.uri, faults=plan, seed=5)
        await asyncio.gather(one.end(), two.end())
        check_balance(one, two, faults)
        check_balance(two, one, faults)

    run(body())


@pytest.mark.parametrize("seed", [1, 2])
def test_bad_way(seed: int) -> None:
    """Over a way that loses, repeats and reorders, every message arrives once and in order [HSL-PAL-004]."""

    async def body() -> None:
        one = await listening(device(1), "udp://:0", passive=True)
        relay = await Relay(int(one.uri.rpartition(":")[2]), seed, loss=0.05, repeat=0.05, swap=0.05).open()
        two = await calling(device(2), f"udp://{LOCALHOST}:{relay.port}")
        await asyncio.gather(one.end(), two.end())
        relay.close()
        assert one.device.got == two.device.got == 100
        assert min(relay.counts[name] for name in ("lost", "repeated", "swapped")) > 0, relay.counts
        links = [side.link for side in (one, two)]
        assert all(isinstance(link, UdpLink) for link in links)
        assert sum(link.dropped[Drop.LATE] for link in links if isinstance(link, UdpLink)) > 0
        assert sum(side.counters.replays for side in (one, two)) > 0

    run(body())


def test_garbage_harms_nothing() -> None:
    """A megabyte of random datagrams in mid session is dropped: no error, no recovery, nothing lost."""

    async def body() -> None:
        rng = random.Random(11)
        one = await listening(device(1, count=200, tu_exp=22), "udp://:0", passive=True)
        two = await calling(device(2, count=200, tu_exp=22), one.uri)  # a stall of a second costs no recovery
        assert isinstance(one.link, UdpLink)
        stranger = Stranger(one.link)
        left = 1 << 20
        while left > 0:
            piece = rng.randbytes(min(left, rng.choice((1, 23, 24, 88, 280, 1400, 9000))))
            left -= len(piece)
            stranger.send(piece, EXAMPLE + piece[:64])
            await asyncio.sleep(0)
        stranger.socket.close()
        await asyncio.gather(one.end(), two.end())
        assert one.device.got == two.device.got == 200
        assert (one.counters.crc_errors, one.counters.recoveries) == (0, 0)
        assert one.link.dropped[Drop.HEADER] > 0
        assert one.link.dropped[Drop.SOURCE] > 0

    run(body())


def test_nobody_answers() -> None:
    """A connecting side whose peer does not answer gives up in time; what ICMP says before is ignored."""

    async def body() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind((LOCALHOST, 0))
            free.connect(free.getsockname())  # so it hears itself only: for others its port is closed
            two = await calling(device(2, tu_exp=FAST), f"udp://{LOCALHOST}:{free.getsockname()[1]}")
            with pytest.raises(PeerUnreachable):
                await two.end()

    run(body())


def test_peer_starts_anew() -> None:
    """A peer that died after its HELLO and starts again, behind another port, is heard at once.

    The listener has not begun its work: it goes on and serves the new one.
    """

    async def body() -> None:
        one = await listening(device(1, tu_exp=19), "udp://:0", passive=True)
        assert isinstance(one.link, UdpLink)
        stranger = Stranger(one.link)
        stranger.send(pack(0, 1, 0, HELLO))
        while one.link.accepted == 0:
            await asyncio.sleep(0.002)
        stranger.socket.close()
        two = await calling(device(2, tu_exp=19), one.uri)
        await asyncio.gather(one.end(), two.end())
        assert one.device.port.links[0].state is not LinkState.DEAD
        assert one.device.got == two.device.got == 100

    run(body())


# ---------------------------------------------------------------------------------------------- whole demos


async def nodes_over(relay_of: Callable[[int], Relay], folder: Path) -> tuple[dict[str, Any], Relay]:
    """The reports of both nodes, each in a process of its own, with a relay between them."""
    text = folder / "input.txt"
    text.write_bytes(b"Snoops, credits and flits. " * 60)

    async def start(*arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "hsl", "node", *arguments, "--json", "--seed", "1"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    cpu = await start("cpu", "--listen", "udp://127.0.0.1:0", "--input", str(text))
    assert cpu.stderr is not None
    line = ""
    while "udp://" not in line:
        line = (await cpu.stderr.readline()).decode()
        assert line, "the CPU ended"
    relay = await relay_of(int(line.strip().rpartition(":")[2])).open()
    gpu = await start("gpu", "--connect", f"udp://{LOCALHOST}:{relay.port}")
    (cpu_out, cpu_err), (gpu_out, gpu_err) = await asyncio.gather(cpu.communicate(), gpu.communicate())
    relay.close()
    assert (cpu.returncode, gpu.returncode) == (0, 0), (cpu_err, gpu_err)
    return {"cpu": json.loads(cpu_out), "gpu": json.loads(gpu_out)}, relay


def test_demo_over_a_bad_way(tmp_path: Path) -> None:
    """A demo through a relay that loses, repeats and reorders is verified, with replays [HSL-PAL-004]."""

    async def body() -> None:
        nodes, relay = await nodes_over(
            lambda port: Relay(port, 3, loss=0.03, repeat=0.03, swap=0.03), tmp_path
        )
        report = demo_report(nodes, {})
        assert report["verified"], report["directions"]
        assert report["replays"] > 0
        assert relay.counts["lost"] > 0
        assert any("udp" in line["unbalanced_by"] for line in report["directions"])

    run(body())
