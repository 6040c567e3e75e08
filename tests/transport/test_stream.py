"""Framing on a socket, the queue of four, the bounded inbox, and who may listen where."""

import asyncio
import random
import socket
import struct
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from hsl._generated.constants import PAL_QUEUE_FLITS
from hsl.errors import ConfigError
from hsl.transport.base import Address, parse_uri
from hsl.transport.faults import FaultInjector, FaultPlan
from hsl.transport.stream import INBOX_BYTES, Connection, Connector, Listener, StreamLink
from tests.support.sessions import no_faults, run, until

FLIT = bytes(range(64))
WIDE = bytes(range(256))


ONE_READ = 256 * 1024  # what asyncio takes from a socket at once


def framed(*flits: bytes) -> bytes:
    return b"".join(len(flit).to_bytes(2, "little") + flit for flit in flits)


class Wired:
    """A connection whose other end is a plain socket."""

    def __init__(self) -> None:
        self.wakes = 0

    async def open(self) -> "Wired":
        ours, self.peer = socket.socketpair()
        self.peer.setblocking(False)
        loop = asyncio.get_running_loop()
        _, self.connection = await loop.create_connection(lambda: Connection(self.wake), sock=ours)
        return self

    def wake(self) -> None:
        self.wakes += 1

    async def feed(self, data: bytes) -> None:
        """Send to the connection; returns when all is in its inbox or it has ended."""
        before = self.connection.backlog
        await asyncio.get_running_loop().sock_sendall(self.peer, data)
        await until(lambda: self.connection.backlog == before + len(data) or bool(self.connection.ended))

    def frames(self, limit: int = 1000, now: int = 0) -> list[bytes]:
        return list(self.connection.frames(limit, now))

    async def close(self) -> None:
        self.connection.abort()
        self.peer.close()
        await self.connection.closed.wait()


def wired(test: Callable[[Wired], Awaitable[None]]) -> Callable[[], None]:
    """Run an asynchronous test with a connection, and close it."""

    async def body() -> None:
        pair = await Wired().open()
        try:
            await test(pair)
        finally:
            await pair.close()

    def outer() -> None:
        run(body())

    outer.__name__, outer.__doc__ = getattr(test, "__name__", ""), test.__doc__
    return outer


@wired
async def test_byte_by_byte(pair: Wired) -> None:
    """A frame that comes byte by byte is delivered once, whole, with its last byte and not before."""
    data = framed(FLIT, WIDE)
    got = []
    for at in range(len(data)):
        await pair.feed(data[at : at + 1])
        got += [(at, flit) for flit in pair.frames(now=at)]
        assert (pair.connection.partial_since is None) == (at in (65, len(data) - 1))
    assert got == [(65, FLIT), (len(data) - 1, WIDE)]


@wired
async def test_coalesced(pair: Wired) -> None:
    """Frames that come in one piece are delivered in order, no more than the limit at a time."""
    flits = [bytes([number]) * 64 for number in range(100)]
    await pair.feed(framed(*flits) + b"\x40")
    assert pair.frames(limit=30) == flits[:30]
    assert pair.connection.partial_since is None  # not the wire's fault: whole frames still wait
    assert pair.frames(now=5) == flits[30:]
    assert pair.connection.partial_since == 5


@pytest.mark.parametrize("length", [0, 1, 63, 65, 255, 257, 0x4000, 0xFFFF])
def test_length_that_is_none(length: int) -> None:
    """A length that is neither 64 nor 256 ends the connection: frames before it count [HSL-PAL-001]."""

    async def body() -> None:
        pair = await Wired().open()
        await pair.feed(framed(FLIT) + length.to_bytes(2, "little") + framed(FLIT, FLIT))
        assert pair.frames() == [FLIT]
        assert pair.connection.framing_error
        assert f"{length} bytes" in pair.connection.ended
        assert pair.frames() == []
        await pair.close()

    run(body())


@wired
async def test_eof_inside_a_frame(pair: Wired) -> None:
    """EOF inside a frame: whole frames before it are delivered, the part never is [HSL-PAL-002]."""
    await pair.feed(framed(FLIT) + framed(FLIT)[:40])
    pair.peer.shutdown(socket.SHUT_WR)
    await until(lambda: bool(pair.connection.ended))
    assert pair.frames() == [FLIT]
    assert pair.frames() == []
    assert pair.connection.ended == "closed by the peer"


@wired
async def test_at_most_four_unsent(pair: Wired) -> None:
    """Against a peer that does not read, flits are taken until four are unsent, and again when it reads."""
    taken = 0
    while pair.connection.queued() < PAL_QUEUE_FLITS:
        pair.connection.write(FLIT)
        pair.connection.flush()
        taken += 1
    transport = pair.connection._transport
    assert transport is not None
    size = transport.get_write_buffer_size()
    assert 3 * 66 < size <= 4 * 66
    assert pair.connection.queued() == 4
    wakes, got = pair.wakes, b""
    while len(got) < 66 * taken:
        got += await asyncio.get_running_loop().sock_recv(pair.peer, 1 << 20)
    await until(lambda: pair.wakes > wakes)
    assert pair.connection.queued() == 0
    assert got == framed(FLIT) * taken


@wired
async def test_several_flits_in_one_write(pair: Wired) -> None:
    """Taken flits wait for `flush` or for the fourth, and then go out together."""
    for _ in range(3):
        pair.connection.write(FLIT)
    assert pair.connection.queued() == 3
    with pytest.raises(BlockingIOError):
        pair.peer.recv(1)
    pair.connection.write(WIDE)
    assert await asyncio.get_running_loop().sock_recv(pair.peer, 4096) == framed(FLIT, FLIT, FLIT, WIDE)


@wired
async def test_inbox_is_bounded(pair: Wired) -> None:
    """A socket whose frames nobody takes is not read any further, and read again once they are taken."""
    flood = framed(FLIT) * (40 * INBOX_BYTES // 66)
    sending = asyncio.ensure_future(asyncio.get_running_loop().sock_sendall(pair.peer, flood))
    await until(lambda: pair.connection.backlog > INBOX_BYTES)
    for _ in range(200):
        await asyncio.sleep(0)
    most = pair.connection.backlog
    assert most <= INBOX_BYTES + ONE_READ
    assert not sending.done()
    count = 0
    while count < len(flood) // 66:
        count += len(pair.frames(limit=256))
        await asyncio.sleep(0)
    await sending


@wired
async def test_finish_sends_and_waits(pair: Wired) -> None:
    """`finish` sends what was taken, then EOF; what still comes in is thrown away without a reset."""
    pair.connection.write(FLIT)
    pair.peer.send(framed(FLIT) * 10)
    pair.connection.finish()
    loop = asyncio.get_running_loop()
    await asyncio.sleep(0)
    pair.peer.send(framed(FLIT) * 10)
    assert await loop.sock_recv(pair.peer, 4096) == framed(FLIT)
    assert await loop.sock_recv(pair.peer, 4096) == b""
    pair.peer.close()
    await pair.connection.closed.wait()
    assert pair.frames() == []


def listener(uri: str, **changes: Any) -> Listener:
    return Listener(parse_uri(uri), no_faults(), changes.get("wake", lambda: None))


def on_listener(uri: str, body: Callable[[Listener], Coroutine[Any, Any, None]]) -> None:
    async def outer() -> None:
        link = listener(uri)
        await link.open()
        try:
            await body(link)
        finally:
            await link.close(0.01)

    run(outer())


async def dial(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if address.scheme == "unix":
        return await asyncio.open_unix_connection(address.path)
    return await asyncio.open_connection(address.host, address.port)


def test_port_zero_is_chosen() -> None:
    """Port 0 becomes a real port on the local host only."""

    async def body(link: Listener) -> None:
        assert link.address.port > 0
        assert link.address.host == "127.0.0.1"

    on_listener("tcp://:0", body)


def test_nodelay() -> None:
    """TCP_NODELAY is on at both ends."""

    async def body(link: Listener) -> None:
        caller = Connector(link.address, no_faults(), lambda: None)
        await caller.open()
        await until(lambda: link.adopt() or link.connection is not None)
        await until(lambda: caller.adopt() or caller.connection is not None)
        for end in (link, caller):
            assert end.connection is not None
            assert end.connection._transport is not None
            sock = end.connection._transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        await caller.close(0.01)

    on_listener("tcp://127.0.0.1:0", body)


def test_refused_peer_that_reset_its_connection() -> None:
    """`finish` of a connection that the peer has reset ends that connection and no more (3.9 tcp)."""

    async def body(link: Listener) -> None:
        peer = socket.create_connection((link.address.host, link.address.port))
        await until(lambda: link.adopt() or link.connection is not None)
        assert link.connection is not None
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close is a reset
        peer.close()
        link.connection.finish("refused")  # the loop has not seen the reset yet
        await link.connection.gone(5.0)
        assert link.connection.closed.is_set(), "a reset connection must end: 3.9, end of stream or reset"

    on_listener("tcp://127.0.0.1:0", body)


@pytest.mark.parametrize("scheme", ["tcp", "unix"])
def test_newest_connection_wins(scheme: str, tmp_path: Path) -> None:
    """A new connection replaces the old one; of many that wait only the last is kept, the others are cut."""

    async def body(link: Listener) -> None:
        first = await dial(link.address)
        await until(link.adopt)
        later = [await dial(link.address) for _ in range(20)]
        await until(lambda: link.replaced)
        while len(await asyncio.wait_for(later[-2][0].read(), 10)):
            pass
        assert not link.adopt()  # the old one must be dropped first: PAL_DOWN
        assert link.drop() is not None
        assert link.adopt()
        assert await first[0].read() == b""
        assert link.connection is not None
        link.connection.write(FLIT)
        link.connection.flush()
        assert await later[-1][0].readexactly(66) == framed(FLIT)
        for _, writer in (first, *later):
            writer.close()

    on_listener("tcp://127.0.0.1:0" if scheme == "tcp" else f"unix://{tmp_path}/link", body)


@pytest.mark.parametrize("scheme", ["tcp", "unix"])
def test_address_in_use(scheme: str, tmp_path: Path) -> None:
    """An address where somebody listens is a ConfigError; the one who listens is not disturbed."""

    async def body(link: Listener) -> None:
        second = listener(str(link.address))
        with pytest.raises(ConfigError, match="in use"):
            await second.open()
        assert not link.replaced
        _, writer = await dial(link.address)
        await until(lambda: link.replaced)
        writer.close()

    on_listener("tcp://127.0.0.1:0" if scheme == "tcp" else f"unix://{tmp_path}/link", body)


def test_stale_socket_file_is_replaced(tmp_path: Path) -> None:
    """A socket file that a killed process left behind does not stand in the way, and goes when we go."""
    path = tmp_path / "link"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))

    async def body(link: Listener) -> None:
        _, writer = await dial(link.address)
        writer.close()

    on_listener(f"unix://{path}", body)
    assert not path.exists()


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir])
def test_other_file_is_left_alone(make: Callable[[Path], None], tmp_path: Path) -> None:
    """A file or directory that is no socket is not removed: ConfigError."""
    make(tmp_path / "link")
    with pytest.raises(ConfigError):
        on_listener(f"unix://{tmp_path}/link", lambda link: asyncio.sleep(0))
    assert (tmp_path / "link").exists()


@pytest.mark.parametrize("uri", ["tcp://192.0.2.1:9", "tcp://name.invalid:9", "unix:///nowhere/at/all"])
def test_address_that_is_not_ours(uri: str) -> None:
    """An address at which this host cannot listen is a ConfigError."""
    with pytest.raises(ConfigError, match="cannot listen"):
        on_listener(uri, lambda link: asyncio.sleep(0))


def test_unfinished_frame_is_given_up() -> None:
    """A frame that is not complete after its time ends the connection; one that is complete does not."""

    async def body() -> None:
        pair = await Wired().open()
        link = StreamLink(parse_uri("tcp://:1"), no_faults(), lambda: None)
        link.connection = pair.connection
        await pair.feed(framed(FLIT)[:65])
        assert pair.frames(now=100) == []
        assert link.deadline(50) == 150
        link.check(149, 50)
        assert not pair.connection.ended
        await pair.feed(framed(FLIT)[65:] + b"\x40")
        assert pair.frames(now=149) == [FLIT]
        assert link.deadline(50) == 199
        link.check(199, 50)
        assert "not completed" in pair.connection.ended
        link.drop()
        assert link.framing_errors == 1
        await pair.close()

    run(body())


def faulty(plan: str) -> FaultInjector:
    return FaultInjector(FaultPlan.parse(plan), random.Random(1))


def test_delay_keeps_the_order() -> None:
    """A delayed flit holds up those after it; they are queued until it is due, and leave together."""

    async def body() -> None:
        pair = await Wired().open()
        link = StreamLink(parse_uri("tcp://:1"), faulty("delay:x1:1000"), lambda: None)
        link.connection = pair.connection
        flits = [bytes([number]) * 64 for number in range(PAL_QUEUE_FLITS)]
        for flit in flits:
            assert link.ready()
            link.send(flit, 5)
        assert not link.ready()
        link.flush(1004)
        assert link.deadline(50) == 1005
        with pytest.raises(BlockingIOError):
            pair.peer.recv(1)
        link.flush(1005)
        assert await asyncio.get_running_loop().sock_recv(pair.peer, 4096) == framed(*flits)
        assert link.ready()
        await pair.close()

    run(body())


def test_truncated_flit_is_a_framing_error() -> None:
    """A truncated flit goes out as a frame of its own length, which the receiver takes for what it is."""

    async def body() -> None:
        pair = await Wired().open()
        link = StreamLink(parse_uri("tcp://:1"), faulty("truncate:x1"), lambda: None)
        link.connection = pair.connection
        link.send(FLIT, 0)
        link.flush(0)
        data = await asyncio.get_running_loop().sock_recv(pair.peer, 4096)
        assert int.from_bytes(data[:2], "little") == len(data) - 2 < 64
        await pair.feed(data)
        assert pair.frames() == []
        assert pair.connection.framing_error
        await pair.close()

    run(body())
