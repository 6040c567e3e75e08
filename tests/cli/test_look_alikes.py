"""Characters of an input method in the place of ASCII: an error names the first one."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from hsl.cli import main
from hsl.cli.exits import ExitCode
from hsl.cli.look_alikes import look_alike_hint

# ruff: noqa: RUF001 - the characters are what is tested

DEMO = ("demo", "--transport", "loopback")
WRONG = {  # command -> what the error ends with
    (*DEMO, "--faults", "crc：0.01"): "; 'crc：0.01' contains '：', expected ':'",
    (*DEMO, "--faults", "crc:0.01，drop:0.01"): "; 'crc:0.01，drop:0.01' contains '，', expected ','",
    (*DEMO, "--seed", "７"): "; '７' contains '７', expected '7'",
    (*DEMO, "—faults", "0.01"): "; '—faults' contains '—', expected '-'",
    ("node", "gpu", "--connect", "tcp：//127.0.0.1:1"): "contains '：', expected ':'",
    ("litmus", "run", "“MP+rel*”"): "; '“MP+rel*”' contains '“', expected '\"'",
    ("ｄｅｍｏ",): "; 'ｄｅｍｏ' contains 'ｄ', expected 'd'",
}


@pytest.mark.parametrize(("arguments", "hint"), WRONG.items(), ids=[" ".join(each) for each in WRONG])
def test_the_character_is_named(arguments: tuple[str, ...], hint: str) -> None:
    """The last line of the error names the character that was typed and the one that is expected."""
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code in (ExitCode.USAGE, ExitCode.NOTHING)
    assert done.stderr.splitlines()[-1].endswith(hint)


def test_a_name_is_left_alone(tmp_path: Path) -> None:
    """A name with ideographs is meant as it is written, with its punctuation."""
    done = CliRunner().invoke(main, ["check", str(tmp_path / "测试：一.jsonl")])
    assert (done.exit_code, done.stderr.splitlines()[-1]) == (
        ExitCode.USAGE,
        f"hsl: {tmp_path}/测试：一.jsonl: No such file or directory",
    )


def test_only_look_alikes_are_named() -> None:
    """A word of ASCII and one that no character of ASCII looks like have no hint."""
    assert look_alike_hint(["demo", "--faults", "crc:0.01", "", "é", "\udcd6"]) == ""
    assert look_alike_hint(["demo", "０．１"]) == "; '０．１' contains '０', expected '0'"
