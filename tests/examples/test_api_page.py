"""The Python in docs/api.md is run, in order, as a reader would paste it."""

import re
from pathlib import Path

import pytest

import hsl
from tests.support.documents import blocks

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/api.md").read_text()
# A file that commands of the page use is run by the test of the commands.
BLOCKS = [each.body for each in blocks(PAGE) if each.language == "python" and "file" not in each.marks]


def test_blocks_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every block runs after those before it, and prints what its comments promise."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in BLOCKS:
        exec(compile(block, "docs/api.md", "exec"), names)  # noqa: S102
        printed = capsys.readouterr().out
        for promise in re.findall(r"# (b'hello'|0(?=, the old)|hostmem .*|load at .*)$", block, re.MULTILINE):
            assert promise in printed
    assert {path.name for path in tmp_path.iterdir()} == {"run.pcapng", "reads.pcapng"}


def test_the_page_starts_with_ten_lines() -> None:
    """The first block is a whole program of at most ten lines."""
    assert len(BLOCKS[0].splitlines()) <= 10


def test_the_page_names_every_public_name() -> None:
    """Each public name of hsl is on the page, or is an error, a member of `hsl.errors`."""
    errors = {name for name in hsl.__all__ if isinstance(getattr(hsl, name), type)}
    errors = {name for name in errors if issubclass(getattr(hsl, name), Exception)}
    named = set(re.findall(r"\bhsl\.(\w+)", PAGE))
    assert set(hsl.__all__) - errors - {"__version__"} <= named
