"""Tables: whole in a pipe, turned round on a narrow terminal, printable everywhere."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsl.cli.tables import console_width, lay

RUN = ("demo", "--transport", "loopback", "--input", "LICENSE")
ROOT = Path(__file__).parents[2]
NAMES = ["from", "damaged injected", "crc errors", "prot sent", "prot accepted", "reconnections"]
ROWS = [["cpu", 1, 2, 3, 4, 5], ["gpu", 11, 12, 13, 14, 15]]


def test_a_pipe_has_no_width() -> None:
    """Without a width a table has a line a row, each cell whole, numbers under each other."""
    assert lay(["", "sent", "got"], [["Cmp", 3, 12], ["CmpData", 1023, 4]], None) == [
        "         sent  got",
        "Cmp         3   12",
        "CmpData  1023    4",
    ]


def test_a_wide_table_is_turned_round() -> None:
    """Columns that do not fit become rows; nothing is cut."""
    assert len(lay(NAMES, ROWS, 80)) == 3
    turned = lay(NAMES, ROWS, 40)
    assert turned[0].split() == ["from", "cpu", "gpu"]
    assert turned[1].split() == ["damaged", "injected", "1", "11"]
    assert len(turned) == len(NAMES)


@given(st.integers(1, 12), st.integers(1, 6), st.integers(40, 120))
def test_no_line_is_wider_than_the_terminal(columns: int, rows: int, width: int) -> None:
    """Whatever the shape, every cell is printed once, and no line is wider than the terminal."""
    names = [f"n{index}" * 3 for index in range(columns)]
    cells = [[f"{row}.{column}xx" for column in range(columns)] for row in range(rows)]
    lines = lay(names, cells, width)
    assert all(len(line) <= width for line in lines)
    words = " ".join(lines).split()
    for row in cells:
        for cell in row[1:]:
            assert words.count(cell) == 1


def hsl(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a pipe."""
    command = [sys.executable, "-m", "hsl", *arguments]
    return subprocess.run(command, capture_output=True, env=os.environ | environment, timeout=120, cwd=ROOT)


@pytest.mark.parametrize("columns", ["0", "1", "7"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("info",),
        ("inject", "list"),
        ("demo", "--transport", "loopback", "--input", "LICENSE", "--seed", "1", "-v"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_columns_of_no_use_change_nothing(columns: str, arguments: tuple[str, ...]) -> None:
    """B8: with COLUMNS=0, 1 or 7 in a pipe every command prints what it prints without it."""
    narrow, plain = hsl(*arguments, COLUMNS=columns), hsl(*arguments)
    assert narrow.returncode == 0
    assert len(plain.stdout.split()) > 20
    assert narrow.stdout == plain.stdout


def test_ascii_output() -> None:
    """B11: a good run ends with 0 where stdout takes ASCII only, with -v too."""
    run = ("demo", "--transport", "loopback", "--input", "LICENSE", "--seed", "1", "-v")
    done = hsl(*run, LC_ALL="C", PYTHONUTF8="0", PYTHONIOENCODING="ascii", PYTHONCOERCECLOCALE="0")
    assert (done.returncode, b"VERIFIED" in done.stdout) == (0, True), done.stderr


def test_names_outside_ascii_on_an_ascii_stdout(tmp_path: Path) -> None:
    """A file name that stdout cannot print is escaped; the run keeps its exit code."""
    path = tmp_path / "gr\u00fc\u00dfe.txt"
    path.write_bytes(b"a b")
    run = ("demo", "--transport", "loopback", "--input", str(path), "--seed", "1")
    done = hsl(*run, PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert (done.returncode, b"VERIFIED" in done.stdout) == (0, True), done.stderr


def test_80_by_24() -> None:
    """On a terminal of 80x24 the demo's end fits the screen, and no table of -v is wider than it."""
    run = ("demo", "--transport", "loopback", "--input", "LICENSE", "--faults", "0.01", "--seed", "7")
    lines = on_terminal(*run)
    assert len(lines) <= 8
    assert max(map(len, lines)) <= 80
    tables = on_terminal(*run, "-v")
    assert tables[-len(lines) :] == lines
    assert "\u2026" not in "".join(tables)
    assert max(len(line) for line in tables if not line.startswith("verified by")) <= 80


def on_terminal(*arguments: str) -> list[str]:
    """What a command prints on a terminal of 80 columns, without colors."""
    main_end, terminal = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    environment |= {"NO_COLOR": "1", "TERM": "xterm"}
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


def test_a_small_terminal_wraps_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that says that it has no columns counts as a narrow one."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "1")
    assert console_width() == 40
