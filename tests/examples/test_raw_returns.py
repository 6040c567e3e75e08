"""The raw device as a process that is killed, comes back, and is admitted again by `hsl node cpu` (A.7)."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.attacks.nodes import Node, wait
from tests.examples.test_raw_device import TEXT

ROOT = Path(__file__).parents[2]
LONGEST = 60.0  # seconds that nothing here comes near
LISTEN = ("--listen", "tcp://127.0.0.1:0")
BUSY_SECONDS = 1.0  # in which a device that exercises owns lines
ENDS = {"memory": 0, "gpu": 7}  # exit codes when the CPU is interrupted: a GPU waits for EXIT
WIRE = pytest.mark.parametrize("options", [(), ("--damage", "0.01")], ids=["clean", "damage"])


@contextmanager
def node(log: Path, *arguments: str) -> Iterator[Node]:
    """A node of `hsl`, ended in any case."""
    made = Node(log, *arguments, lines=True)
    try:
        yield made
    finally:
        made.kill()


@contextmanager
def raw_device(uri: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The raw device as a process, ended in any case."""
    command = [sys.executable, str(ROOT / "examples" / "raw_peer.py"), uri, *options]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def admitted(cpu: Node, port: int) -> int:
    """How often the CPU has said that it admitted the device at a port."""
    return len(re.findall(rf"^port {port}: \w+ admitted: ", cpu.errors(), re.MULTILINE))


@WIRE
def test_killed_in_mid_job(options: tuple[str, ...], tmp_path: Path) -> None:
    """SIGKILL in mid-job: the device comes back, is admitted again, and does the job from its beginning."""
    (tmp_path / "input").write_bytes(TEXT * 120)
    part = re.compile(rf"^counted [1-9]\d* of {len(TEXT) * 120} bytes$", re.MULTILINE)
    with node(tmp_path / "cpu.err", "cpu", *LISTEN, "--input", "input") as cpu:
        (uri,) = cpu.uris()
        with raw_device(uri, *options) as device:
            assert wait(lambda: part.search(cpu.errors()), LONGEST), cpu.errors()
            device.send_signal(signal.SIGKILL)
            device.communicate(timeout=LONGEST)
        assert "VERIFIED" not in cpu.output(), "the kill came too late"
        with raw_device(uri, *options) as device:
            out, err = device.communicate(timeout=LONGEST)
            assert (device.returncode, err) == (0, ""), out + cpu.errors()
            assert re.match(r"1 job, 46 chunks", out), out
        assert cpu.ended(LONGEST) == 0, cpu.errors()
        assert cpu.output().startswith("VERIFIED  cpu: "), cpu.output()
        assert admitted(cpu, 0) == 2, cpu.errors()


@WIRE
@pytest.mark.parametrize("other", ["memory", "gpu"])
def test_killed_beside_another(other: str, options: tuple[str, ...], tmp_path: Path) -> None:
    """A device that exercises is killed and comes back; another one at the next port is served throughout."""
    limits = ("--kernel", "none", "--time-limit", "300")
    with node(tmp_path / "cpu.err", "cpu", *LISTEN, *LISTEN, *limits) as cpu:
        uri, second = cpu.uris(2)
        with node(tmp_path / "other.err", other, "--connect", second, "--json") as served:
            assert wait(lambda: admitted(cpu, 1), LONGEST), cpu.errors()
            with raw_device(uri, "--exercise", *options) as device:
                assert wait(lambda: admitted(cpu, 0), LONGEST), cpu.errors()
                with pytest.raises(subprocess.TimeoutExpired):
                    device.wait(BUSY_SECONDS)
                device.send_signal(signal.SIGKILL)
                device.communicate(timeout=LONGEST)
            with raw_device(uri, "--exercise", "--seconds", "1.5", *options) as device:
                out, err = device.communicate(timeout=LONGEST)
            assert (device.returncode, err) == (0, ""), out + cpu.errors()
            assert re.search(r", [1-9]\d* lines compared, 0 wrong$", out), out
            assert (admitted(cpu, 0), admitted(cpu, 1)) == (2, 1), cpu.errors()
            assert (cpu.code, served.code) == (None, None), cpu.errors() + served.errors()
            cpu.signal(signal.SIGTERM)
            assert cpu.ended(LONGEST) == 2, cpu.errors()
            assert served.ended(LONGEST) == ENDS[other], served.errors()
            assert "Traceback" not in cpu.errors() + served.errors()
        if other == "memory":
            assert json.loads(served.output())["messages"]["received"]["MemWr"] > 0, "it was used"


def test_an_interrupt_ends_it_in_a_line(tmp_path: Path) -> None:
    """SIGINT: what was done in a line, status 1, no traceback; the CPU is told by DISABLE."""
    with node(tmp_path / "cpu.err", "cpu", *LISTEN, "--kernel", "none") as cpu:
        (uri,) = cpu.uris()
        with raw_device(uri) as device:
            assert wait(lambda: admitted(cpu, 0) == 1, LONGEST), cpu.errors()
            device.send_signal(signal.SIGINT)
            out, err = device.communicate(timeout=LONGEST)
        assert (device.returncode, err) == (1, "")
        assert out.splitlines() == ["interrupted", "0 jobs, 0 chunks"]
        assert wait(lambda: "the peer is lost: DISABLE" in cpu.errors(), LONGEST), cpu.errors()
