"""README and docs: each command runs as it is written, and prints what the page shows."""

import contextlib
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from hsl.cli import main
from tests.support.documents import PAGES, ROOT, Block, blocks, expected

NUMBERS = itertools.count()
LONGEST = 120.0  # seconds that a command may take; none comes near it
PORT = re.compile(r"(?<=127\.0\.0\.1:)\d{4}\b")
LEFT_OUT = {".git", "build"}  # not linked into the folder where the commands run
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


class Reader:
    """Somebody who types the commands of a page, in a folder with links to everything in the tree."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports: dict[str, str] = {}
        self.environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        for name in ("COLUMNS", "HSL_ENGINE"):
            self.environment.pop(name, None)
        for path in ROOT.iterdir():
            if path.name not in LEFT_OUT:
                (folder / path.name).symlink_to(path)

    def with_free_ports(self, text: str) -> str:
        """Return `text` with each port of this host replaced, the same one by the same."""
        return PORT.sub(lambda match: self.ports.setdefault(match[0], free_port()), text)

    def read(self, block: Block) -> None:
        """Do what a block asks for, and check its exit codes and its output."""
        if "file" in block.marks:
            (self.folder / block.marks["file"]).write_text(self.with_free_ports(block.body))
        elif "together" in block.marks:
            self.run_together(block)
        else:
            for command, code in zip(block.commands, block.codes, strict=True):
                output = self.start(command).end(code)
                if block.language == "console":
                    shown = block.outputs[block.commands.index(command)]
                    assert expected(shown).fullmatch(output), (
                        f"{command}\nprinted:\n{output}\nshown:\n{shown}"
                    )

    def run_together(self, block: Block) -> None:
        """Run the commands at the same time; the next one begins when a listener has printed its address."""
        running = []
        for command in block.commands:
            running.append(self.start(command))
            if "--listen" in command:
                running[-1].until_it_says("listening at")
        for run, code in zip(running, block.codes, strict=True):
            run.end(code)

    def start(self, command: str) -> "Run":
        return Run(self.with_free_ports(command), self.folder, self.environment)


class Run:
    """A command of a page that runs, its streams in files."""

    def __init__(self, command: str, folder: Path, environment: dict[str, str]) -> None:
        self.command = command
        number = next(NUMBERS)
        self.out, self.err = folder / f".out-{number}", folder / f".err-{number}"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                ["bash", "-o", "pipefail", "-c", command],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def until_it_says(self, words: str) -> None:
        """Wait until stderr has `words`, or the command has ended."""
        end = time.monotonic() + LONGEST
        while words not in self.err.read_text() and self.process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)

    def end(self, code: int) -> str:
        """Wait, check the exit code, return stdout without spaces at the ends of lines."""
        try:
            found = self.process.wait(LONGEST)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        assert found == code, f"{self.command}: exit code {found}\n{self.err.read_text()}"
        return re.sub(r"[ \t]+$", "", self.out.read_text(), flags=re.MULTILINE)


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])


@pytest.mark.parametrize("page", list(cases()))
def test_commands_of_a_page(page: Path, tmp_path: Path) -> None:
    """Each command of a page succeeds as it is written, after those before it, and prints what is shown."""
    reader = Reader(tmp_path)
    for block in blocks(page.read_text()):
        reader.read(block)


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
