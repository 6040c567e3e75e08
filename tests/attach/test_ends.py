"""hsl.attach: ways not to be attached, and ways to end."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import hsl
from tests.attach.cpus import FAST, Cpu, cpu_process
from tests.cli.test_node import node
from tests.support.held_port import LOCALHOST, hold_port, port_of

ROOT = Path(__file__).parents[2]
SECONDS = 60  # that only a failure takes
LINES = 64 * np.arange(20_000)


@pytest.fixture
def cpu() -> Iterator[Cpu]:
    """A CPU whose links tell a loss after a second."""
    with cpu_process("--tu", str(FAST)) as found:
        yield found


def under_way(gpu: hsl.AttachedDevice) -> None:
    """Wait until accesses of a call of another thread have ended, and others are open."""
    device = gpu._core.device
    while not any(batch.open and len(batch.results) > batch.open for batch in list(device._batches)):
        gpu.fence()


def in_thread(call: Callable[[], object]) -> tuple[threading.Thread, list[BaseException]]:
    """Make a call in a thread; its exception will be in the list."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, raised


# ---- not attached


def test_nobody_there() -> None:
    """An address at which nobody listens is PeerUnreachable after `wait` seconds."""
    with (
        hold_port() as held,
        pytest.raises(hsl.PeerUnreachable, match=f"{port_of(held)}: Connection refused"),
    ):
        hsl.attach(f"tcp://{LOCALHOST}:{port_of(held)}", wait=0.2)


def test_nobody_calls(tmp_path: Path) -> None:
    """A device that listens in vain is PeerUnreachable after `wait` seconds."""
    with pytest.raises(hsl.PeerUnreachable, match=r"no CPU has connected to unix:///.* within 0\.2 s"):
        hsl.attach(f"unix://{tmp_path}/link", listen=True, wait=0.2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("listen", [False, True])
def test_somebody_who_is_no_link(listen: bool) -> None:
    """A peer that never speaks is PeerUnreachable when the handshake has had its time."""
    with hold_port() as held:
        uri = f"tcp://{LOCALHOST}:{port_of(held)}"
        if listen:
            where = (LOCALHOST, port_of(held))
            calls = threading.Timer(0.2, lambda: silent.append(socket.create_connection(where)))
            silent: list[socket.socket] = []
            calls.start()
        else:
            held.listen()
        with pytest.raises(hsl.PeerUnreachable, match="nobody there brings the link up"):
            hsl.attach(uri, tu=FAST, listen=listen, wait=1)
        if listen:
            calls.join()
            silent[0].close()


def test_a_peer_that_boots_nobody(tmp_path: Path) -> None:
    """A peer that brings the link up and never writes READY is PeerUnreachable."""
    uri = f"unix://{tmp_path}/link"
    with node("memory", "--listen", uri, "--tu", str(FAST)) as peer:
        assert peer.stderr is not None
        while "listening" not in peer.stderr.readline():
            pass
        with pytest.raises(hsl.PeerUnreachable, match=r"has not made this device READY within 2\.15 s"):
            hsl.attach(uri, tu=FAST)


def test_turned_away(cpu: Cpu) -> None:
    """A device with the NIDs of the CPU is turned away with the code of its ERR_FATAL; others are welcome."""
    with pytest.raises(hsl.LinkError, match=r"code 10 \(CFG\), before the device was READY") as caught:
        hsl.attach(cpu.uri, nid=0)
    assert caught.value.code == hsl.ErrorCode.CFG
    with hsl.attach(cpu.uri) as gpu:
        assert gpu.load(0) == bytes(8)


def test_another_device_later(cpu: Cpu) -> None:
    """A device with other NIDs and memory may be attached at the port of one that has gone."""
    with hsl.attach(cpu.uri) as gpu:
        gpu.store(0x40, b"first")
    with hsl.attach(cpu.uri, nid=64, memory_bytes=1 << 20) as gpu:
        assert gpu.nid == 64
        assert gpu.memory == hsl.MemoryRange(1 << 36, 1 << 20)
        assert gpu.load(0x40, 5) == b"first"


KILLED = """
import os, signal, sys, hsl
gpu = hsl.attach(sys.argv[1], tu=int(sys.argv[2]))
gpu.store(0x4000, b"dirty")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_script_that_was_killed_comes_back(cpu: Cpu) -> None:
    """It waits until the CPU has given up the former one, which may be alive. HSL 6.2 F4."""
    subprocess.run([sys.executable, "-c", KILLED, cpu.uri, str(FAST)], cwd=ROOT, check=False)
    with hsl.attach(cpu.uri, tu=FAST) as gpu, pytest.raises(hsl.TransactionError) as caught:
        gpu.load(0x4000)
    assert caught.value.code == hsl.Err.DATA


def test_two_scripts_at_one_port(cpu: Cpu) -> None:
    """The second is another device: the first never reads what the second has changed. [HSL-RAS-009]."""
    with hsl.attach(cpu.uri, tu=FAST) as first:
        first.store(0x40, b"old data")
        first.flush(0x40)
        assert first.load(0x40, 8) == b"old data"
        with hsl.attach(cpu.uri, tu=FAST) as second:
            second.store(0x40, b"new data" * 8)  # whole: that of the first is lost
            second.flush(0x40)
            with pytest.raises(hsl.PeerLost):
                first.load(0x40, 8)
            assert second.load(0x40, 8) == b"new data"


def test_without_memory(cpu: Cpu) -> None:
    """A device may have no memory of its own."""
    with hsl.attach(cpu.uri, memory_bytes=0) as gpu:
        assert gpu.memory is None
        assert list(gpu.memory_map) == ["hostmem"]
        gpu.store(0x40, b"x")


def test_the_cpu_may_call(tmp_path: Path) -> None:
    """A device that listens is booted by a CPU that connects."""
    uri = f"unix://{tmp_path}/link"
    with (
        node("cpu", "--connect", uri, "--kernel", "none", "--wait", "60"),
        hsl.attach(uri, listen=True, wait=SECONDS) as gpu,
    ):
        assert gpu.load(0x40) == bytes(8)


def test_two_devices() -> None:
    """Two devices at two ports of a CPU share its memory, and each has interrupts of its own."""
    with (
        cpu_process(ports=2) as cpu,
        hsl.attach(cpu.uris[0], nid=16, memory_bytes=1 << 20) as one,
        hsl.attach(cpu.uris[1], nid=32, memory_bytes=2 << 20) as two,
    ):
        assert one.memory_map == {"hostmem": one.host_memory, "device0": one.memory}
        assert two.memory_map == {"hostmem": one.host_memory, "device1": two.memory}
        for _ in range(20):
            one.atomic("add", 0x40, 1)
            two.store(0x48, two.load(0x40))
        assert one.load(0x48, 1) == bytes([20])
        assert two.memory is not None
        with pytest.raises(hsl.AddressError, match="is in no memory"):
            one.load(two.memory.base)  # no node passes the request on
        for number, gpu in enumerate((one, two)):
            gpu.intr(hsl.JobVector.CALL, 100 + number)
            bell = gpu.wait_doorbell(SECONDS)
            assert bell is not None
            assert bell.value == 100 + number


# ---- lost


def test_the_cpu_is_killed(cpu: Cpu) -> None:
    """When the CPU is killed, the call that is under way and all later ones are PeerLost with the reason."""
    with hsl.attach(cpu.uri, tu=FAST) as gpu:
        thread, raised = in_thread(lambda: gpu.load_many(LINES))
        under_way(gpu)
        bell = in_thread(gpu.wait_doorbell)
        cpu.process.kill()
        thread.join(SECONDS)
        bell[0].join(SECONDS)
        assert [type(error) for error in (*raised, *bell[1])] == [hsl.PeerLost] * 2
        assert "the peer is lost" in str(raised[0])
        assert not gpu.ready
        calls: list[Callable[[], object]] = [
            lambda: gpu.load(0),
            lambda: gpu.load_many(LINES),
            lambda: gpu.intr(0),
            gpu.wait_doorbell,
            gpu.fence,
        ]
        for call in calls:
            with pytest.raises(hsl.PeerLost, match="the peer is lost"):
                call()


def test_the_cpu_ends(cpu: Cpu) -> None:
    """A CPU that says good-bye is lost too; a handler of doorbells then ends."""
    with hsl.attach(cpu.uri) as gpu:
        gpu.on_doorbell(print)
        server = gpu._server
        cpu.process.terminate()
        assert server is not None
        server.join(SECONDS)
        with pytest.raises(hsl.PeerLost, match="DISABLE"):
            gpu.load(0)


def test_timeout(cpu: Cpu) -> None:
    """A call that has not ended in `timeout` seconds is a TransactionError; the device can be closed."""
    with hsl.attach(cpu.uri, timeout=0.3) as gpu:
        cpu.process.send_signal(signal.SIGSTOP)
        try:
            words = r"has not ended within 0\.3 s; 1 of its accesses"
            with pytest.raises(hsl.TransactionError, match=words) as caught:
                gpu.load(0x40)
            assert caught.value.code == hsl.Err.UNREACH
        finally:
            cpu.process.send_signal(signal.SIGCONT)


# ---- closed


def test_a_call_that_timed_out_begins_no_more(cpu: Cpu) -> None:
    """What it had not begun when `timeout` was over never takes effect."""
    with hsl.attach(cpu.uri, timeout=0.3) as gpu:
        cpu.process.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(hsl.TransactionError, match=r"has not ended within 0\.3 s"):
                gpu.store_many(LINES, np.ones((len(LINES), 8), np.uint8))
        finally:
            cpu.process.send_signal(signal.SIGCONT)
        while gpu._core.device._open:
            gpu.wait_doorbell(0.05)
        assert gpu.load(int(LINES[-1])) == bytes(8)


def test_closing_ends_calls(cpu: Cpu) -> None:
    """Closing ends the calls of other threads, and later ones, with ClosedError; it may be repeated."""
    gpu = hsl.attach(cpu.uri)
    thread, raised = in_thread(lambda: gpu.load_many(LINES))
    bell = in_thread(gpu.wait_doorbell)
    under_way(gpu)
    gpu.close()
    gpu.close()
    thread.join(SECONDS)
    bell[0].join(SECONDS)
    assert [type(error) for error in (*raised, *bell[1])] == [hsl.ClosedError] * 2
    calls: list[Callable[[], object]] = [
        lambda: gpu.load(0),
        gpu.wait_doorbell,
        lambda: gpu.on_doorbell(print),
    ]
    for call in calls:
        with pytest.raises(hsl.ClosedError, match="the device is closed"):
            call()
    assert not gpu.ready
    assert "closed" in repr(gpu)
    assert "DISABLE" in cpu.said()


def descriptors() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


def test_nothing_is_left(cpu: Cpu) -> None:
    """A device leaves no thread and no descriptor, whether it was attached, turned away, or fails inside."""
    threads, before = set(threading.enumerate()), descriptors()

    def one() -> None:
        with hsl.attach(cpu.uri) as gpu:
            gpu.on_doorbell(print)
            gpu.store(0x40, bytes(64))
            raise ZeroDivisionError

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            one()
        with pytest.raises(hsl.LinkError):
            hsl.attach(cpu.uri, nid=0)
        with pytest.raises(hsl.PeerUnreachable):
            hsl.attach("unix:///nonexistent", wait=0)
    assert set(threading.enumerate()) == threads
    assert descriptors() == before


SCRIPT = """
import sys, hsl
gpu = hsl.attach(sys.argv[1])
gpu.store(0x40, b"modified")
{rest}
"""
REST = {
    "ctrl-c in a call": "with gpu:\n print('now', flush=True)\n gpu.wait_doorbell()",
    "ctrl-c in a long call": "with gpu:\n print('now', flush=True)\n"
    " while True: gpu.load_many(range(0, 1 << 20, 64))",
    "no close": "",
    "an exception": "raise SystemExit(3)",
}


@pytest.mark.parametrize("rest", REST)
def test_a_script_that_ends(cpu: Cpu, rest: str) -> None:
    """A script that is interrupted in a call, or ends without `close`, says good-bye and leaves no poison."""
    command = [sys.executable, "-c", SCRIPT.format(rest=REST[rest]), cpu.uri]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as run:
        try:
            assert run.stdout is not None
            if "now" in REST[rest]:
                assert run.stdout.readline() == "now\n"
                run.send_signal(signal.SIGINT)
            said = run.communicate(timeout=SECONDS)[1]
        finally:
            run.kill()
    assert ("KeyboardInterrupt" in said) == ("ctrl-c" in rest), said
    assert "Error" not in said
    with hsl.attach(cpu.uri) as gpu:
        assert gpu.load(0x40) == b"modified"
    assert "the peer is lost: DISABLE" in cpu.said()
