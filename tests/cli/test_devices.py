"""Devices of one CPU as processes: eight of them, shared work, a loss, a return (HSL 5.15)."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import pytest

from tests.cli.test_demo import validate
from tests.cli.test_node import TIMEOUT, address, node

ROOT = Path(__file__).parents[2]
ADMITTED = r"port (\d): (\w+) admitted: NIDs (\d+)\.\.\d+, \d+ agents; \w+ (\d+) KiB at 0x([0-9a-f]+)"


def lines_until(stream: IO[str] | None, pattern: str, times: int = 1) -> list[re.Match[str]]:
    """Read lines until so many have matched; the matches."""
    assert stream is not None
    found: list[re.Match[str]] = []
    for line in stream:
        found += filter(None, [re.match(pattern, line)])
        if len(found) == times:
            return found
    raise AssertionError(f"the stream ended with {len(found)} of {times} lines like {pattern}")


def listening(cpu: subprocess.Popen[str], ports: int) -> list[str]:
    """The addresses at which a CPU listens."""
    return [address(cpu) for _ in range(ports)]


def test_eight_devices_of_different_sizes_and_numbers() -> None:
    """All are booted, each with its own memory in the window of its port. HSL A.1, A.2."""
    ports = range(8)
    listen = [word for _ in ports for word in ("--listen", "tcp://127.0.0.1:0")]
    with ExitStack() as stack:
        cpu = stack.enter_context(node("cpu", "--kernel", "none", *listen))
        for port, uri in zip(ports, listening(cpu, 8), strict=True):
            own = ("--nid", str(200 + 20 * port), "--device-bytes", str((1 + port) << 16))
            stack.enter_context(node("memory" if port % 2 else "gpu", "--connect", uri, *own))
        admitted = lines_until(cpu.stderr, ADMITTED, 8)
        assert {(int(m[1]), m[2], int(m[3]), int(m[4]), int(m[5], 16)) for m in admitted} == {
            (port, "MEMORY" if port % 2 else "GPU", 200 + 20 * port, (1 + port) * 64, (1 + port) << 36)
            for port in ports
        }
        cpu.send_signal(signal.SIGTERM)
        assert cpu.wait(timeout=TIMEOUT) == 2


def test_work_is_shared_among_processes_of_different_sizes() -> None:
    """Three GPU processes do an array kernel in their own memory, and numpy agrees to the bit."""
    listen = [word for _ in range(3) for word in ("--listen", "tcp://127.0.0.1:0")]
    with ExitStack() as stack:
        arrays = ("--kernel", "saxpy", "--size", "6144", "--seed", "1")
        cpu = stack.enter_context(node("cpu", *arrays, *listen, "--json"))
        for port, uri in enumerate(listening(cpu, 3)):
            own = ("--nid", str(500 - 30 * port), "--device-bytes", str(1 << 17 << port))
            stack.enter_context(node("gpu", "--connect", uri, *own))
        out, err = cpu.communicate(timeout=TIMEOUT)
        assert cpu.returncode == 0, err
        assert json.loads(out)["checks"] == dict.fromkeys(
            ["interrupts_done", "result", "completions", "interrupts_bye"], True
        )


def test_a_device_is_killed_and_another_comes_in_its_place() -> None:
    """The others go on; what comes back, of another size and with other NIDs, is mapped anew. HSL A.7."""
    listen = [word for _ in range(2) for word in ("--listen", "tcp://127.0.0.1:0")]
    with ExitStack() as stack:
        cpu = stack.enter_context(node("cpu", "--kernel", "none", *listen))
        first, second = listening(cpu, 2)
        gpu = stack.enter_context(node("gpu", "--connect", first))
        other = stack.enter_context(node("memory", "--connect", second))
        lines_until(cpu.stderr, ADMITTED, 2)
        gpu.send_signal(signal.SIGKILL)
        gpu.wait()
        own = ("--nid", "300", "--device-bytes", str(1 << 20))
        stack.enter_context(node("gpu", "--connect", first, *own))
        (back,) = lines_until(cpu.stderr, ADMITTED)
        assert (back[1], back[3], back[4]) == ("0", "300", "1024")
        assert (other.poll(), cpu.poll()) == (None, None)
        cpu.send_signal(signal.SIGTERM)
        assert cpu.wait(timeout=TIMEOUT) == 2
        assert other.wait(timeout=TIMEOUT) == 0


def test_a_device_without_what_the_program_needs_is_waited_out(tmp_path: Path) -> None:
    """A memory node cannot count words: the CPU says so and waits; with --once it ends with 4. HSL A.4."""
    path = tmp_path / "input"
    path.write_text("some words to count\n" * 50)
    needs = "the device has no register page"
    for once in ((), ("--once",)):
        with (
            node("cpu", "--input", str(path), "--listen", "tcp://127.0.0.1:0", *once) as cpu,
            node("memory", "--connect", (uri := address(cpu))) as memory,
        ):
            if once:
                _, err = cpu.communicate(timeout=TIMEOUT)
                assert cpu.returncode == 4
                assert needs in err
                continue
            lines_until(cpu.stderr, f"{needs}.*; waiting for another device")
            memory.send_signal(signal.SIGKILL)
            memory.wait()
            with node("gpu", "--connect", uri):
                _, err = cpu.communicate(timeout=TIMEOUT)
                assert cpu.returncode == 0, err


def test_a_time_limit_ends_a_cpu_without_a_program() -> None:
    """Without a device it ends with 7; with one it ends the devices, and itself with 0. HSL A.4."""
    idle = ("cpu", "--kernel", "none", "--listen", "tcp://127.0.0.1:0", "--json")
    with node(*idle, "--time-limit", "0.5") as cpu:
        _, err = cpu.communicate(timeout=TIMEOUT)
        assert cpu.returncode == 7
        assert "no peer has connected within the time limit" in err
    with node(*idle, "--time-limit", "3") as cpu, node("gpu", "--connect", address(cpu)) as gpu:
        out, err = cpu.communicate(timeout=TIMEOUT)
        assert (cpu.returncode, gpu.wait(timeout=TIMEOUT)) == (0, 0), err
        report = json.loads(out)
        validate(report, "node")
        assert report["calls"] == 0


RAW = [sys.executable, str(ROOT / "examples" / "raw_peer.py"), "--nid", "0"]
HSL_NODE = [sys.executable, "-m", "hsl", "node"]
UNBOOTED = {
    "a CPU": (("cpu", "--input", "LICENSE"), RAW, "bring a device that is admitted"),
    "a CPU with one of two": (
        ("cpu", "--kernel", "saxpy", "--listen", "tcp://127.0.0.1:0"),
        [*HSL_NODE, "gpu", "--connect"],
        "bring a device that is admitted",
    ),
    "a device": (("gpu",), [*HSL_NODE, "memory", "--connect"], "make this device READY"),
}


@pytest.mark.parametrize("who", UNBOOTED)
def test_a_time_limit_says_what_is_missing_of_the_boot(who: str) -> None:
    """A CPU waits for a device that it can admit, a device for READY; a link that came up is not enough."""
    mine, peer, missing = UNBOOTED[who]
    with node(*mine, "--listen", "tcp://127.0.0.1:0", "--time-limit", "5") as waiting:
        met = subprocess.Popen(
            [*peer, address(waiting)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            _, err = waiting.communicate(timeout=TIMEOUT)
        finally:
            met.kill()
            met.wait()
        assert waiting.returncode == 7
        assert re.search(rf": the peer did not {missing} \(HSL 5\.15\) within the time limit of 5 s$", err), (
            err
        )
