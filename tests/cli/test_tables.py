"""Tables: whole in a pipe, turned round on a narrow terminal."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsl.cli.tables import console_width, lay, print_table

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


def test_a_long_table_is_not_turned_round() -> None:
    """A table with more rows than columns stays as it is: its columns go on in further blocks."""
    rows = [[f"row {index}", "x" * 30, "y" * 30] for index in range(9)]
    lines = lay(["", "x", "y"], rows, 40)
    assert len(lines) == 2 * 10
    assert lines[1].split() == ["row", "0", "x" * 30]
    assert lines[11].split() == ["row", "0", "y" * 30]


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


def test_a_small_terminal_wraps_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that says that it has no columns counts as a narrow one."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "1")
    assert console_width() == 40


def test_a_table_that_just_fits_is_not_turned_round() -> None:
    """A table as wide as the terminal stays as it is; with a column less it is turned round."""
    whole = lay(NAMES, ROWS, None)
    width = max(map(len, whole))
    assert lay(NAMES, ROWS, width) == whole
    assert lay(NAMES, ROWS, width - 1) != whole


def test_numbers_with_a_sign_are_numbers() -> None:
    """A column of negative numbers has them under each other."""
    assert lay(["", "n"], [["a", "-5"], ["b", "-12"]], None) == ["     n", "a   -5", "b  -12"]


def test_a_title_stands_before_a_table_and_an_empty_line_behind(capsys: pytest.CaptureFixture[str]) -> None:
    """A table with a title is apart from what follows; one without is not."""
    print_table("Title", ["", "n"], [["a", 1]])
    print_table("", ["", "n"], [["a", 1]])
    assert capsys.readouterr().out == "Title\n   n\na  1\n\n   n\na  1\n"
