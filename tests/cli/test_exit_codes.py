"""Exit codes, one by one: for each a command that ends in it, as a process, with what it says and prints."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from hsl.cli import main
from hsl.cli.exits import ExitCode

HSL = sysconfig.get_path("scripts") + "/hsl"


class Ending(NamedTuple):
    """A command, its exit code, and a word of the one line on stderr; `document`: there is one on stdout."""

    arguments: tuple[str, ...]
    code: ExitCode
    says: str = ""
    document: bool = False
    environment: tuple[tuple[str, str], ...] = ()


FLIT = "0100" + "00" * 62  # its CRC is wrong
ENDINGS = {
    "ok": Ending(("info", "--json"), ExitCode.OK, document=True),
    "checked and wrong": Ending(("codec", "decode", "--hex", FLIT, "--json"), ExitCode.FAILED, document=True),
    "a tool is missing": Ending(
        ("model", "link", "--short", "--json"),
        ExitCode.INTERNAL,
        "apt-get install",
        environment=(("PATH", ""),),
    ),
    "no such command": Ending(("bogus",), ExitCode.USAGE, "No such command"),
    "no such option": Ending(("info", "--bogus"), ExitCode.USAGE, "No such option"),
    "a value out of range": Ending(("demo", "--links", "99", "--json"), ExitCode.USAGE, "99"),
    "a bad file": Ending(("check", "/nonexistent", "--json"), ExitCode.USAGE, "/nonexistent"),
    "a bad address": Ending(("node", "gpu", "--connect", "x:", "--json"), ExitCode.USAGE, "x:"),
    "an engine that is none": Ending(
        ("info", "--json"), ExitCode.USAGE, "fast", environment=(("HSL_ENGINE", "fast"),)
    ),
    "nothing there": Ending(("codec", "decode", "--hex", ""), ExitCode.NOTHING, "no flits"),
    "nobody answers": Ending(
        ("node", "gpu", "--connect", "unix:///nonexistent", "--wait", "0", "--json"),
        ExitCode.PEER_LOST,
        "nobody answers",
    ),
    "nobody comes": Ending(
        ("node", "gpu", "--listen", "tcp://:0", "--time-limit", "0", "--json"),
        ExitCode.PEER_LOST,
        "no peer has connected",
    ),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_each_ending(name: str) -> None:
    """The command ends in its code, says why in the last line, and prints a document only with a verdict."""
    ending = ENDINGS[name]
    environment = os.environ | dict(ending.environment)
    done = subprocess.run(
        [sys.executable, HSL, *ending.arguments], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == ending.code, done.stderr
    assert ending.says in (done.stderr.splitlines() or [""])[-1]
    assert bool(done.stdout) == ending.document
    assert "Traceback" not in done.stderr


def test_an_interrupted_command_is_no_verdict() -> None:
    """A reader that leaves interrupts: code 2, which is neither success nor a failed check."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([HSL, "info", "--json"], stdout=writer, stderr=subprocess.PIPE, timeout=60)
    os.close(writer)
    assert (done.returncode, done.stderr) == (ExitCode.INTERRUPTED, b"")


def test_every_code_has_its_command() -> None:
    """No exit code is untested, and none has two meanings."""
    assert {ending.code for ending in ENDINGS.values()} | {ExitCode.INTERRUPTED} == set(ExitCode)


@pytest.mark.parametrize(
    ("arguments", "closed", "code"),
    [
        (("demo", "--transport", "loopback", "--input", "/dev/null", "--capture", "-"), (1,), ExitCode.OK),
        (("telemetry", "broker", "--port", "0", "--time-limit", "0"), (1,), ExitCode.OK),
        (("telemetry", "watch", "mqtt://127.0.0.1:1"), (1,), ExitCode.PEER_LOST),
        (("check", "/nonexistent"), (0, 1, 2), ExitCode.USAGE),
    ],
)
def test_closed_streams(arguments: tuple[str, ...], closed: tuple[int, ...], code: ExitCode) -> None:
    """A command whose streams were closed by its caller works as if they were the null device."""
    command = [sys.executable, "-m", "hsl", *arguments]

    def close() -> None:
        for number in closed:
            os.close(number)

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, preexec_fn=close)
    assert done.returncode == code, done.stderr


def test_a_file_never_gets_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    """A message to a closed stderr is lost. The first file that the command opens does not get it."""
    path = tmp_path / "capture"
    program = (
        "import os, sys; from hsl.__main__ import keep_streams; keep_streams(); "
        "print(os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY))"
    )

    def close() -> None:
        os.close(0)
        os.close(2)

    command = [sys.executable, "-c", program, str(path)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, timeout=60, check=False, preexec_fn=close
    )
    assert int(done.stdout) > 2


def test_no_memory_is_no_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where memory is used up the command ends in exit code 4, and says so in a line."""

    def full(*arguments: object, **options: object) -> None:
        raise MemoryError

    monkeypatch.setattr("hsl.cli.check.check_file", full)
    done = CliRunner().invoke(main, ["check", "x"])
    words = "there is not enough memory; give less input, or a higher limit (ulimit -v)"
    assert (done.exit_code, done.stderr) == (ExitCode.USAGE, f"hsl: {words}\n")


@pytest.mark.parametrize(("arguments", "code"), [("info", ExitCode.OK), ("bogus", ExitCode.USAGE)])
def test_closed_standard_output(arguments: str, code: ExitCode) -> None:
    """A command whose standard output was closed by its caller has the exit code that it has otherwise."""
    command = ["/bin/sh", "-c", 'exec "$0" "$@" >&-', HSL, arguments]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
