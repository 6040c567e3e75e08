"""README and docs: each command runs as it is written, and prints what the page shows.

When an output was changed on purpose, `python -m tests.support.reader` writes the present one into the pages.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from hsl.cli import main
from tests.support.documents import PAGES, ROOT, blocks, expected
from tests.support.reader import Reader

TOOLS = {
    "tshark": pytest.mark.tool("tshark", apt="tshark"),
    "valgrind": pytest.mark.tool("valgrind", apt="valgrind"),
    "record_lackey": pytest.mark.tool("valgrind", apt="valgrind"),
    "hsl model": pytest.mark.tool("rumur", apt="rumur"),
}


def cases() -> Iterator[object]:
    """Yield the pages with commands, with the tools that they need; pages of the same commands once."""
    seen = set()
    for page in filter(Path.exists, PAGES):
        commands = tuple(command for block in blocks(page.read_text()) for command in block.commands)
        if commands and commands not in seen:
            seen.add(commands)
            marks = [mark for word, mark in TOOLS.items() if any(word in command for command in commands)]
            yield pytest.param(page, id=str(page.relative_to(ROOT)), marks=marks)


@pytest.mark.parametrize("page", list(cases()))
def test_commands_of_a_page(page: Path, tmp_path: Path) -> None:
    """Each command of a page succeeds as it is written, after those before it, and prints what is shown."""
    reader = Reader(tmp_path)
    for block in blocks(page.read_text()):
        printed = reader.read(block)
        assert expected(block.body).fullmatch(printed), f"shown:\n{block.body}\nprinted:\n{printed}"


def options_of(words: list[str]) -> set[str]:
    """Return the options of the command that `words` begin with, `hsl` left out."""
    command: click.Command = main
    context = click.Context(command)
    for word in words:
        child = command.get_command(context, word) if isinstance(command, click.Group) else None
        if child is None:
            break
        command = child
    return {
        name
        for parameter in command.get_params(context)
        for name in (*parameter.opts, *parameter.secondary_opts)
    }


@pytest.mark.parametrize("page", [page for page in PAGES if page.exists()], ids=lambda page: page.name)
def test_options_exist(page: Path) -> None:
    """Each option of a command in a block of a page exists, also where the command is not run."""
    for block in blocks(page.read_text()):
        for line in re.findall(r"^(?:\$ )?hsl ([^|>\n]*)", block.body, re.MULTILINE):
            options = {word.partition("=")[0] for word in line.split() if re.match(r"-{1,2}[a-z]", word)}
            assert options <= options_of(line.split()), f"{page.name}: hsl {line}"
