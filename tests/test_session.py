"""Sessions: clean runs, faults, and every way to lose a peer."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from hsl._generated.constants import ErrorCode, LinkState
from hsl.errors import ConfigError, PeerLost, PeerUnreachable
from hsl.link.events import LinkDown, StateChanged
from hsl.session import SETTLE_TU, Attachment, Session
from hsl.transport.base import Place, parse_uri
from hsl.transport.faults import FaultInjector, FaultKind, FaultPlan
from hsl.transport.loopback import Loopback, Wire
from tests.support.held_port import LOCALHOST, hold_port, port_of
from tests.support.ports import PortDevice, port_config
from tests.support.sessions import (
    FAST,
    LIMIT_SECONDS,
    Running,
    Unhurried,
    calling,
    check_balance,
    device,
    listening,
    run,
    until,
)

ROOT = Path(__file__).parents[1]
SCHEMES = ["tcp", "unix"]
SLOW = 22  # TU = 2^22 ns: a machine that stalls for a quarter of a second is no reason for a replay
SLOWER = 24  # where a relay that passes bytes one by one is part of the round trip
ENDLESS = 10**9  # messages that a test never waits for
# T_STATE of 2.1 s ends these tests soon. T_REPLAY is 34 ms then, and a loaded machine may take longer for
# a whole window: with a small one the link is lost by the silence of the peer, not by replays without an end.
BUSY = {"tu_exp": 19, "window": 8}


def uri_of(scheme: str, folder: Path) -> str:
    return "tcp://127.0.0.1:0" if scheme == "tcp" else f"unix://{folder}/link"


# ---- runs that end well


@pytest.mark.parametrize("scheme", SCHEMES)
def test_ten_clean_runs(scheme: str, tmp_path: Path) -> None:
    """Ten seeds without faults: 0 replays, 0 recoveries, 0 stale, 0 CRC errors; both sides count alike."""

    async def pair(seed: int) -> None:
        amount = random.Random(seed).randrange(400)
        clock = Unhurried()
        a = await listening(device(1, amount), uri_of(scheme, tmp_path), seed=seed, clock=clock)
        b = await calling(device(2, amount), a.uri, seed=seed, clock=clock)
        await until(lambda: all(each.resting or each.task.done() for each in (a, b)))
        assert [each.counters.recoveries for each in (a, b)] == [0, 0], seed
        clock.hurry()
        for one, other in ((await a.end(), await b.end()), (b, a)):
            check_balance(one, other, f"seed {seed}")
            found = one.counters
            assert (found.replays, found.stale, found.crc_errors) == (0, 0, 0), seed
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
        a = await listening(device(1, 400, tu_exp=SLOW), uri_of(scheme, tmp_path), faults=plan, seed=3)
        b = await calling(device(2, 400, tu_exp=SLOW), a.uri, faults=plan, seed=4)
        await asyncio.gather(a.end(), b.end())
        check_balance(a, b, f"{faults}, seeds 3 and 4")
        check_balance(b, a, f"{faults}, seeds 3 and 4")
        injected = sum(one.link.injector.count(*FaultKind) for one in (a, b))
        assert injected > 0
        if "delay" not in faults:
            assert a.counters.replays + b.counters.replays + a.counters.prot_duplicate > 0

    run(body())


def test_each_end_draws_the_faults_that_it_draws_on_the_loopback() -> None:
    """With one seed each end hits the flits of the same numbers on every transport, and never the other's."""
    wire = Wire(Place(0, 0, 0), Place(1, 0, 0))
    lanes = Loopback([device(1, 0), device(2, 0)], [wire], seed=7).lanes
    draws = []
    for number in (0, 1):
        attachment = Attachment(uri="tcp://127.0.0.1:0", listen=True, device=number)
        (end,) = Session(device(number + 1, 0), [attachment], seed=7).ends.values()
        draws.append(end.link.injector.rng.random())
        assert draws[-1] == lanes[Place(number, 0, 0)].injector.rng.random()
    assert draws[0] != draws[1]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_truncated_flit_costs_the_connection_only(scheme: str, tmp_path: Path) -> None:
    """A truncated flit is a framing error on a stream: a new connection is made, RECOVERY saves the rest."""

    async def body() -> None:
        a = await listening(device(1, 1000, tu_exp=SLOW), uri_of(scheme, tmp_path))
        b = await calling(device(2, 1000, tu_exp=SLOW), a.uri)
        # Not before both are ACTIVE: until then PAL_DOWN ends the handshake (row 10) instead of RECOVERY.
        await until(lambda: a.device.got > 100)
        b.link.injector = FaultInjector(FaultPlan.parse("truncate@PROT:x2"), random.Random(1))
        await asyncio.gather(a.end(), b.end())
        assert a.device.port.messages_received == b.device.port.messages_sent
        assert b.device.port.messages_received == a.device.port.messages_sent
        assert a.link.framing_errors in (1, 2)  # both may go out before the first is noticed
        assert a.counters.errors[ErrorCode.FRAMING] == a.link.framing_errors
        assert b.link.connections == a.link.connections == a.link.framing_errors + 1
        assert a.counters.recoveries > 0 < b.counters.recoveries
        assert not [event for event in a.events + b.events if isinstance(event, LinkDown)][2:]

    run(body())


@pytest.mark.parametrize("piece", [1, 7, 5000])
def test_pieces_of_any_size(piece: int) -> None:
    """Pieces of one byte, or of many flits at once, change nothing."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):  # the session that ends first closes its side of both
            await pieces_of(reader, writer)

    async def pieces_of(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            if piece > len(data):
                await asyncio.sleep(0.002)  # let more flits come together
            for at in range(0, len(data), piece):
                writer.write(data[at : at + piece])
                await asyncio.sleep(0)
        writer.close()

    async def body() -> None:
        a = await listening(device(1, 10, tu_exp=SLOWER))
        host, port = parse_uri(a.uri).host, parse_uri(a.uri).port
        pumps: list[asyncio.Task[None]] = []

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            onward = await asyncio.open_connection(host, port)
            pumps.extend(
                asyncio.create_task(pass_on(*ends)) for ends in ((reader, onward[1]), (onward[0], writer))
            )

        server = await asyncio.start_server(relay, "127.0.0.1", 0)
        b = await calling(device(2, 10, tu_exp=SLOWER), f"tcp://:{server.sockets[0].getsockname()[1]}")
        await asyncio.gather(a.end(), b.end())
        await asyncio.gather(*pumps)
        server.close()
        check_balance(a, b, "through the relay")
        check_balance(b, a, "through the relay")
        assert (a.counters.crc_errors, b.counters.crc_errors) == (0, 0)

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
        with process("listen", uri_of(scheme, tmp_path), 19) as (child, uri):
            await lose(await calling(device(7, ENDLESS, **BUSY), uri), child, how)

    run(body())


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_connecting_process_dies(how: signal.Signals, scheme: str, tmp_path: Path) -> None:
    """A listening side whose program has started ends in PeerLost too when the peer is killed or stopped."""

    async def body() -> None:
        mine = await listening(device(7, ENDLESS, **BUSY), uri_of(scheme, tmp_path))
        with process("connect", mine.uri, 19) as (child, _):
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


def test_cancelled_while_it_closes(tmp_path: Path) -> None:
    """A session that is cancelled just as it begins to close still removes its socket file."""

    async def body() -> None:
        a = await listening(device(1), uri_of("unix", tmp_path))
        a.task.cancel()
        await asyncio.sleep(0)
        a.task.cancel()
        await asyncio.wait([a.task])
        assert a.task.cancelled()

    run(body())
    assert list(tmp_path.iterdir()) == []


def test_the_loop_is_given_back() -> None:
    """A session that has ended leaves the exception handler of its event loop to the owner of the loop."""

    async def body() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(print)
        a = await listening(device(1))
        b = await calling(device(2), a.uri)
        assert loop.get_exception_handler() is not print
        await b.end()
        await a.end()
        assert loop.get_exception_handler() != b.session._complain
        a = await listening(device(1))
        await a.kill()

    run(body())


@pytest.mark.parametrize("wait", [0, 0.2])
def test_nobody_there(wait: float, tmp_path: Path) -> None:
    """A closed port, a missing socket file or an unknown host ends in PeerUnreachable after `wait`."""

    async def body() -> None:
        with hold_port() as held:
            closed = f"tcp://{LOCALHOST}:{port_of(held)}"
            for uri in (closed, f"unix://{tmp_path}/none", "tcp://name.invalid:1"):
                b = await calling(device(2), uri, wait=wait)
                with pytest.raises(PeerUnreachable, match="nobody answers"):
                    await b.end()

    run(body())


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
        ([Attachment(uri="shm://127.0.0.1:9")], "expected"),
        ([Attachment(uri="tcp://127.0.0.1:0")], "port 0"),
        ([Attachment(uri="tcp://:1"), Attachment(uri="tcp://:2")], "two attachments"),
        ([Attachment(uri="tcp://:1", port=1)], "1 ports"),
    ],
)
def test_attachment_that_cannot_be(attachments: list[Attachment], text: str) -> None:
    """An attachment that no session can have is a ConfigError before anything is opened."""
    with pytest.raises(ConfigError, match=text):
        Session(device(1), attachments)


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
