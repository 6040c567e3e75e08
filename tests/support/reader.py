"""Somebody who types the commands of a page: `python -m tests.support.reader [PAGE...]` renews the outputs.

A block of `console` whose commands still print what is shown stays as it is, `...` and all.
"""

import contextlib
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

from tests.support.documents import PAGES, ROOT, Block, blocks, expected
from tests.support.held_port import hold_port, port_of

NUMBERS = itertools.count()
LONGEST = 120.0  # seconds that a command may take; none comes near it
PORT = re.compile(r"(?<=127\.0\.0\.1:)\d{4}\b")
LEFT_OUT = {".git", "build"}  # not linked into the folder where the commands run


class Reader:
    """Somebody who types the commands of a page, in a folder with links to everything in the tree."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports: dict[str, socket.socket] = {}
        self.environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        for name in ("COLUMNS", "HSL_ENGINE"):
            self.environment.pop(name, None)
        for path in ROOT.iterdir():
            if path.name not in LEFT_OUT:
                (folder / path.name).symlink_to(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for held in self.ports.values():
            held.close()

    def with_free_ports(self, text: str) -> str:
        """Return `text` with each port of this host replaced, the same one by the same."""
        return PORT.sub(lambda match: self.free_port(match[0]), text)

    def free_port(self, shown: str) -> str:
        """Return the port that stands for a port of a page, held until the page is read."""
        if shown not in self.ports:
            self.ports[shown] = hold_port()
        return str(port_of(self.ports[shown]))

    def read(self, block: Block) -> str:
        """Do what a block asks for, and check its exit codes; return its text with the present output."""
        if "file" in block.marks:
            (self.folder / block.marks["file"]).write_text(self.with_free_ports(block.body))
        if "together" in block.marks:
            self.run_together(block)
            return block.body
        done = ""
        for command, code in zip(block.commands, block.codes, strict=True):
            done += f"$ {command}\n{self.start(command).end(code)}"
        return done if block.language == "console" else block.body

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


def renew(page: Path) -> None:
    """Run a page, and write the outputs that are no longer what is shown."""
    text = page.read_text("utf-8")
    with tempfile.TemporaryDirectory() as folder, Reader(Path(folder)) as reader:
        for block in blocks(text):
            found = reader.read(block)
            if not expected(block.body).fullmatch(found):
                text = text.replace(f"```console\n{block.body}", f"```console\n{found}")
    page.write_text(text, "utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:] or [str(page) for page in PAGES if page.exists()]:
        renew(Path(name))
