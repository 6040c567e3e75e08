"""`hsl telemetry broker` and `watch`: how they begin and how they end."""

import asyncio
import contextlib
import gc
import json
import os
import pty
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result

from hsl.cli import main
from hsl.cli.exits import ExitCode
from hsl.telemetry import Broker, EmbeddedBroker, Publisher
from hsl.telemetry.watcher import told_already
from tests.cli.test_demo import validate


@pytest.fixture
def embedded() -> Iterator[str]:
    with EmbeddedBroker() as broker:
        yield str(broker.address)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["telemetry", *arguments])


def test_broker_ends_by_itself() -> None:
    """A broker prints its address first, on a port that the system picked, and ends when its time is over."""
    result = call("broker", "--port", "0", "--time-limit", "0")
    assert result.exit_code == ExitCode.OK
    assert Broker.parse(result.stdout.strip()).port > 0


def test_broker_as_json() -> None:
    """--json prints the address as one document of its schema."""
    result = call("broker", "--port", "0", "--time-limit", "0", "--json")
    assert result.exit_code == ExitCode.OK
    document = json.loads(result.stdout)
    validate(document, "telemetry.broker")
    assert Broker.parse(document["address"]).port > 0


def test_port_that_is_taken(embedded: str) -> None:
    """A port that another process has is a usage error in one line."""
    result = call("broker", "--port", str(Broker.parse(embedded).port))
    assert result.exit_code == ExitCode.USAGE
    assert embedded in result.stderr
    assert result.stdout == ""


def test_watch_of_nobody(embedded: str) -> None:
    """A watcher that saw no node in its time says so by its status."""
    result = call("watch", embedded, "--time-limit", "0.2", "--json")
    assert result.exit_code == ExitCode.NOTHING
    assert result.stdout == ""
    assert f"no node was seen at {embedded}" in result.stderr


def test_watch_without_a_broker() -> None:
    """A watcher needs a broker that is there, and that is no `mqtt:`."""
    assert call("watch", "mqtt:").exit_code == ExitCode.USAGE
    result = call("watch", "mqtt://127.0.0.1:1", "--time-limit", "5")
    assert result.exit_code == ExitCode.PEER_LOST
    assert "'hsl telemetry broker' starts a broker" in result.stderr


CONNACK = bytes.fromhex("20020000")
RUDE = {
    "no MQTT": [bytes(range(256))],
    "a packet of a reserved type": [CONNACK + bytes.fromhex("f000")],
    "a PUBLISH without a topic": [CONNACK + bytes.fromhex("3000")],
    "a topic that is no UTF-8": [CONNACK + bytes.fromhex("30040002fffe")],
}
REFUSES = [CONNACK, bytes.fromhex("9003000180")]  # SUBACK of packet 1


@pytest.fixture
def rude(request: pytest.FixtureRequest) -> Iterator[str]:
    """A broker that answers what comes with these bytes, one after the other, and then only listens."""
    accepted: list[socket.socket] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            accepted.append(self.request)
            answers = iter(request.param)
            with contextlib.suppress(OSError):
                while self.request.recv(1024):
                    self.request.sendall(next(answers, b""))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"mqtt://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()
        for one in accepted:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("rude", RUDE.values(), ids=RUDE.keys(), indirect=True)
def test_a_watcher_at_a_rude_broker(
    rude: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that breaks the protocol is lost or unreachable: one line, and no traceback."""
    monkeypatch.setattr("hsl.telemetry.watcher.CONNECT_SECONDS", 0.3)
    result = call("watch", rude)
    gc.collect()
    assert result.exit_code == ExitCode.PEER_LOST
    assert [line for line in result.stderr.splitlines() if line.startswith(f"hsl: {rude}: ")]
    assert not [record for record in caplog.records if record.name == "asyncio"]


@pytest.mark.parametrize("rude", [REFUSES], indirect=True)
def test_a_subscription_that_is_refused(rude: str) -> None:
    """A watcher that may not see anything does not wait for it."""
    result = call("watch", rude)
    assert result.exit_code == ExitCode.PEER_LOST
    assert "refuses the subscription" in result.stderr


@pytest.mark.parametrize("rude", RUDE.values(), ids=RUDE.keys(), indirect=True)
def test_a_publisher_at_a_rude_broker(
    rude: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a broker breaks costs a node its messages, which are counted; no traceback is printed."""
    monkeypatch.setattr("hsl.telemetry.publisher.CLOSE_SECONDS", 0.3)
    publisher = Publisher(Broker.parse(rude), "r", "cpu", lambda line: None)
    publisher.put("state", {"state": "online"})
    publisher.close()
    gc.collect()
    assert publisher.published + publisher.dropped == 1
    assert not [record for record in caplog.records if record.name == "asyncio"]


async def reported_by(callback: Callable[..., object], *arguments: object) -> None:
    """Call it in a loop that has the handler of a watcher."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(told_already)
    loop.call_soon_threadsafe(callback, *arguments)
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def test_a_writer_of_a_socket_that_was_closed(caplog: pytest.LogCaptureFixture) -> None:
    """A writer that aiomqtt adds after the socket was closed leaves no traceback."""

    async def late() -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            number = ours.fileno()
        await reported_by(asyncio.get_running_loop().add_writer, number, print)

    asyncio.run(late())
    assert not caplog.records


def test_an_error_of_our_own_callback(caplog: pytest.LogCaptureFixture) -> None:
    """The handler hides only errors that a broken broker leaves behind."""
    asyncio.run(reported_by(int, "x"))
    assert ["ValueError" in str(record.exc_info) for record in caplog.records] == [True]


def publish(uri: str) -> None:
    """A node that comes and stays; what it says is retained."""
    publisher = Publisher(Broker.parse(uri), f"{1:016x}", "cpu", lambda line: None)
    publisher.put("state", {"state": "ended", "verified": True})
    publisher.close()


def test_watch_ends_after_a_count(embedded: str) -> None:
    """--count ends a watcher; what was retained counts."""
    publish(embedded)
    result = call("watch", embedded, "--count", "1", "--json")
    assert result.exit_code == ExitCode.OK
    document = json.loads(result.stdout)
    validate(document, "telemetry")
    assert document["messages"] == 1


def test_watch_on_a_terminal(embedded: str) -> None:
    """On a terminal the nodes are a table."""
    publish(embedded)
    command = [sys.executable, "-m", "hsl", "telemetry", "watch", embedded, "--count", "1"]
    master, slave = pty.openpty()
    with subprocess.Popen(command, stdout=slave, stderr=subprocess.DEVNULL) as process:
        os.close(slave)
        shown = b""
        try:
            while part := os.read(master, 4096):
                shown += part
        except OSError:  # the other end is closed
            pass
        assert process.wait(timeout=60) == ExitCode.OK
    os.close(master)
    assert b"0000000000000001/cpu" in shown
    assert b"ended" in shown
