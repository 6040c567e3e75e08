"""The meter: silent at first, a line now and then without a terminal, a bar on one."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from hsl.cli import main
from hsl.cli.meter import ENVIRONMENT, LISTENING, Meter


class Pipe(io.StringIO):
    """Keeps each write apart."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def write(self, text: str) -> int:
        """Note it."""
        size = super().write(text)
        if text:  # click tries what it may write by writing nothing
            self.writes.append(text)
        return size


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def piped(monkeypatch: pytest.MonkeyPatch) -> Pipe:
    """Stderr as a pipe, and no HSL_PROGRESS."""
    made = Pipe()
    monkeypatch.setattr(sys, "stderr", made)
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    return made


def told(meter: Meter, clock: Clock, pipe: Pipe, seconds: float) -> list[str]:
    """The lines of the next `seconds`, with a tick each tenth of a second."""
    before = len(pipe.writes)
    for _ in range(round(seconds * 10)):
        clock.now += 0.1
        meter.tick()
    return [line.rstrip("\n") for line in pipe.writes[before:]]


def test_silent_then_a_line_each_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is printed below two seconds, then one line per five seconds, with rate and ETA."""
    pipe = piped(monkeypatch)
    clock = Clock()
    with Meter("counted", "bytes", clock=clock, threaded=False) as meter:
        meter.show(0, 10_000)
        for done in range(1000):
            meter.show(done, 10_000)
        assert told(meter, clock, pipe, 1.9) == []
        clock.now += 0.1
        meter.show(4_000, 10_000)
        assert told(meter, clock, pipe, 0.1) == ["counted 4,000 of 10,000 bytes, 2 s, 1,905/s, ETA 3 s"]
        assert len(told(meter, clock, pipe, 4.9)) == 0
        assert len(told(meter, clock, pipe, 15.2)) == 3


def test_the_rate_counts_what_was_done_since_the_first_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that begins with some of it done has the rate of the rest."""
    pipe = piped(monkeypatch)
    clock = Clock()
    with Meter("counted", "bytes", clock=clock, threaded=False) as meter:
        meter.show(9_000, 10_000)
        clock.now += 1.9
        meter.show(9_200, 10_000)
        assert told(meter, clock, pipe, 0.1) == ["counted 9,200 of 10,000 bytes, 2 s, 100/s, ETA 8 s"]


def test_waiting_is_told_until_something_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that waits says for what and for how long; the first step that is done ends the waiting."""
    pipe = piped(monkeypatch)
    clock = Clock()
    with Meter("ran", "tests", waiting="the first test", clock=clock, threaded=False) as meter:
        meter.show(0, 4)
        assert told(meter, clock, pipe, 2.1) == ["waiting for the first test (2 s)"]
        meter.show(1, 4)
        assert told(meter, clock, pipe, 5.1)[0].startswith("ran 1 of 4 tests, 7 s")
        meter.wait(lambda: "the last test")
        assert told(meter, clock, pipe, 5.1)[0].startswith("waiting for the last test")


def test_quiet_prints_only_what_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """With -q there is no progress; a line that must be told is printed."""
    pipe = piped(monkeypatch)
    clock = Clock()
    for lines in ("", "lines"):
        monkeypatch.setenv(ENVIRONMENT, lines)
        with Meter("ran", "tests", waiting="x", quiet=True, clock=clock, threaded=False) as meter:
            meter.show(1, 4)
            assert told(meter, clock, pipe, 60) == []
            meter.say(f"{LISTENING}here")
    assert pipe.writes == 2 * [f"{LISTENING}here\n"]


def test_a_meter_that_has_ended_prints_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick of the thread that comes after the end of the run draws nothing below the report."""
    pipe = piped(monkeypatch)
    clock = Clock()
    with Meter("ran", "tests", clock=clock, threaded=False) as meter:
        meter.show(1, 4)
    assert told(meter, clock, pipe, 60) == []


def test_a_slow_run_has_no_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rate below one a second is not shown as 0/s; the time that is left is shown."""
    pipe = piped(monkeypatch)
    clock = Clock()
    with Meter("ran", "tests", clock=clock, threaded=False) as meter:
        meter.show(0, 4)
        clock.now += 7.9
        meter.show(1, 4)
        assert told(meter, clock, pipe, 0.1) == ["ran 1 of 4 tests, 8 s, ETA 24 s"]


def test_the_parent_says_itself_what_it_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of a child about what the child waits for is taken, and changes nothing."""
    piped(monkeypatch)
    clock = Clock()
    parent = Meter("counted", "bytes", waiting="the cpu process", clock=clock, threaded=False)
    assert parent.relay("waiting for the gpu to connect")
    assert parent.text(clock.now + 3) == "waiting for the cpu process (3 s)"
    assert parent.relay("counted 5000 of 7000 bytes")
    assert parent.text(clock.now + 3).startswith("counted 5,000 of 7,000 bytes, 3 s")


def test_every_step_is_a_line_for_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """With HSL_PROGRESS=lines each twentieth is a line at once, and another meter can read it."""
    pipe = piped(monkeypatch)
    monkeypatch.setenv(ENVIRONMENT, "lines")
    with Meter("counted", "bytes", waiting="the link", threaded=False) as meter:
        for done in range(101):
            meter.show(done, 100)
    lines = [line.rstrip("\n") for line in pipe.writes]
    assert len(lines) == 1 + 21
    monkeypatch.delenv(ENVIRONMENT)
    clock = Clock()
    parent = Meter("counted", "bytes", clock=clock, threaded=False)
    assert all(parent.relay(line) for line in lines)
    assert not parent.relay("hsl: no such file")
    clock.now += 2.5
    assert parent.text(clock.now).startswith("counted 100 of 100 bytes")


def progress() -> None:
    with Meter("counted", "bytes") as shown:
        shown.say(f"{LISTENING}tcp://127.0.0.1:7410")
        shown.show(3, 7)


def endless() -> None:
    with Meter("ran", "accesses") as shown:
        shown.show(2, None)
        shown.show(4, None)


@pytest.mark.parametrize("shows", [progress, endless])
def test_a_line_is_one_write(shows: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line goes out with its end: a warning of another thread once stood between, inside the address."""
    pipe = piped(monkeypatch)
    monkeypatch.setenv(ENVIRONMENT, "lines")
    assert callable(shows)
    shows()
    assert len(pipe.writes) >= 2
    assert all(text.endswith("\n") and text.count("\n") == 1 for text in pipe.writes)


def test_the_thread_of_a_meter_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread is left behind."""
    piped(monkeypatch)
    before = set(threading.enumerate())  # some of them may end meanwhile
    with Meter("ran", "tests"):
        (ours,) = set(threading.enumerate()) - before
    ours.join(10)
    assert not ours.is_alive()


def test_a_short_run_shows_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """`stress --ops 200` without a terminal prints the seed on stderr, and nothing else."""
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    monkeypatch.setattr("hsl.cli.meter.SILENT_SECONDS", 60.0)  # the run is short on a loaded machine too
    done = CliRunner().invoke(main, ["stress", "--ops", "200", "--seed", "3"])
    assert (done.exit_code, done.stderr) == (0, "seed 3\n")


BAR = """
import threading
from hsl.cli import meter
meter.SILENT_SECONDS, meter.LINE_SECONDS = 0.1, 0.2
drawn, tick = threading.Event(), meter.Meter.tick
def noted(self):
    with self._lock:
        due = self._due
        tick(self)
        if self._due != due: drawn.set()
meter.Meter.tick = noted
with meter.Meter("counted", "bytes", waiting="the link") as shown:
    drawn.wait(60)
    shown.show(0, 1000)
    shown.show(600, 1000)
    shown.say("a line of its own" + 100 * ".")
    with shown._lock: drawn.clear()
    drawn.wait(60)
"""


def on_terminal(kind: str) -> bytes:
    """Return the output of BAR on a terminal of this kind."""
    main_end, terminal = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name not in (ENVIRONMENT, "NO_COLOR")}
    environment |= {"TERM": kind, "COLUMNS": "80"}
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", BAR], stderr=terminal, stdin=subprocess.DEVNULL, env=environment, cwd=root
    ) as process:
        os.close(terminal)
        seen = b""
        while part := read(main_end):
            seen += part
        assert process.wait(60) == 0
    os.close(main_end)
    return seen


def test_a_terminal_without_cursor_gets_lines() -> None:
    """With TERM=dumb the meter prints lines, and not one escape sequence."""
    seen = on_terminal("dumb")
    assert b"waiting for the link" in seen
    assert b"\x1b" not in seen


def test_a_bar_on_a_terminal() -> None:
    """On a real terminal the meter waits, then draws a bar with counts; it leaves none behind."""
    seen = on_terminal("xterm")
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())
    assert re.search(r"waiting for the link \(\d+ s\)", text)
    assert re.search(r"[━╸-]+ +counted 600 of 1,000 bytes", text)
    assert "a line of its own" + 100 * "." + "\r\n" in text, "a line is not broken"
    assert seen.rstrip().endswith(b"\x1b[2K"), "the bar is wiped"


def read(end: int) -> bytes:
    """Read the next output of a terminal; empty when its process has ended."""
    try:
        return os.read(end, 1 << 16)
    except OSError:  # EIO: nobody has the other end any more
        return b""
