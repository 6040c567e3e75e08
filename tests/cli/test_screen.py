"""Output of commands on odd terminals and streams: no columns, ASCII only, 80x24."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUN = ("demo", "--transport", "loopback", "--input", "LICENSE")


def hsl(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a pipe."""
    command = [sys.executable, "-m", "hsl", *arguments]
    return subprocess.run(command, capture_output=True, env=os.environ | environment, timeout=120, cwd=ROOT)


SHOWN = {"info": ("info",), "list": ("inject", "list"), "demo": (*RUN, "--seed", "1")}
SHOWN["tables"] = (*SHOWN["demo"], "-v")


@pytest.mark.parametrize("columns", ["0", "1", "7"])
@pytest.mark.parametrize("arguments", SHOWN.values(), ids=SHOWN)
def test_columns_of_no_use_change_nothing(columns: str, arguments: tuple[str, ...]) -> None:
    """B8: with COLUMNS=0, 1 or 7 in a pipe every command prints what it prints without it."""
    narrow, plain = hsl(*arguments, COLUMNS=columns), hsl(*arguments)
    assert narrow.returncode == 0
    assert len(plain.stdout.split()) > 20
    assert narrow.stdout == plain.stdout


@pytest.mark.parametrize("name", ["demo", "tables"])
def test_ascii_output(name: str) -> None:
    """B11: a good run ends with 0 where stdout takes ASCII only, with -v too."""
    done = hsl(*SHOWN[name], LC_ALL="C", PYTHONUTF8="0", PYTHONIOENCODING="ascii", PYTHONCOERCECLOCALE="0")
    assert (done.returncode, b"VERIFIED" in done.stdout) == (0, True), done.stderr


def test_names_outside_ascii_on_an_ascii_stdout(tmp_path: Path) -> None:
    """A file name that stdout cannot print is escaped; the run keeps its exit code."""
    path = tmp_path / "gr\u00fc\u00dfe.txt"
    path.write_bytes(b"a b")
    run = (*RUN[:-1], str(path), "--seed", "1")
    done = hsl(*run, PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert (done.returncode, b"VERIFIED" in done.stdout) == (0, True), done.stderr


def test_80_by_24() -> None:
    """On a terminal of 80x24 the demo's end fits the screen, and no table of -v is wider than it."""
    run = (*RUN, "--faults", "0.01", "--seed", "7")
    lines = on_terminal(*run)
    assert len(lines) <= 8
    assert max(map(len, lines)) <= 80
    tables = on_terminal(*run, "-v")
    assert tables[-len(lines) :] == lines
    assert "\u2026" not in "".join(tables)
    assert max(len(line) for line in tables if not line.startswith("verified by")) <= 80


def test_the_verdict_is_green_on_a_terminal() -> None:
    """VERIFIED is bold and green on a terminal, and plain with NO_COLOR and in a pipe."""
    run = (*RUN, "--seed", "1", "-q")
    assert on_terminal(*run, color=True)[0].startswith("\x1b[32m\x1b[1mVERIFIED\x1b[0m  ")
    assert on_terminal(*run)[0].startswith("VERIFIED  ")
    assert hsl(*run).stdout.startswith(b"VERIFIED  ")


def on_terminal(*arguments: str, color: bool = False) -> list[str]:
    """Return the output of a command on a terminal of 80 columns."""
    main_end, terminal = pty.openpty()
    left_out = ("COLUMNS", "NO_COLOR")
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    environment |= {"TERM": "xterm"} | ({} if color else {"NO_COLOR": "1"})
    command = [sys.executable, "-m", "hsl", *arguments]
    with subprocess.Popen(
        command, stdout=terminal, stderr=subprocess.DEVNULL, env=environment, cwd=ROOT
    ) as child:
        os.close(terminal)
        seen = b""
        while True:
            try:
                part = os.read(main_end, 1 << 16)
            except OSError:
                break
            seen += part
        assert child.wait(60) == 0
    os.close(main_end)
    return seen.decode().replace("\r\n", "\n").splitlines()
