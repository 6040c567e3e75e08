"""The `hsl` command itself: commands are found, errors end in the exit codes of the table, start is fast."""

import errno
import os
import subprocess
import sys
import sysconfig
from importlib import import_module

import click
import pytest
from click.testing import CliRunner

from hsl import __version__
from hsl.cli import COMMANDS, exits, main
from hsl.cli.exits import ExitCode
from hsl.errors import (
    CaptureError,
    CodecError,
    ConfigError,
    HslError,
    LinkError,
    PeerLost,
    PeerUnreachable,
    TransactionError,
    TransportError,
)

HSL = sysconfig.get_path("scripts") + "/hsl"
# What a command may raise or return -> the exit code, and what stderr says.
ENDINGS = [
    (None, ExitCode.OK, ""),
    (ExitCode.FAILED, ExitCode.FAILED, ""),
    (ExitCode.NOTHING, ExitCode.NOTHING, ""),
    (KeyboardInterrupt(), ExitCode.INTERRUPTED, "hsl: interrupted"),
    (click.Abort(), ExitCode.INTERRUPTED, "hsl: interrupted"),
    (click.UsageError("no"), ExitCode.USAGE, "Error: no"),
    (click.FileError("f", "is gone"), ExitCode.USAGE, "is gone"),
    (exits.NothingSelected("no test"), ExitCode.NOTHING, "hsl: no test\n"),
    (ConfigError("bad window"), ExitCode.USAGE, "hsl: bad window"),
    (CodecError("bad flit"), ExitCode.USAGE, "hsl: bad flit"),
    (CaptureError("disk full"), ExitCode.USAGE, "hsl: disk full"),
    (TransportError("port in use"), ExitCode.USAGE, "hsl: port in use"),
    (PeerLost("gone"), ExitCode.PEER_LOST, "hsl: gone"),
    (PeerUnreachable("nobody"), ExitCode.PEER_LOST, "hsl: nobody"),
    (LinkError("refused"), ExitCode.PEER_LOST, "hsl: refused"),
    (TransactionError("poisoned"), ExitCode.FAILED, "hsl: poisoned"),
    (OSError(errno.ENOSPC, "No room"), ExitCode.USAGE, "hsl: standard output: No room\n"),
    (OSError(errno.EMFILE, "Too many", "x"), ExitCode.USAGE, "hsl: x: Too many\n"),
    (OSError(errno.EMFILE, "Too many"), ExitCode.USAGE, "hsl: Too many\n"),
    *(
        (OSError(number, "None left", "x"), ExitCode.USAGE, "hsl: x: None left\n")
        for number in (errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENFILE, errno.EAGAIN, errno.ENOMEM)
    ),
    (OSError(errno.EBADF, "Bad"), ExitCode.INTERNAL, "hsl: internal error: OSError: "),
    (KeyError("x"), ExitCode.INTERNAL, "hsl: internal error: KeyError: 'x' ("),
    (HslError("odd"), ExitCode.INTERNAL, "hsl: internal error: HslError: odd ("),
]


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A command `probe` that ends as the parameter says."""
    outcome = request.param

    def probe() -> ExitCode | None:
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome  # type: ignore[no-any-return]

    module = type(sys)("probe")
    monkeypatch.setattr(module, "command", click.command("probe")(probe), raising=False)
    monkeypatch.setitem(sys.modules, "hsl_probe", module)
    monkeypatch.setitem(COMMANDS, "probe", "hsl_probe")


@pytest.mark.parametrize(
    ("ending", "code", "said"), ENDINGS, indirect=["ending"], ids=lambda row: repr(row)[:40]
)
@pytest.mark.usefixtures("ending")
def test_exit_codes(code: ExitCode, said: str) -> None:
    """Each way a command can end has its exit code, and an error is a line on stderr without a traceback."""
    result = CliRunner().invoke(main, ["probe"])
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("ending", [KeyError("x")], indirect=True)
@pytest.mark.usefixtures("ending")
def test_traceback_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """HSL_TRACEBACK=1 shows where an error came from."""
    monkeypatch.setenv("HSL_TRACEBACK", "1")
    assert "Traceback" in CliRunner().invoke(main, ["probe"]).stderr


def test_first_fitting_row_decides() -> None:
    """No row of the table of endings is hidden by a wider one above it."""
    for index, (cls, _) in enumerate(exits.ENDINGS):
        assert not [wider for wider, _ in exits.ENDINGS[:index] if issubclass(cls, wider)], cls


@pytest.mark.parametrize("arguments", [["nonsense"], ["info", "--nonsense"], ["info", "surplus"], []])
def test_usage_errors(arguments: list[str]) -> None:
    """Wrong arguments, or none, end with 4, where click alone has 2."""
    assert CliRunner().invoke(main, arguments).exit_code == ExitCode.USAGE


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1", "x", "1e9"])
def test_seconds(seconds: str) -> None:
    """A time is a finite number in its range, for every command that takes one."""
    for command in (
        ["telemetry", "watch", "--time-limit"],
        ["node", "gpu", "--wait"],
        ["stress", "--time-limit"],
    ):
        result = CliRunner().invoke(main, [*command, seconds])
        assert (result.exit_code, result.stdout) == (ExitCode.USAGE, ""), command
        assert (
            "expected" in result.stderr
            or "not in the range" in result.stderr
            or "not a valid" in result.stderr
        )


def test_nobody_reads_on() -> None:
    """When the reader of stdout has gone the exit status is that of an interruption, not a verdict."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as out:
        done = subprocess.run([HSL, "info", "--json"], stdout=out, stderr=subprocess.PIPE, timeout=60)
    assert (done.returncode, done.stderr) == (ExitCode.INTERRUPTED, b"")


@pytest.mark.parametrize("command", [[HSL], [sys.executable, "-m", "hsl"]], ids=["script", "module"])
def test_version(command: list[str]) -> None:
    """`hsl --version` and `python -m hsl --version` print the version of the distribution."""
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60)
    assert done.stdout == f"hsl, version {__version__}\n"


def test_every_command_is_there() -> None:
    """Each row of COMMANDS names a module whose `command` has that name, and a line for `hsl --help`."""
    for name, module in COMMANDS.items():
        command = import_module(module).command
        assert (command.name, bool(command.get_short_help_str())) == (name, True)
    assert all(name in CliRunner().invoke(main, ["--help"]).stdout for name in COMMANDS)


def test_commands_are_imported_when_called() -> None:
    """Importing `hsl.cli` imports no command: a quick one does not wait for the others."""
    code = "import sys, hsl.cli as cli; print(*{'numpy', 'rich', *cli.COMMANDS.values()} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "\n"


# ---- output that nobody takes

OUTPUT = {"a table": ["info"], "JSON": ["inject", "list", "--json"], "help": ["demo", "--help"]}


@pytest.mark.parametrize("name", OUTPUT)
def test_a_full_disk_under_stdout_is_bad_input(name: str) -> None:
    """What cannot be written to stdout ends in exit code 4 and one line, not as an error of our own."""
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run([HSL, *OUTPUT[name]], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (
        ExitCode.USAGE,
        f"hsl: standard output: {os.strerror(errno.ENOSPC)}\n",
    )


@pytest.mark.parametrize("name", OUTPUT)
def test_a_reader_that_has_left_interrupts(name: str) -> None:
    """A closed pipe ends every kind of output in exit code 2, which is no verdict."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([HSL, *OUTPUT[name]], stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (ExitCode.INTERRUPTED, "")


def test_a_full_disk_under_stderr_keeps_the_exit_code() -> None:
    """An error that cannot be told has its exit code all the same."""
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run([HSL, "check", "/nonexistent"], stdout=subprocess.PIPE, stderr=full)
    assert done.returncode == ExitCode.USAGE
