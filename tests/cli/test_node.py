"""`hsl node`: two processes started by hand, and every way in which one of them may lose the other."""

import json
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hsl.cli import main
from tests.cli.test_demo import TEXT, hsl, validate
from tests.support.held_port import LOCALHOST, hold_port, port_of

TIMEOUT = 60  # no process of these tests may take longer
LOST_WITHIN = 10  # seconds in which a node must notice that its peer is gone


@pytest.fixture
def text(tmp_path: Path) -> str:
    path = tmp_path / "input.txt"
    path.write_bytes(TEXT)
    return str(path)


@contextmanager
def node(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A node process; killed if it is still there at the end."""
    command = [sys.executable, "-m", "hsl", "node", *arguments]
    pipes: dict[str, Any] = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
    }
    process = subprocess.Popen(command, text=True, **pipes)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def address(process: subprocess.Popen[str]) -> str:
    """Where a listening node listens."""
    assert process.stderr is not None
    for line in process.stderr:
        if match := re.fullmatch(r"listening at (.+)\n", line):
            return match[1]
    raise AssertionError("the node never listened")


def host_port(uri: str) -> tuple[str, int]:
    match = re.fullmatch(r"tcp://(.+):(\d+)", uri)
    assert match
    return match[1], int(match[2])


def run_both(cpu: subprocess.Popen[str], *gpu: str) -> None:
    """A GPU that connects to `cpu`; both must end with 0 and the right result."""
    done = hsl("node", "gpu", "--json", *gpu, timeout=TIMEOUT)
    assert done.returncode == 0, done.stderr
    out, err = cpu.communicate(timeout=TIMEOUT)
    assert cpu.returncode == 0, err
    report = json.loads(out)
    for each in (report, json.loads(done.stdout)):
        validate(each, "node")
    assert report["verified"] is True
    assert report["result"]["words"] == len(TEXT.split())
    assert "Traceback" not in err + done.stderr


@pytest.mark.parametrize("transport", ["tcp", "unix"])
def test_two_separate_processes_give_the_result(transport: str, text: str, tmp_path: Path) -> None:
    """A CPU that listens and a GPU that connects, started by hand, share memory and end by themselves."""
    uri = "tcp://127.0.0.1:0" if transport == "tcp" else f"unix://{tmp_path}/link"
    with node("cpu", "--listen", uri, "--input", text, "--json") as cpu:
        run_both(cpu, "--connect", address(cpu))


def test_the_cpu_may_be_the_one_that_connects(text: str) -> None:
    """Who listens and who connects has nothing to do with who is the CPU."""
    with node("gpu", "--listen", "tcp://127.0.0.1:0", "--json") as gpu:
        uri = address(gpu)
        done = hsl("node", "cpu", "--connect", uri, "--input", text, "--json", timeout=TIMEOUT)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["verified"] is True
        gpu.communicate(timeout=TIMEOUT)
        assert gpu.returncode == 0


def test_a_person_sees_tables(text: str) -> None:
    """Without --json each node ends with its verdict and a few lines; -v puts tables before them."""
    with node("cpu", "--listen", "tcp://127.0.0.1:0", "--input", text) as cpu:
        gpu = hsl("node", "gpu", "--connect", address(cpu), "-v", timeout=TIMEOUT).stdout
        lines = cpu.communicate(timeout=TIMEOUT)[0].splitlines()
    assert lines[0].startswith("VERIFIED  cpu: ")
    assert len(lines) <= 8
    assert "wall time of this Python process" in lines[2]
    assert "Messages\n" in gpu
    assert "\nENDED     gpu: " in gpu


def test_a_port_in_use_ends_with_4(text: str) -> None:
    """An address that is taken is an error of usage, in one line."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        uri = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        done = hsl("node", "cpu", "--listen", uri, "--input", text, timeout=TIMEOUT)
    assert done.returncode == 4
    assert uri in done.stderr
    assert "Traceback" not in done.stderr


def test_nobody_there_ends_with_7() -> None:
    """A closed port is called for --wait seconds, then the node ends with 7 and names the address."""
    began = time.monotonic()
    with hold_port() as held:
        uri = f"tcp://{LOCALHOST}:{port_of(held)}"
        done = hsl("node", "gpu", "--connect", uri, "--wait", "1", timeout=TIMEOUT)
    assert done.returncode == 7
    assert uri in done.stderr
    assert time.monotonic() - began >= 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [[], ["--listen", "tcp://127.0.0.1:0", "--connect", "tcp://127.0.0.1:1"]]
)
def test_exactly_one_address(arguments: list[str]) -> None:
    """A node listens or connects."""
    done = hsl("node", "gpu", *arguments, timeout=TIMEOUT)
    assert done.returncode == 4
    assert "--listen" in done.stderr


def test_the_wait_is_a_number() -> None:
    """--wait nan, which no clock ever reaches, is refused."""
    done = hsl("node", "gpu", "--connect", "tcp://127.0.0.1:1", "--wait", "nan", timeout=TIMEOUT)
    assert (done.returncode, "nan" in done.stderr) == (4, True)


@pytest.mark.parametrize("victim", ["cpu", "gpu"])
def test_a_killed_peer_ends_with_7(victim: str, tmp_path: Path) -> None:
    """SIGKILL of one node in mid-run: the other one ends with 7 within ten seconds, in one line."""
    path = tmp_path / "long"
    path.write_bytes(TEXT * 100)
    with (
        node("cpu", "--once", "--listen", "tcp://127.0.0.1:0", "--input", str(path)) as cpu,
        node("gpu", "--connect", address(cpu)) as gpu,
    ):
        assert cpu.stderr is not None
        while not re.fullmatch(r"counted [1-9]\d* of \d+ bytes\n", line := cpu.stderr.readline()):
            assert line, "the CPU ended too early"
        killed, other = (cpu, gpu) if victim == "cpu" else (gpu, cpu)
        killed.send_signal(signal.SIGKILL)
        out, err = other.communicate(timeout=LOST_WITHIN)
        assert other.returncode == 7, out + err
        assert "lost" in err
        assert "Traceback" not in err


@pytest.mark.parametrize("scheme", ["tcp", "unix", "udp"])
@pytest.mark.parametrize("victim", ["cpu", "gpu"])
def test_an_interrupted_node_says_good_bye(victim: str, scheme: str, tmp_path: Path) -> None:
    """SIGTERM of a node in mid-run: it sends DISABLE, so its peer need not wait, and removes its socket."""
    path, sock = tmp_path / "long", tmp_path / "link"
    path.write_bytes(TEXT * 100)
    uri = f"unix://{sock}" if scheme == "unix" else f"{scheme}://127.0.0.1:0"
    with (
        node("cpu", "--once", "--listen", uri, "--input", str(path)) as cpu,
        node("gpu", "--connect", address(cpu)) as gpu,
    ):
        assert cpu.stderr is not None
        while not re.fullmatch(r"counted [1-9]\d* of \d+ bytes\n", line := cpu.stderr.readline()):
            assert line, "the CPU ended too early"
        stopped, other = (cpu, gpu) if victim == "cpu" else (gpu, cpu)
        stopped.send_signal(signal.SIGTERM)
        out, err = stopped.communicate(timeout=TIMEOUT)
        assert (stopped.returncode, err.splitlines()[-1]) == (2, "hsl: interrupted by SIGTERM"), err
        out, err = other.communicate(timeout=TIMEOUT)
        assert other.returncode == 7, out + err
        assert "the peer is lost: DISABLE" in err
    assert not sock.exists()


def test_garbage_is_survived(text: str) -> None:
    """1 MB of random bytes at a listening node: it says so in a line, lives on, and serves the next peer."""
    noise = random.Random(1).randbytes(1 << 20)
    with node("cpu", "--listen", "tcp://127.0.0.1:0", "--input", text, "--json") as cpu:
        uri = address(cpu)
        with (
            socket.create_connection(host_port(uri), timeout=TIMEOUT) as vandal,
            suppress(BrokenPipeError, ConnectionResetError),
        ):  # the node hangs up before it has read all of it
            vandal.sendall(noise)
        run_both(cpu, "--connect", uri)


def test_framed_garbage_is_survived(text: str) -> None:
    """Random bytes in frames of a legal length are damaged flits: counted, and the next peer is served."""
    rng = random.Random(2)
    noise = b"".join((64).to_bytes(2, "little") + rng.randbytes(64) for _ in range(5000))
    with node("cpu", "--listen", "tcp://127.0.0.1:0", "--input", text, "--json") as cpu:
        uri = address(cpu)
        with socket.create_connection(host_port(uri), timeout=TIMEOUT) as vandal:
            vandal.sendall(noise)
        run_both(cpu, "--connect", uri)


def test_memory_node_serves_both_others() -> None:
    """Three processes: data in a node of its own are computed on by the GPU, and the result is exact."""
    arrays = ("--kernel", "matmul", "--size", "32", "--home", "memory", "--seed", "3")
    uri = "tcp://127.0.0.1:0"
    with node("cpu", "--listen", uri, "--listen", uri, *arrays, "--json") as cpu:
        to_gpu, to_memory = address(cpu), address(cpu)
        with node("memory", "--connect", to_memory, "--json") as memory:
            done = hsl("node", "gpu", "--json", "--connect", to_gpu, timeout=TIMEOUT)
            assert done.returncode == 0, done.stderr
            reports = [json.loads(process.communicate(timeout=TIMEOUT)[0]) for process in (cpu, memory)]
            assert (cpu.returncode, memory.returncode) == (0, 0)
    for report in reports:
        validate(report, "node")
        assert report["verified"] is True
    assert reports[0]["checks"]["result"] is True
    received = {"MemRd", "MemWr", "CfgRead", "CfgWrite", "CmpData"}
    assert reports[1]["messages"]["received"].keys() == received


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--kernel", "wordcount"), "give --input"),
        (("--kernel", "saxpy", "--home", "memory"), "--home memory needs two addresses"),
        (("--kernel", "wordcount", "--input", "README.md", "--size", "5"), "--size needs --kernel"),
    ],
)
def test_what_a_cpu_has_no_use_for(arguments: tuple[str, ...], text: str) -> None:
    """A kernel without what it needs, or with what it has no use for, is an error of usage."""
    done = hsl("node", "cpu", "--listen", "tcp://127.0.0.1:0", *arguments, timeout=TIMEOUT)
    assert done.returncode == 4
    assert text in done.stderr


@pytest.mark.parametrize(
    ("arguments", "waits"),
    [
        (("gpu", "--connect", "unix:///nonexistent", "--wait", "0"), "the cpu at unix:///nonexistent"),
        (("gpu", "--listen", "tcp://127.0.0.1:0", "--time-limit", "0"), "the cpu to connect"),
        (
            ("cpu", "--input", "LICENSE", "--listen", "tcp://127.0.0.1:0", "--time-limit", "0"),
            "the gpu to connect",
        ),
        (("memory", "--listen", "tcp://127.0.0.1:0", "--time-limit", "0"), "the cpu to connect"),
    ],
)
def test_a_node_says_for_whom_it_waits(arguments: tuple[str, ...], waits: str) -> None:
    """The progress of a node that has no peer yet names the peer, and where it is if the node connects."""
    done = CliRunner().invoke(main, ["node", *arguments], env={"HSL_PROGRESS": "lines"})
    assert done.exit_code == 7
    assert f"waiting for {waits}\n" in done.stderr
