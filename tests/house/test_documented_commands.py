"""README and docs: each command runs as it is written, and prints what the page shows.

When an output was changed on purpose, `python -m tests.support.reader` writes the present one into the pages.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from hsl.cli import main
from tests.support.documents import FENCE, PAGES, ROOT, blocks, expected
from tests.support.reader import Reader

COMING = {"trace", "conform"}  # commands that README calls coming; another test holds it to that
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
    with Reader(tmp_path) as reader:
        for block in blocks(page.read_text()):
            printed = reader.read(block)
            assert expected(block.body).fullmatch(printed), f"shown:\n{block.body}\nprinted:\n{printed}"


def options_of(words: list[str]) -> set[str]:
    """Return the options of the command that `words` begin with, `hsl` left out."""
    command: click.Command = main
    context = main.make_context("hsl", [], resilient_parsing=True)
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


def command_of(words: list[str]) -> tuple[str, str]:
    """Return the command that `words` begin with, and the first word that a group of it does not have."""
    command: click.Command = main
    context, path = main.make_context("hsl", [], resilient_parsing=True), ["hsl"]
    for word in words:
        if not isinstance(command, click.Group) or word.startswith("-") or word.isupper():
            break
        child = command.get_command(context, word)
        if child is None:
            return " ".join(path), word
        command = child
        path.append(word)
    return " ".join(path), ""


def unknown(text: str) -> Iterator[str]:
    """Yield the commands of a page, in blocks and prose, with a subcommand or option that is not there."""
    prose = re.findall(r"`hsl ([^`]*)`", FENCE.sub("", text))
    for line in [*prose, *(line for block in blocks(text) for line in commands_in(block.body))]:
        words = line.split()
        options = {word.partition("=")[0] for word in words if re.match(r"-{1,2}[a-z]", word)}
        if not options <= options_of(words) or (command_of(words)[1] and words[0] not in COMING):
            yield f"hsl {line}"


def commands_in(body: str) -> list[str]:
    """Return what follows `hsl` in each line of a block that is a command."""
    whole = body.replace("\\\n", " ")
    return re.findall(r"^(?:\$ )?hsl ([^|>\n]*)", whole, re.MULTILINE)


@pytest.mark.parametrize("page", [page for page in PAGES if page.exists()], ids=lambda page: page.name)
def test_commands_exist(page: Path) -> None:
    """Each command of a page, in a block or in prose, exists with its options, also where it is not run."""
    assert list(unknown(page.read_text())) == []


@pytest.mark.parametrize(
    "text",
    [
        "Type `hsl rerun`.",
        "Type `hsl link wash`.",
        "Type `hsl demo --sed 1`.",
        "```text\n$ hsl demo --sed=1\n```\n",
        "```sh\nhsl node cpu \\\n    --listn x\n```\n",
        "```sh\nhsl link wash\n```\n",
    ],
)
def test_an_unknown_command_is_seen(text: str) -> None:
    """A command or option that is not there is found in prose and in blocks; known ones are not."""
    known = (
        "`hsl demo --seed 1`, `hsl help COMMAND`, `hsl litmus run 'MP*' --seed 1`\n\n```sh\nhsl info\n```\n\n"
    )
    assert list(unknown(known)) == []
    assert len(list(unknown(known + text))) == 1
