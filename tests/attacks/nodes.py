"""Nodes of `hsl` as processes under attack: started, watched from /proc, ended by their own pid."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from hsl.cli.meter import ENVIRONMENT, LINES, LISTENING

START_SECONDS = 30.0  # a loaded machine takes long to import numpy
ADDRESS = re.compile(rf"^{LISTENING}(\S+)$", re.MULTILINE)


class Node:
    """One `hsl node` process; its streams go to files: `log`, bounded by what is read of it, and `log`.out.

    `python`: the interpreter whose `hsl` is attacked; `files`: RLIMIT_NOFILE; `lines`: each step of its work
    is told.
    """

    def __init__(
        self,
        log: Path,
        *arguments: str,
        python: str = sys.executable,
        files: int | None = None,
        lines: bool = False,
    ) -> None:
        self.log, self.out = log, log.with_name(log.name + ".out")
        limit: Callable[[], None] | None = None
        if files is not None:
            most = files
            limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # noqa: E731
        with log.open("wb") as errors, self.out.open("wb") as out:
            self.process = subprocess.Popen(
                [python, "-m", "hsl", "node", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                env=os.environ | ({ENVIRONMENT: LINES} if lines else {}),
                preexec_fn=limit,
                cwd=log.parent,
            )

    def uris(self, count: int = 1) -> list[str]:
        """The addresses where the node listens; waits until all are there."""
        wait(lambda: len(ADDRESS.findall(self.errors())) >= count or self.code is not None)
        found: list[str] = ADDRESS.findall(self.errors())
        assert len(found) >= count, f"the node does not listen: {self.errors()[-500:]}"
        return found

    def errors(self) -> str:
        """The first megabyte of what the node has said."""
        with self.log.open(errors="replace") as text:
            return text.read(1 << 20)

    def output(self) -> str:
        """What the node has printed on stdout."""
        return self.out.read_text()

    @property
    def code(self) -> int | None:
        """The exit code, None while it lives."""
        return self.process.poll()

    def ended(self, seconds: float) -> int | None:
        """The exit code, waiting so long for it."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def rss(self) -> float:
        """Resident memory in MB, 0 when the process is gone."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return 0.0
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        return int(found[1]) / 1024 if found else 0.0

    def files(self) -> int:
        """Open file descriptors, 0 when the process is gone."""
        try:
            return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))
        except OSError:
            return 0

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this process, if it lives."""
        if self.code is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """End it, whatever it does."""
        if self.code is None:
            self.process.kill()
        self.process.wait()


def wait(until: Callable[[], object], seconds: float = START_SECONDS) -> bool:
    """Poll until something is true; return whether it is."""
    end = time.monotonic() + seconds
    while not until():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
