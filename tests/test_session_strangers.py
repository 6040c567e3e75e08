"""Sessions among strangers: noise, silence, refusals and floods; a listener logs one line and lives on."""

import asyncio
import errno
import itertools
import random
import re
import resource
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from hsl._generated.constants import CtlOp, ErrorCode
from hsl.codec.ctl import decode_ctl
from hsl.codec.reference import decode_flit
from hsl.errors import LinkError, PeerUnreachable
from hsl.link.events import LinkUp
from hsl.session import FRAMES_PER_TURN
from hsl.transport.base import parse_uri
from hsl.transport.stream import INBOX_BYTES
from tests.support.sessions import (
    FAST,
    LIMIT_SECONDS,
    Running,
    calling,
    ctl_flit,
    device,
    framed,
    hello,
    listening,
    run,
    until,
    warnings_of,
)


async def dial(uri: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    address = parse_uri(uri)
    return await asyncio.open_connection(address.host, address.port)


async def serves(a: Running) -> None:
    """The listener must serve a good peer now."""
    b = await calling(device(2), a.uri)
    await asyncio.gather(a.end(), b.end())
    assert a.device.got == b.device.got == 100


def framed_hello(**fields: Any) -> bytes:
    return framed(hello(**fields))


def garbage(size: int) -> bytes:
    # The first two bytes must be no legal length by chance.
    return b"\xff\xff" + random.Random(11).randbytes(size - 2)


PEERS: dict[str, Callable[[], bytes]] = {
    "a megabyte of noise": lambda: garbage(1 << 20),
    "noise in frames": lambda: b"".join(b"\x40\x00" + random.Random(n).randbytes(64) for n in range(2000)),
    "long frames": lambda: b"".join(b"\x00\x01" + random.Random(n).randbytes(256) for n in range(500)),
    "silence": lambda: b"",
    "one byte": lambda: b"\x40",
    "half a frame": lambda: framed_hello()[:40],
    "HELLO and no more": framed_hello,
    "its own HELLO": lambda: framed_hello() * 50,
    "wrong magic": lambda: framed_hello(magic=b"LSHX"),
    "wrong version": lambda: framed_hello(min_major=9, max_major=9),
    "flood of sessions": lambda: b"".join(framed_hello(epoch=n) for n in range(1, 500)),
}


@pytest.mark.parametrize("stays", [False, True], ids=["leaves", "stays"])
@pytest.mark.parametrize("what", PEERS)
def test_listener_lives_on(what: str, stays: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever a stranger sends, whether it leaves or stays: one line in the log, and the next is served."""

    async def body() -> None:
        a = await listening(device(1))
        _, writer = await dial(a.uri)
        writer.write(PEERS[what]())
        await until(lambda: a.link.connections == 1)
        if not stays:
            writer.write_eof()
            await until(lambda: a.link.connection is None)
        else:
            await asyncio.sleep(0.05)
        await serves(a)
        writer.close()

    run(body())
    assert len(warnings_of(caplog)) == 1, warnings_of(caplog)


def test_replaced_connection_delivers_nothing_more() -> None:
    """Flits of a connection that a newer one has replaced are never delivered [HSL-PAL-003]."""

    async def body() -> None:
        a = await listening(device(1))
        _, writer = await dial(a.uri)
        await until(lambda: a.link.connections == 1)
        received: list[bytes] = []
        a.device.node.receive = lambda port, link, data, now, error=False: received.append(data)  # type: ignore[method-assign]
        old = a.link.connection
        assert old is not None
        old.data_received(framed_hello(epoch=1))
        new = a.link._connected()
        new._transport = old._transport  # it is made
        new.data_received(framed_hello(epoch=2))
        for _ in range(3):
            a.session._turn(a.session.now)
        assert received == [framed_hello(epoch=2)[2:]]
        writer.close()
        a.link.drop()
        await a.kill()

    run(body())


def test_unfinished_frame_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    """A stranger that never completes its frame is cut after 4096 TU, without another one having to come."""

    async def body() -> None:
        a = await listening(device(1, tu_exp=FAST))
        reader, writer = await dial(a.uri)
        writer.write(framed_hello()[:40])
        while await reader.read(4096):
            pass
        writer.close()
        b = await calling(device(2, tu_exp=FAST), a.uri)
        await asyncio.gather(a.end(), b.end())
        assert a.link.framing_errors >= 1  # a peer that leaves may be cut in a frame too

    run(body())
    assert "not completed" in warnings_of(caplog)[0]


@pytest.mark.parametrize("what", ["a megabyte of noise", "noise in frames", "silence", "half a frame"])
def test_stranger_in_mid_session(what: str) -> None:
    """A stranger in the place of the peer costs a recovery: the peer calls again, and nothing is lost."""

    async def body() -> None:
        a = await listening(device(1, 1500))
        b = await calling(device(2, 1500), a.uri)
        await until(lambda: a.device.got > 200)
        _, writer = await dial(a.uri)
        writer.write(PEERS[what]())
        await asyncio.gather(a.end(), b.end())
        writer.close()
        assert a.device.port.messages_received == b.device.port.messages_sent
        assert b.device.port.messages_received == a.device.port.messages_sent
        assert sum(isinstance(event, LinkUp) for event in a.events) == 1
        assert b.link.connections > 1

    run(body())


def test_versions_that_do_not_meet(caplog: pytest.LogCaptureFixture) -> None:
    """Without a common version the caller gets a LinkError that says so; the listener serves the next."""

    async def body() -> None:
        a = await listening(device(1))
        b = await calling(device(2, min_version=(2, 0), max_version=(2, 1)), a.uri)
        with pytest.raises(LinkError, match="VERSION") as caught:
            await b.end()
        assert caught.value.code == ErrorCode.VERSION
        await serves(a)

    run(body())
    assert "VERSION" in warnings_of(caplog)[0]


def test_refused_stranger_is_told_and_cut() -> None:
    """A stranger whose HELLO is refused gets ERR_FATAL, and its connection is closed."""

    async def body() -> None:
        a = await listening(device(1))
        reader, writer = await dial(a.uri)
        writer.write(framed_hello(min_major=9, max_major=9))
        ops = []
        while frame := await reader.read(66):
            ops.append(decode_ctl(decode_flit(frame[2:], "L64").payload).op)
        # A loaded machine may let T_HS pass before it reads: HELLO is then repeated.
        assert [op for op, _ in itertools.groupby(ops)] == [CtlOp.HELLO, CtlOp.ERR_FATAL]
        assert ops.count(CtlOp.ERR_FATAL) == 3
        writer.close()
        await serves(a)

    run(body())


def test_peer_that_refuses() -> None:
    """A peer that answers the handshake with ERR_FATAL ends the connecting side in a LinkError."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frame = await reader.readexactly(66)
        theirs = decode_ctl(decode_flit(frame[2:], "L64").payload).epoch
        writer.write(framed_hello(epoch=77, peer=theirs))
        writer.write(ctl_flit(CtlOp.ERR_FATAL, 77, theirs, error=ErrorCode.CFG))
        await reader.read()
        writer.close()

    async def body() -> None:
        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        b = await calling(device(2), f"tcp://:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(LinkError, match="ERR_FATAL"):
            await b.end()
        server.close()

    run(body())


def test_firehose_cannot_starve_the_timers() -> None:
    """Under a flood the timers run after every FRAMES_PER_TURN frames, and the inbox stays bounded."""

    async def body() -> None:
        a = await listening(device(1, 0, 1, tu_exp=FAST))
        most = {"frames": 0, "inbox": 0}
        count = 0
        node = a.device.node
        receive, tick = node.receive, node.tick

        def received(*args: Any) -> None:
            nonlocal count
            count += 1
            connection = a.link.connection
            most["inbox"] = max(most["inbox"], connection.backlog if connection else 0)
            receive(*args)

        def ticked(now: int) -> None:
            nonlocal count
            most["frames"], count = max(most["frames"], count), 0
            tick(now)

        node.receive, node.tick = received, ticked  # type: ignore[method-assign,assignment]
        _, writer = await dial(a.uri)
        writer.write((b"\x40\x00" + bytes(64)) * 20000)
        await writer.drain()
        writer.write_eof()
        await until(lambda: a.link.connections == 1 and a.link.connection is None)
        assert most["frames"] == FRAMES_PER_TURN
        assert 0 < most["inbox"] <= INBOX_BYTES + 256 * 1024
        await a.kill()
        writer.close()

    run(body())


@pytest.mark.parametrize("speech", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_somebody_else_is_there(speech: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A server that is silent, or speaks something else, ends the connecting side in PeerUnreachable."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(speech)
        await reader.read()
        writer.close()

    async def body() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        b = await calling(device(2, tu_exp=14), f"tcp://:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(PeerUnreachable, match="connected, but"):
            await b.end()
        server.close()

    run(body())
    # It is turned away again and again: the log names it once, and counts the rest.
    assert sum("127.0.0.1" in line.partition("ended")[2] for line in warnings_of(caplog)) <= 1


class HandClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def test_strangers_by_turns_fill_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """Strangers of two kinds by turns: a line of each kind a second, which counts and names no caller."""
    calls, clock = 40, HandClock()

    async def body() -> None:
        a = await listening(device(1), clock=clock)
        ports = set()
        for second in range(2):
            clock.now = second * 1_000_000_000
            for call in range(calls):
                served = a.link.connections
                _, writer = await dial(a.uri)
                ports.add(writer.get_extra_info("sockname")[1])
                writer.write(b"\xff\xff" if call % 2 else b"")
                await until(lambda served=served: a.link.connections > served)  # type: ignore[misc]
                writer.write_eof()
                await until(lambda: a.link.connection is None)
                writer.close()
        clock.now += 1_000_000_000
        await serves(a)
        lines = warnings_of(caplog)
        assert len(lines) <= 2 * 3, "a line of each kind a second"
        more = [int(found[1]) for line in lines if (found := re.search(r"\((\d+) more\)", line))]
        assert sum(more) == 2 * calls - 2, "no caller is left out of the count"
        assert sum(f":{port}" in line for line in lines for port in ports) <= 2, "only the first has a port"

    run(body())


def test_strangers_that_are_refused_fill_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """Sessions that are refused are a line a second, whoever asks for them."""
    clock = HandClock()

    async def body() -> None:
        a = await listening(device(1), clock=clock)
        for epoch in range(1, 30):
            served = a.link.connections
            _, writer = await dial(a.uri)
            writer.write(framed_hello(epoch=epoch, min_major=9, max_major=9))
            await until(lambda served=served: a.link.connections > served)  # type: ignore[misc]
            await until(lambda: a.link.connection is None or bool(a.link.connection.ended))
            writer.close()
        await until(lambda: a.link.connection is None)
        assert len(warnings_of(caplog)) <= 2
        await a.kill()

    run(body())


def test_an_exception_of_the_loop_is_a_traceback_unless_descriptors_are_used_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Failed calls of accept() are a line a second; what nobody foresaw keeps its traceback."""
    clock = HandClock()

    async def body() -> None:
        a = await listening(device(1), clock=clock)
        loop = asyncio.get_running_loop()
        for _ in range(1000):
            loop.call_exception_handler(
                {"message": "socket.accept()", "exception": OSError(errno.EMFILE, "Too many open files")}
            )
        clock.now += 1_000_000_000
        loop.call_exception_handler({"message": "x", "exception": OSError(errno.ENFILE, "Table overflow")})
        await until(lambda: len(warnings_of(caplog)) == 3)
        loop.call_exception_handler({"message": "x", "exception": KeyError("x")})
        await a.kill()

    run(body())
    assert [record.name for record in caplog.records] == ["hsl.session"] * 3 + ["asyncio"]
    assert warnings_of(caplog)[0] == "no connection can be accepted: Too many open files"
    assert "no connection can be accepted: Too many open files (999 more)" in warnings_of(caplog)


# More than there are descriptors. asyncio takes a few of those that wait a second; the honest caller waits
# behind them.
CALLERS = 12


def test_a_listener_without_descriptors_serves_when_there_are_some_again() -> None:
    """More callers than descriptors: the log has a few lines, no traceback; then the next peer is served."""

    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (10, 10))

    command = [sys.executable, "-m", "tests.support.peer", "listen", "tcp://:0", "10", "10", "20"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, preexec_fn=few, **pipes) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        address = parse_uri(process.stdout.readline().strip())
        try:
            callers = [socket.create_connection((address.host, address.port)) for _ in range(CALLERS)]
            lines = []
            while "accepted" not in (line := process.stderr.readline()):
                lines.append(line)
                assert line, lines
            for caller in callers:
                caller.close()
            run(serves_peer(str(address)))
            lines += process.communicate(timeout=LIMIT_SECONDS)[1].splitlines()
        finally:
            process.kill()
    assert process.returncode == 0, lines
    assert not any("Traceback" in line for line in lines)
    assert len(lines) < 2 * CALLERS, "strangers do not fill the log"


async def serves_peer(uri: str) -> None:
    b = await calling(device(2, 10), uri)
    await b.end()
    assert b.device.got == 10
