"""Sessions: clean runs, faults, every way to lose a peer, every kind of garbage, and how each ends."""

import asyncio
import logging
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hsl._generated.constants import MAGIC, VERSION, CtlOp, ErrorCode, LinkState
from hsl.codec.ctl import decode_ctl
from hsl.codec.reference import decode_flit
from hsl.errors import ConfigError, LinkError, PeerLost, PeerUnreachable
from hsl.link.events import LinkDown, LinkUp, StateChanged
from hsl.session import FRAMES_PER_TURN, SETTLE_TU, Attachment, Session
from hsl.transport.base import parse_uri
from hsl.transport.faults import FaultInjector, FaultKind, FaultPlan
from hsl.transport.stream import INBOX_BYTES
from tests.support.ports import PortDevice, port_config
from tests.support.sessions import (
    LIMIT_SECONDS,
    Running,
    calling,
    check_balance,
    ctl_flit,
    device,
    listening,
    run,
    until,
)

ROOT = Path(__file__).parents[1]
SCHEMES = ["tcp", "unix"]
FAST = 16  # TU = 2^16 ns: T_STATE is 0.27 s, so that losses are told soon
SLOW = 22  # TU = 2^22 ns: a machine that stalls for a quarter of a second is no reason for a replay
ENDLESS = 10**9  # messages that a test never waits for


def uri_of(scheme: str, folder: Path) -> str:
    return "tcp://127.0.0.1:0" if scheme == "tcp" else f"unix://{folder}/link"


def warnings_of(log: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in log.records if record.levelno >= logging.WARNING]


# ---- runs that end well


@pytest.mark.parametrize("scheme", SCHEMES)
def test_ten_clean_runs(scheme: str, tmp_path: Path) -> None:
    """Ten seeds without faults: 0 replays, 0 recoveries, 0 stale, 0 CRC errors; both sides count alike."""

    async def pair(seed: int) -> None:
        amount = random.Random(seed).randrange(400)
        a = await listening(device(1, amount, tu_exp=SLOW), uri_of(scheme, tmp_path), seed=seed)
        b = await calling(device(2, amount, tu_exp=SLOW), a.uri, seed=seed)
        for one, other in ((await a.end(), await b.end()), (b, a)):
            check_balance(one, other, f"seed {seed}")
            found = one.counters
            assert (found.replays, found.recoveries, found.stale, found.crc_errors) == (0, 0, 0, 0), seed
            assert one.link.framing_errors == 0, seed

    for seed in range(10):
        run(pair(seed))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    "faults", ["0.03", "crc:0.05", "drop@PROT:0.05", "duplicate:0.05", "delay:0.05:2000000"]
)
def test_faults_are_repaired_and_counted(faults: str, scheme: str, tmp_path: Path) -> None:
    """Under faults in both directions all messages arrive, and the counts of both sides agree to the flit."""

    async def body() -> None:
        plan = FaultPlan.parse(faults)
        a = await listening(device(1, 400), uri_of(scheme, tmp_path), faults=plan, seed=3)
        b = await calling(device(2, 400), a.uri, faults=plan, seed=4)
        await asyncio.gather(a.end(), b.end())
        check_balance(a, b, f"{faults}, seeds 3 and 4")
        check_balance(b, a, f"{faults}, seeds 3 and 4")
        injected = sum(one.link.injector.count(*FaultKind) for one in (a, b))
        assert injected > 0
        if "delay" not in faults:
            assert a.counters.replays + b.counters.replays + a.counters.prot_duplicate > 0

    run(body())


@pytest.mark.parametrize("scheme", SCHEMES)
def test_truncated_flit_costs_the_connection_only(scheme: str, tmp_path: Path) -> None:
    """A truncated flit is a framing error on a stream: a new connection is made, RECOVERY saves the rest."""

    async def body() -> None:
        a = await listening(device(1, 1000), uri_of(scheme, tmp_path))
        b = await calling(device(2, 1000), a.uri)
        # Not before both are ACTIVE: until then PAL_DOWN ends the handshake (row 10) instead of RECOVERY.
        await until(lambda: a.device.got > 100)
        b.link.injector = FaultInjector(FaultPlan.parse("truncate@PROT:x2"), random.Random(1))
        await asyncio.gather(a.end(), b.end())
        assert a.device.port.messages_received == b.device.port.messages_sent
        assert b.device.port.messages_received == a.device.port.messages_sent
        assert a.link.framing_errors in (1, 2)  # both may go out before the first is noticed
        assert b.link.connections == a.link.connections == a.link.framing_errors + 1
        assert a.counters.recoveries > 0 < b.counters.recoveries
        assert not [event for event in a.events + b.events if isinstance(event, LinkDown)][2:]

    run(body())


@pytest.mark.parametrize("piece", [1, 7, 5000])
def test_pieces_of_any_size(piece: int) -> None:
    """Pieces of one byte, or of many flits at once, change nothing."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            if piece > len(data):
                await asyncio.sleep(0.002)  # let more flits come together
            for at in range(0, len(data), piece):
                writer.write(data[at : at + piece])
                await asyncio.sleep(0)
        writer.close()

    async def body() -> None:
        a = await listening(device(1, 60, tu_exp=SLOW))
        host, port = parse_uri(a.uri).host, parse_uri(a.uri).port
        pumps: list[asyncio.Task[None]] = []

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            onward = await asyncio.open_connection(host, port)
            pumps.extend(
                asyncio.create_task(pass_on(*ends)) for ends in ((reader, onward[1]), (onward[0], writer))
            )

        server = await asyncio.start_server(relay, "127.0.0.1", 0)
        b = await calling(device(2, 60, tu_exp=SLOW), f"tcp://:{server.sockets[0].getsockname()[1]}")
        await asyncio.gather(a.end(), b.end())
        await asyncio.gather(*pumps)
        server.close()
        check_balance(a, b, "through the relay")
        check_balance(b, a, "through the relay")
        assert (a.counters.crc_errors, b.counters.crc_errors, a.counters.recoveries) == (0, 0, 0)

    run(body())


def test_end_comes_after_a_quiet_while() -> None:
    """A finished session ends when all was quiet for twice T_REPLAY; noise begins the wait anew."""

    async def body() -> None:
        a = await listening(device(1, 0, 1))
        b = await calling(device(2, 1, 0), a.uri, passive=True)
        await until(lambda: a.device.finished and a.device.port.quiesced)
        session, quiet = a.session, SETTLE_TU << 20
        session._calm_since = None
        ends = []
        for now in (0, quiet - 1):
            session._finish(now)
            ends.append(session._over)
        a.device.expected = 2
        session._finish(quiet)
        a.device.expected = 1
        for now in (quiet + 1, 2 * quiet, 2 * quiet + 1):
            session._finish(now)
            ends.append(session._over)
        assert ends == [False, False, False, False, True]
        session._awake.set()
        await asyncio.gather(a.end(), b.end())

    run(body())


def test_faults_end_with_the_programs() -> None:
    """A session injects faults while its programs run, and none once they are done."""

    async def body() -> None:
        a = await listening(device(1, 50, 50), faults=FaultPlan.parse("drop@CTL:1"))
        b = await calling(device(2, 50, 50), a.uri)
        await until(lambda: a.link.injector.lost > 3)
        a.link.injector.plan = FaultPlan.parse("crc@NOP:1")
        await asyncio.gather(a.end(), b.end())
        assert not a.link.injector.enabled
        check_balance(a, b, "after the programs")

    run(body())


def test_passive_side_waits_for_the_other() -> None:
    """A passive side that has long finished ends when the peer ends the link, and not before."""

    async def body() -> None:
        a = await listening(device(1, 0, 200), passive=True)
        b = await calling(device(2, 200, 0), a.uri)
        await asyncio.gather(a.end(), b.end())
        assert a.device.got == 200
        states = [event.cause for event in a.events if isinstance(event, StateChanged)]
        assert states[-1] == "DISABLE"

    run(body())


def test_connector_waits_for_its_listener(tmp_path: Path) -> None:
    """A connecting side keeps calling for `wait` seconds, so that the two may be started in any order."""

    async def body() -> None:
        uri = uri_of("unix", tmp_path)
        b = await calling(device(2), uri, wait=30)
        await asyncio.sleep(0.2)
        a = await listening(device(1), uri)
        await asyncio.gather(a.end(), b.end())
        assert a.device.got == b.device.got == 100

    run(body())


def test_idle_session_sleeps() -> None:
    """A session with nothing to do does nothing: each turn has a timer or a flit as its reason."""

    async def body() -> None:
        a = await listening(device(1, 1, 2))  # waits for a message that never comes
        b = await calling(device(2, 1), a.uri)
        turns = 0
        turn = a.session._turn

        def counted(now: int) -> bool:
            nonlocal turns
            turns += 1
            return turn(now)

        a.session._turn = counted  # type: ignore[method-assign]
        await until(lambda: b.device.finished)
        await asyncio.sleep(0.5)
        assert turns < 100
        await a.kill()
        await b.kill()

    run(body())


# ---- ends that are no success


@contextmanager
def process(how: str, uri: str, tu: int, count: int = ENDLESS) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A second process that sends `count` messages; it and the address where it listens or calls."""
    command = [sys.executable, "-m", "tests.support.peer", how, uri, str(count), "0", str(tu)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout is not None
            yield child, child.stdout.readline().strip()
        finally:
            child.kill()
            child.communicate()


async def lose(mine: Running, child: subprocess.Popen[str], how: signal.Signals) -> None:
    """Send the signal once the two are talking; the session must end in PeerLost with the reason."""
    await until(lambda: mine.device.got > 100 or mine.task.done())
    os.kill(child.pid, how)
    with pytest.raises(PeerLost, match="T_STATE") as caught:
        await mine.end()
    assert caught.value.code == ErrorCode.LOST


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_listening_process_dies(how: signal.Signals, scheme: str, tmp_path: Path) -> None:
    """A peer process that is killed or stopped in mid-run ends the caller in PeerLost, with the reason."""

    async def body() -> None:
        with process("listen", uri_of(scheme, tmp_path), 18) as (child, uri):
            await lose(await calling(device(7, ENDLESS, tu_exp=18), uri), child, how)

    run(body())


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_connecting_process_dies(how: signal.Signals, scheme: str, tmp_path: Path) -> None:
    """A listening side whose program has started ends in PeerLost too when the peer is killed or stopped."""

    async def body() -> None:
        mine = await listening(device(7, ENDLESS, tu_exp=18), uri_of(scheme, tmp_path))
        with process("connect", mine.uri, 18) as (child, _):
            await lose(mine, child, how)

    run(body())


def test_peer_that_leaves_too_early() -> None:
    """A peer that ends the link in good order before the program is done is lost all the same, at once."""

    async def body() -> None:
        a = await listening(device(1, 10, 0))
        b = await calling(device(2, 0, 20), a.uri)
        await a.end()
        with pytest.raises(PeerLost, match="DISABLE"):
            await b.end()

    run(body())


class Shy(PortDevice):
    """A device whose program begins with the first message, not with the link."""

    started = False

    def advance(self, now: int) -> None:
        super().advance(now)
        self.started = self.got > 0


def test_listener_that_has_not_started_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """A peer that is lost before the program has started is no loss: the listener serves the next one."""

    async def body() -> None:
        a = await listening(Shy(port_config(1, tu_exp=FAST), expected=10))
        lost = await calling(device(2, 0, 1, tu_exp=FAST), a.uri)
        await until(lambda: lost.device.port.up and a.device.port.up)
        await lost.kill()
        await until(lambda: a.device.port.state(0) is LinkState.DEAD)
        b = await calling(device(3, 10, 0, tu_exp=FAST), a.uri)
        await asyncio.gather(a.end(), b.end())
        assert a.device.got == 10

    run(body())


class Broken(PortDevice):
    """A device whose program fails."""

    def advance(self, now: int) -> None:
        super().advance(now)
        if self.got > 5:
            raise ConfigError("the program failed")


def test_failure_of_the_device_reaches_the_caller_and_the_peer() -> None:
    """What the device raises ends the session; its sockets are closed, and the peer is told by DISABLE."""

    async def body() -> None:
        a = await listening(Broken(port_config(1), expected=100))
        b = await calling(device(2, 50, 50), a.uri)
        with pytest.raises(ConfigError, match="the program failed"):
            await a.end()
        with pytest.raises(PeerLost, match="DISABLE"):
            await b.end()

    run(body())


def test_cancelled_session_says_good_bye() -> None:
    """A session that is cancelled, as Ctrl-C does, switches its link off and closes its sockets."""

    async def body() -> None:
        a = await listening(device(1, 10, 20))
        b = await calling(device(2, 10, 20), a.uri)
        await until(lambda: a.device.got == b.device.got == 10)
        a.task.cancel()
        with pytest.raises(PeerLost, match="DISABLE"):
            await b.end()
        await asyncio.wait([a.task])
        assert a.task.cancelled()

    run(body())


@pytest.mark.parametrize("wait", [0, 0.2])
def test_nobody_there(wait: float, tmp_path: Path) -> None:
    """A closed port, a missing socket file or an unknown host ends in PeerUnreachable after `wait`."""

    async def body() -> None:
        a = await listening(device(1))
        closed = a.uri
        await a.kill()
        for uri in (closed, f"unix://{tmp_path}/none", "tcp://name.invalid:1"):
            b = await calling(device(2), uri, wait=wait)
            with pytest.raises(PeerUnreachable, match="nobody answers"):
                await b.end()

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
    assert len(warnings_of(caplog)) <= 1  # it is turned away again and again, and says it once


@pytest.mark.parametrize("scheme", SCHEMES)
def test_address_in_use(scheme: str, tmp_path: Path) -> None:
    """Listening where another session listens is a ConfigError; the other one is not disturbed."""

    async def body() -> None:
        a = await listening(device(1), uri_of(scheme, tmp_path))
        second = await listening(device(3), a.uri)
        with pytest.raises(ConfigError, match="in use"):
            await second.end()
        b = await calling(device(2), a.uri)
        await asyncio.gather(a.end(), b.end())
        assert a.link.connections == 1

    run(body())


@pytest.mark.parametrize(
    ("attachments", "text"),
    [
        ([Attachment(uri="loopback:")], "no sockets"),
        ([Attachment(uri="udp://127.0.0.1:9")], "legal"),
        ([Attachment(uri="tcp://127.0.0.1:0")], "port 0"),
        ([Attachment(uri="tcp://:1"), Attachment(uri="tcp://:2")], "two attachments"),
        ([Attachment(uri="tcp://:1", port=1)], "1 ports"),
    ],
)
def test_attachment_that_cannot_be(attachments: list[Attachment], text: str) -> None:
    """An attachment that no session can have is a ConfigError before anything is opened."""
    with pytest.raises(ConfigError, match=text):
        Session(device(1), attachments)


# ---- peers that are no peers


async def dial(uri: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    address = parse_uri(uri)
    return await asyncio.open_connection(address.host, address.port)


async def serves(a: Running) -> None:
    """The listener must serve a good peer now."""
    b = await calling(device(2), a.uri)
    await asyncio.gather(a.end(), b.end())
    assert a.device.got == b.device.got == 100


def hello(epoch: int = 77, peer: int = 0, magic: bytes = MAGIC, version: tuple[int, int] = VERSION) -> bytes:
    major, minor = version
    limits: dict[str, Any] = {
        f"{end}_{part}": n for end in ("min", "max") for part, n in (("major", major), ("minor", minor))
    }
    return ctl_flit(CtlOp.HELLO, epoch, peer, magic=magic, guid=99, link=0, links=1, **limits)


def garbage(size: int) -> bytes:
    # The first two bytes must be no legal length by chance.
    return b"\xff\xff" + random.Random(11).randbytes(size - 2)


PEERS: dict[str, Callable[[], bytes]] = {
    "a megabyte of noise": lambda: garbage(1 << 20),
    "noise in frames": lambda: b"".join(b"\x40\x00" + random.Random(n).randbytes(64) for n in range(2000)),
    "long frames": lambda: b"".join(b"\x00\x01" + random.Random(n).randbytes(256) for n in range(500)),
    "silence": lambda: b"",
    "one byte": lambda: b"\x40",
    "half a frame": lambda: hello()[:40],
    "HELLO and no more": hello,
    "its own HELLO": lambda: hello() * 50,
    "wrong magic": lambda: hello(magic=b"LSHX"),
    "wrong version": lambda: hello(version=(9, 9)),
    "flood of sessions": lambda: b"".join(hello(epoch=n) for n in range(1, 500)),
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
        old.data_received(hello(1))
        new = a.link._connected()
        new._transport = old._transport  # it is made
        new.data_received(hello(2))
        for _ in range(3):
            a.session._turn(a.session.now)
        assert received == [hello(2)[2:]]
        writer.close()
        a.link.drop()
        await a.kill()

    run(body())


def test_unfinished_frame_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    """A stranger that never completes its frame is cut after 4096 TU, without another one having to come."""

    async def body() -> None:
        a = await listening(device(1, tu_exp=FAST))
        reader, writer = await dial(a.uri)
        writer.write(hello()[:40])
        while await reader.read(4096):
            pass
        writer.close()
        b = await calling(device(2, tu_exp=FAST), a.uri)
        await asyncio.gather(a.end(), b.end())
        assert a.link.framing_errors == 1

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
        writer.write(hello(version=(9, 9)))
        ops = []
        while frame := await reader.read(66):
            ops.append(decode_ctl(decode_flit(frame[2:], "L64").payload).op)
        assert ops == [CtlOp.HELLO] + [CtlOp.ERR_FATAL] * 3
        writer.close()
        await serves(a)

    run(body())


def test_peer_that_refuses() -> None:
    """A peer that answers the handshake with ERR_FATAL ends the connecting side in a LinkError."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frame = await reader.readexactly(66)
        theirs = decode_ctl(decode_flit(frame[2:], "L64").payload).epoch
        writer.write(hello(77, theirs))
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


def test_blocking_run(tmp_path: Path) -> None:
    """`run_blocking` announces the address, runs to the end, and raises what `run` raises."""
    with process("listen", f"unix://{tmp_path}/link", 20, 50) as (_, uri):
        ours = device(7, 0, 50)
        announced: list[str] = []
        session = Session(ours, [Attachment(uri=uri, wait=LIMIT_SECONDS)])
        session.run_blocking(lambda addresses: announced.append(str(addresses[0])))
        assert announced == [uri]
        assert ours.got == 50
    with pytest.raises(PeerUnreachable):
        Session(device(1), [Attachment(uri=uri)]).run_blocking()
