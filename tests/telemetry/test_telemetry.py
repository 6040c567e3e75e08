"""Telemetry over MQTT: what a broker gets, whatever the broker is, and what a watcher makes of it."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from hsl.errors import ConfigError
from hsl.telemetry import BadMessage, Broker, EmbeddedBroker, Publisher, Watcher, parse_message
from hsl.telemetry.publisher import MAX_QUEUE
from hsl.telemetry.topics import LEAVES, MAX_PAYLOAD, payload, topic
from hsl.telemetry.watcher import MAX_LINKS, MAX_NODES
from tests.cli.test_demo import TEXT, hsl, validate
from tests.cli.test_node import address, node
from tests.support.held_port import LOCALHOST, hold_port, port_of

TIMEOUT = 60
GOOD: dict[str, dict[str, Any]] = {
    "state": {"state": "online"},
    "link": {"now_ns": 1, "port": 0, "link": 0, "state": "ACTIVE", "cause": "x"},
    "counters": {"now_ns": 1, "ports": []},
    "event": {"now_ns": 1, "port": 0, "event": "LinkUp", "text": ""},
}


@pytest.fixture
def text(tmp_path: Path) -> str:
    path = tmp_path / "input.txt"
    path.write_bytes(TEXT)
    return str(path)


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[str]:
    """The URI of a mosquitto on a port of its own."""
    config = tmp_path / "mosquitto.conf"
    path = os.environ["PATH"] + ":/usr/sbin"
    command = ["mosquitto", "-v", "-c", str(config)]
    with hold_port() as held:
        port = port_of(held)
        config.write_text(f"listener {port} {LOCALHOST}\nallow_anonymous true\npersistence false\n")
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={"PATH": path}) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if "running" in line:
                    break
            drain = threading.Thread(target=process.stderr.read)
            drain.start()
            yield f"mqtt://{LOCALHOST}:{port}"
            process.terminate()
            drain.join()


@pytest.fixture
def embedded() -> Iterator[str]:
    with EmbeddedBroker() as broker:
        yield str(broker.address)


@contextmanager
def watching(uri: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A `hsl telemetry watch` process."""
    command = [sys.executable, "-m", "hsl", "telemetry", "watch", uri, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            told = (line for line in process.stderr if not line.startswith("waiting for "))
            assert next(told) == f"watching {uri}\n"
            yield process
        finally:
            process.kill()


def check_watched(uri: str, text: str, links: int = 1) -> None:
    """A watcher sees both nodes of a demo come and go, all links ACTIVE in between, nothing dropped."""
    with watching(uri, "--json") as watcher:
        bond = ("--links", str(links))
        done = hsl("demo", "--json", "--seed", "5", "--input", text, "--telemetry", uri, *bond)
        assert done.returncode == 0, done.stderr
        out, err = watcher.communicate(timeout=TIMEOUT)
    report = json.loads(done.stdout)
    validate(report, "demo")
    assert report["telemetry"]["broker"] == uri
    assert (report["telemetry"]["dropped"], report["telemetry"]["published"] > 10) == (0, True)
    seen = json.loads(out)
    validate(seen, "telemetry")
    assert seen["bad"] == 0
    assert {name.split("/")[1]: each["state"] for name, each in seen["nodes"].items()} == {
        "cpu": "ended",
        "gpu": "ended",
    }
    sent = [link["prot_sent"] for link in report["nodes"]["cpu"]["links"]]
    last = seen["nodes"]["0000000000000005/cpu"]
    assert [link["prot_sent"] for link in last["counters"][0]["links"]] == sent
    assert set(last["links"]) == {f"0.{link}" for link in range(links)}
    assert [f"link {place}   ACTIVE" in err for place in last["links"]] == [True] * links


def test_a_demo_at_an_embedded_broker(embedded: str, text: str) -> None:
    """Both nodes' states, links and last counters reach a watcher at the embedded broker."""
    check_watched(embedded, text)


def test_four_links_are_watched(embedded: str, text: str) -> None:
    """The state and the counters of each link of a bond reach the watcher, over a connection each."""
    check_watched(embedded, text, links=4)


@pytest.mark.tool("mosquitto", apt="mosquitto")
def test_a_demo_at_mosquitto(mosquitto: str, text: str) -> None:
    """The same at a real mosquitto."""
    check_watched(mosquitto, text)


def test_the_demo_starts_a_broker(text: str) -> None:
    """mqtt: starts a broker for the run, on virtual time too, and says where it is."""
    done = hsl("demo", "--json", "--transport", "loopback", "--input", text, "--telemetry", "mqtt:")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    validate(report, "demo")
    assert f"telemetry at {report['telemetry']['broker']}" in done.stderr
    assert report["telemetry"]["published"] > 0


@pytest.mark.tool("mosquitto", apt="mosquitto")
def test_the_last_will_of_a_killed_node(mosquitto: str, text: str) -> None:
    """A node that is killed is shown as lost."""
    options = ("--input", text, "--telemetry", mosquitto, "--seed", "9")
    with watching(mosquitto) as watcher, node("cpu", "--listen", "tcp://:0", *options) as cpu:
        address(cpu)
        assert watcher.stdout is not None
        for line in watcher.stdout:
            if line == "0000000000000009/cpu    state      online\n":
                break
        cpu.send_signal(signal.SIGKILL)
        out, err = watcher.communicate(timeout=TIMEOUT)
    assert (watcher.returncode, "0000000000000009/cpu    state      lost\n" in out) == (0, True), out + err


@contextmanager
def deaf() -> Iterator[str]:
    """A broker that accepts connections and never reads."""
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as stack:
        over = threading.Event()

        def accept() -> None:
            with suppress(OSError):
                while not over.is_set():
                    stack.enter_context(server.accept()[0])

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"mqtt://127.0.0.1:{server.getsockname()[1]}"
        over.set()
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_broker_that_never_reads(text: str) -> None:
    """The demo is verified, every message is counted as dropped, and it ends."""
    with deaf() as uri:
        done = hsl("demo", "--json", "--input", text, "--telemetry", uri, timeout=TIMEOUT)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["verified"]
    assert report["telemetry"]["published"] == 0
    assert report["telemetry"]["dropped"] > 10


def test_no_broker(text: str) -> None:
    """With nobody there the demo goes on, and each node says so once."""
    with hold_port() as held:
        uri = f"mqtt://{LOCALHOST}:{port_of(held)}"
        done = hsl("demo", "--json", "--input", text, "--telemetry", uri)
        assert done.returncode == 0, done.stderr
        for name in ("cpu", "gpu"):
            assert done.stderr.count(f"{name}: hsl: telemetry: no broker at {uri}") == 1
        assert hsl("telemetry", "watch", uri).returncode == 7


def test_a_full_queue_drops_the_oldest() -> None:
    """The queue never grows above MAX_QUEUE; what was put is published or dropped, never both."""
    with deaf() as uri:
        publisher = Publisher(Broker.parse(uri), "run", "node", lambda line: None)
        for _ in range(MAX_QUEUE + 10):
            publisher.put("state", {"state": "online"})
        assert (len(publisher._queue), publisher.dropped) == (MAX_QUEUE, 10)
        publisher.close()
    publisher.put("state", {"state": "online"})
    assert (publisher.published, publisher.dropped) == (0, MAX_QUEUE + 11)


BAD = [
    ("hsl/telemetry/1/r/n/nonsense", b"{}"),
    ("hsl/telemetry/1/r/n/link", payload("link", GOOD["link"])),
    ("hsl/telemetry/1/r/\x1b[2J/state", payload("state", GOOD["state"])),
    ("hsl/telemetry/1/r/n/state", b"\xff\x00"),
    ("hsl/telemetry/1/r/n/state", b"[" * 60000),
    ("hsl/telemetry/1/r/n/state", b" " * (MAX_PAYLOAD + 1)),
    ("hsl/telemetry/1/r/n/state", None),
    ("hsl/telemetry/1/r/n/state", b"[1]"),
    ("hsl/telemetry/1/r/n/state", payload("event", GOOD["event"])),
    ("hsl/telemetry/1/r/n/state", payload("state", {"state": "\x1b[31m"})),
    ("hsl/telemetry/1/r/n/counters", payload("counters", {"now_ns": True, "ports": []})),
    ("hsl/telemetry/1/r/n/event", payload("event", GOOD["event"] | {"text": {}})),
]


@pytest.mark.parametrize(("name", "data"), BAD)
def test_hostile_messages(name: str, data: object) -> None:
    """A message that is none of ours is one printable line and changes nothing."""
    lines: list[str] = []
    watcher = Watcher(lines.append)
    watcher.take(name, data)
    (line,) = lines
    assert line.startswith("bad message: ")
    assert line.isprintable()
    assert (watcher.bad, watcher.nodes) == (1, {})


@pytest.mark.parametrize(
    ("leaf", "line"),
    [
        ("state", "7/cpu                   state      online"),
        ("link", "7/cpu                   link 0.0   DETECT            sw_enable"),
        ("counters", "7/cpu                   counters   at 5 ns"),
        ("event", "7/cpu                   event      LinkUp            b??[31m"),
    ],
)
def test_lines(leaf: str, line: str) -> None:
    """Each message is one line in columns, without quotes, and its texts cannot move the cursor."""
    bodies: dict[str, dict[str, Any]] = {
        "link": {"now_ns": 5, "port": 0, "link": 0, "state": "DETECT", "cause": "sw_enable"},
        "counters": {"now_ns": 5, "ports": []},
        "event": {"now_ns": 5, "port": 0, "event": "LinkUp", "text": "b\n\x1b[31m"},
    }
    lines: list[str] = []
    name = topic("7", "cpu", leaf, *((0, 0) if leaf == "link" else ()))
    Watcher(lines.append).take(name, payload(leaf, bodies.get(leaf, GOOD[leaf])))
    assert lines == [line]


@pytest.mark.parametrize("leaf", LEAVES)
def test_good_messages(leaf: str) -> None:
    """What a publisher makes of a leaf, a watcher reads; without any one field it is refused."""
    name = topic("r", "n", leaf, *((0, 0) if leaf == "link" else ()))
    assert parse_message(name, payload(leaf, GOOD[leaf])).leaf == leaf
    for field in GOOD[leaf]:
        with pytest.raises(BadMessage):
            parse_message(name, payload(leaf, {k: v for k, v in GOOD[leaf].items() if k != field}))


def test_a_watcher_is_bounded() -> None:
    """No broker makes a watcher keep more than MAX_NODES nodes of MAX_LINKS links."""
    watcher = Watcher(lambda line: None)
    for index in range(MAX_NODES + 1):
        watcher.take(topic("r", f"n{index}", "state"), payload("state", GOOD["state"]))
    assert (len(watcher.nodes), watcher.bad) == (MAX_NODES, 1)
    for index in range(MAX_LINKS + 1):
        body = payload("link", GOOD["link"] | {"link": index})
        watcher.take(topic("r", "n0", "link", 0, index), body)
    assert (len(watcher.nodes["r/n0"]["links"]), watcher.bad) == (MAX_LINKS, 2)


@pytest.mark.parametrize(
    "uri", ["http://x", "mqtt://x:y", "mqtt://x:0", "mqtt://u:p@x", "mqtt://x/t", "mqtt://a..b", "x"]
)
def test_bad_uris(uri: str) -> None:
    """What is no broker is a usage error that says what one looks like, and never tells a password."""
    with pytest.raises(ConfigError, match="mqtt://host:port") as caught:
        Broker.parse(uri)
    assert "u:p" not in str(caught.value)


def test_missing_extra(tmp_path: Path) -> None:
    """Without the extra the exit code is 3, with the line that installs it."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['aiomqtt'] = None\n")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "hsl", "telemetry", "watch"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT)
    assert (done.returncode, done.stdout) == (3, "")
    assert "pip install 'hsl-interconnect[mqtt]'" in done.stderr
