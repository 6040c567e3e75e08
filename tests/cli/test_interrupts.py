"""A command that gets a signal, at whatever moment, says one line and leaves nothing behind."""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM

import pytest

from tests.support.interrupted import COMMANDS, INTERRUPTED, Run, arguments_of, shot, swept

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds processes and handlers by /proc")

OWN = ""  # the moment at which the command answers signals itself: it still imports
# Seconds of CPU of commands that print nothing: they are at work by then, and on a fast machine not yet done.
BUSY, READING = 0.9, 0.3
UP = r"counted [1-9]"
# Command of COMMANDS; moment: a pattern that is printed, or seconds of CPU of all its processes; signal; True
# for all of the process group.
CASES: list[tuple[str, str | float, signal.Signals, bool]] = [
    ("tcp", OWN, SIGINT, False),
    ("tcp", "seed", SIGINT, False),  # before the CPU has printed its address
    ("unix", "seed", SIGTERM, False),
    ("unix", UP, SIGINT, True),
    ("udp", UP, SIGHUP, False),
    ("links", UP, SIGTERM, True),
    ("telemetry", "telemetry at", SIGTERM, False),
    ("loopback", "counted", SIGTERM, False),
    ("matmul", "seed", SIGHUP, False),
    ("matmul", BUSY, SIGINT, True),
    ("node", "listening", SIGTERM, False),
    ("node", "listening", SIGINT, True),
    ("broker", "mqtt:", SIGHUP, False),
    ("litmus", OWN, SIGINT, True),
    ("litmus", "seed", SIGINT, True),  # the workers import
    ("litmus", 2.5, SIGTERM, False),
    ("stress", "ended", SIGINT, True),
    ("soak", "delivered", SIGTERM, False),
    ("perf", r"read \d", SIGINT, True),
    ("check", READING, SIGTERM, False),
]
KILLED: list[tuple[str, str | float]] = [
    ("tcp", "seed"),
    ("unix", UP),
    ("telemetry", "telemetry at"),
    ("litmus", "seed"),
    ("litmus", 2.5),
]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder with a short name: a Unix socket has at most 107 bytes, and the names of pytest grow."""
    with tempfile.TemporaryDirectory(prefix="interrupts-") as folder:
        yield Path(folder)


def reach(run: Run, moment: str | float) -> None:
    """Wait for a moment of a run; it must not end before."""
    if isinstance(moment, float):
        come = run.until(lambda: run.catches() and run.cpu() >= moment)
    else:
        come = run.until_printed(moment) if moment else run.until(run.catches)
    assert come, f"it ended before: {run.err}"


@pytest.mark.parametrize(("name", "moment", "number", "group"), CASES)
def test_a_signal_ends_a_command(
    name: str, moment: str | float, number: signal.Signals, group: bool, tmp_path: Path
) -> None:
    """SIGINT, SIGTERM and SIGHUP end with 2 and one line; no process, socket or temporary file is left."""
    with Run(arguments_of(name, tmp_path), tmp_path) as run:
        reach(run, moment)
        run.send(number, group)
        assert run.own, "its handlers are there"
        assert list(run.faults(number)) == []
        assert run.process.returncode == INTERRUPTED, f"it had ended before: {run.err}"


@pytest.mark.parametrize(("name", "moment"), KILLED)
def test_a_killed_command_leaves_no_process(name: str, moment: str | float, tmp_path: Path) -> None:
    """Children notice that SIGKILL has ended their parent; the next demo removes its temporary folder."""
    with Run(arguments_of(name, tmp_path), tmp_path) as run:
        reach(run, moment)
        run.send(SIGKILL)
        assert list(run.faults(SIGKILL)) == []
        if name == "unix":
            assert [path for path in run.left() if "hsl-demo-" in path], "it had a folder"
    if name == "unix":
        assert swept(tmp_path) == []


@pytest.mark.tool("rumur", apt="rumur")
@pytest.mark.parametrize("number", [SIGINT, SIGKILL])
@pytest.mark.parametrize("tool", ["rumur", "cc1"])
def test_model_checkers_end_with_the_command(tool: str, number: signal.Signals, tmp_path: Path) -> None:
    """The tools that `hsl model` runs end with it; after an interrupt no file of theirs is left."""
    with Run(arguments_of("model", tmp_path), tmp_path) as run:
        assert run.until(lambda: tool in str(run.family())), run.err
        run.send(number)
        assert list(run.faults(number)) == []


def test_any_moment() -> None:
    """The same at moments that are drawn, in CI always the same ones; the failure says which."""
    seed = 1 if os.environ.get("HSL_CI") == "1" else random.randrange(1 << 32)
    rng = random.Random(seed)
    for _ in range(3):
        name, number = rng.choice(list(COMMANDS)), rng.choice([SIGINT, SIGTERM, SIGHUP, SIGKILL])
        moment, group = rng.uniform(0, 1.5), rng.random() < 0.5
        faults, _ = shot(name, number, moment, group)
        assert faults == [], f"{name} {number} at {moment} s, group {group}, seed {seed}"


def test_an_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    """Under nohup SIGHUP changes nothing."""
    with Run(arguments_of("node", tmp_path), tmp_path, ignored=[SIGHUP]) as run:
        reach(run, "listening")
        run.send(SIGHUP)
        run.send(SIGTERM)
        assert list(run.faults(SIGTERM)) == []
