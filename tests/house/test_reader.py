"""tests/support/reader.py: commands of a page that fail, differ or stay are noticed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.documents import Block
from tests.support.reader import Reader, renew


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    with Reader(tmp_path) as opened:
        yield opened


def sh(body: str, **marks: str) -> Block:
    return Block("sh", body, marks)


@pytest.mark.parametrize(
    ("block", "code"),
    [
        (sh("true\nfalse\n"), 1),
        (sh("false | true\n"), 1),
        (sh("true\n", exit="3"), 0),
        (Block("console", "$ exit 4\n", {}), 4),
        (sh("true\nexit 5 # --listen listening at\n", together=""), 5),
    ],
)
def test_another_exit_code_fails(reader: Reader, block: Block, code: int) -> None:
    """A command that ends with another exit code than the page says is an error that tells the code."""
    with pytest.raises(AssertionError, match=f"exit code {code}"):
        reader.read(block)


def test_exit_codes_of_a_page(reader: Reader) -> None:
    """The exit codes that a page gives are those of its commands in order."""
    reader.read(sh("exit 7\ntrue\n", exit="7 0"))
    with pytest.raises(ValueError, match="zip"):
        reader.read(sh("true\ntrue\n", exit="0"))


def test_present_output(reader: Reader) -> None:
    """A block of console comes back with what its commands print now, without spaces at the ends of lines."""
    block = Block("console", "$ echo 'a  '\nb\n$ pwd >/dev/null\n", {})
    assert reader.read(block) == "$ echo 'a  '\na\n$ pwd >/dev/null\n"
    assert reader.read(sh("echo a\n")) == "echo a\n"


def test_settings_of_the_host_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands do not get the settings of the host for hsl and for the width of a terminal."""
    for name in ("HSL_ENGINE", "COLUMNS"):
        monkeypatch.setenv(name, "x")
    block = Block("console", '$ echo "[$HSL_ENGINE$COLUMNS]"\n', {})
    assert Reader(tmp_path).read(block).endswith("\n[]\n")


def test_ports(reader: Reader) -> None:
    """A port of a page is replaced by a free one, the same by the same, in files and in commands."""
    text = "127.0.0.1:7410 127.0.0.1:7411 127.0.0.1:7410\n"
    reader.read(Block("", text, {"file": "a.txt"}))
    (shown,) = reader.read(Block("console", "$ cat a.txt; echo 127.0.0.1:7411\n", {})).splitlines()[1:2]
    first, second, again = re.findall(r":(\d+)", shown)
    assert first == again != second
    assert reader.with_free_ports("127.0.0.1:7411") == f"127.0.0.1:{second}"
    assert "7410" not in (first, second)


def test_together_waits_for_the_listener(reader: Reader) -> None:
    """The next command begins when one that listens has said so; all of them run at the same time."""
    listener = (
        "sleep 0.1; touch there; echo listening at >&2; until test -e done; do sleep 0.01; done # --listen"
    )
    reader.read(sh(f"{listener}\ntest -e there && touch done\n", together=""))


def test_what_stays_is_stopped(reader: Reader) -> None:
    """A process that a command leaves behind ends with it."""
    (shown,) = reader.read(Block("console", "$ sleep 300 & echo $!\n", {})).splitlines()[1:]
    path = Path(f"/proc/{int(shown)}/stat")
    for _ in range(1000):
        try:
            if path.read_text().split(") ")[1].startswith("Z"):
                return
        except (FileNotFoundError, ProcessLookupError):  # it ended before, or while it was read
            return
    pytest.fail(f"{shown} still runs")


def test_renew(tmp_path: Path) -> None:
    """Outputs that are no longer what is shown are written into the page; the others stay, `...` and all."""
    page = tmp_path / "page.md"
    same = "```console\n$ echo a b\na ...\n```\n"
    page.write_text(f"# Page\n\n{same}\n```console\n$ echo new\nold\n```\n")
    renew(page)
    assert page.read_text() == f"# Page\n\n{same}\n```console\n$ echo new\nnew\n```\n"
