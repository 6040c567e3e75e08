"""`hsl telemetry broker` and `watch`: how they begin and how they end."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from hsl.cli import main
from hsl.cli.exits import ExitCode
from hsl.telemetry import Broker, EmbeddedBroker, Publisher
from tests.cli.test_demo import validate


@pytest.fixture
def embedded() -> Iterator[str]:
    with EmbeddedBroker() as broker:
        yield str(broker.address)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["telemetry", *arguments])


def test_broker_ends_by_itself() -> None:
    """A broker prints its address first, on a port that the system picked, and ends when its time is over."""
    result = call("broker", "--port", "0", "--seconds", "0")
    assert result.exit_code == ExitCode.OK
    assert Broker.parse(result.stdout.strip()).port > 0


def test_port_that_is_taken(embedded: str) -> None:
    """A port that another process has is a usage error in one line."""
    result = call("broker", "--port", str(Broker.parse(embedded).port))
    assert result.exit_code == ExitCode.USAGE
    assert embedded in result.stderr
    assert result.stdout == ""


def test_watch_of_nobody(embedded: str) -> None:
    """A watcher that saw no node in its time says so by its status."""
    result = call("watch", embedded, "--seconds", "0.2", "--json")
    assert result.exit_code == ExitCode.NOTHING
    document = json.loads(result.stdout)
    validate(document, "telemetry")
    assert document["nodes"] == {}


def test_watch_without_a_broker() -> None:
    """A watcher needs a broker that is there, and that is no `mqtt:`."""
    assert call("watch", "mqtt:").exit_code == ExitCode.USAGE
    assert call("watch", "mqtt://127.0.0.1:1", "--seconds", "5").exit_code == ExitCode.PEER_LOST


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
