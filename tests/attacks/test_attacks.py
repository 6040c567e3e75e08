"""Every row of the table of attacks, briefly: the node holds, and an honest peer is served (chapter 16)."""

from pathlib import Path

import pytest

from tests.attacks.judge import judge
from tests.attacks.rows import ROWS


@pytest.mark.parametrize("row", ROWS, ids=[row.id for row in ROWS])
def test_attack(row: object, tmp_path: Path) -> None:
    """A bad peer denies service to itself only: no crash, growth or wrong data; honest peers are served."""
    assert isinstance(row, type(ROWS[0]))
    seen = judge(row, tmp_path)
    assert not seen.problems, f"chapter 16, {row.id}: {seen}"


def test_rows_are_named_apart() -> None:
    """No two rows have one name, so that each can be run alone."""
    assert len({row.id for row in ROWS}) == len(ROWS)
