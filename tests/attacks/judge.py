"""Runs a row of the table against real processes, and says what did not hold."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from examples.raw_attacks import Target, run
from tests.attacks.nodes import Node, wait
from tests.attacks.rows import LIVES, SERVES, Row

INPUT = b"the quick brown fox jumps over the lazy dog\n" * 20
HONEST_SECONDS = 60.0  # for a GPU that is served, on a loaded machine
END_SECONDS = 20.0  # for a node whose peer has left: T_STATE is 4.3 s
SEED = 8
LINES_A_SECOND = 4  # one of each kind: connections that end, sessions that are turned away, errors, accept()
ARRAYS = ("--kernel", "saxpy", "--home", "memory", "--size", "4096")  # data in the memory node
LOAD = "import time; end = time.monotonic() + 60\nwhile time.monotonic() < end: pass"
PROGRESS = ("waiting for ", "counted ")  # lines of a run that takes seconds, one every 5 s
COUNTED = {"turned_away": "sent", "admitted": ""}  # as often as the attack has sent, or else had turns
ADMITTED = "port 1: MEMORY admitted"
FENCED = "FENCED|TIMEOUT"
BAD = ("Traceback", "internal error", "RuntimeWarning")


@dataclass
class Seen:
    """What an attack has shown; `problems` is empty when all held."""

    row: Row
    count: int
    done: int = 0
    ended: str = ""
    code: int | None = None
    honest: tuple[int | None, ...] = ()
    lines: int = 0
    mb: float = 0.0
    told: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def must(self, holds: bool, problem: str) -> None:
        """Note a problem where something does not hold."""
        if not holds:
            self.problems.append(problem)

    def __str__(self) -> str:
        told = "".join(f", {name} {value}" for name, value in self.told.items())
        honest = f", honest {'/'.join(map(str, self.honest))}" if self.honest else ""
        return (
            f"exit {self.code}{honest}, {self.lines} lines, {self.mb:+.1f} MB{told}; {self.ended[:60]}"
            + "".join(f"\n    FAILED: {problem}" for problem in self.problems)
        )


class Peak:
    """The greatest RSS of a node while the attack runs, sampled by a thread."""

    def __init__(self, node: Node) -> None:
        self.node, self.most, self._over = node, node.rss(), threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while not self._over.wait(0.05):
            self.most = max(self.most, self.node.rss())

    def stop(self) -> float:
        """End the sampling; the peak in MB."""
        self._over.set()
        self._thread.join()
        return self.most


def judge(row: Row, tmp: Path, *, long: bool = False, python: str = sys.executable) -> Seen:
    """Start the victim, attack it, and compare what it does with what the row demands."""
    seen = Seen(row, row.long if long else row.short)
    with ExitStack() as stack:
        victim, uri, others = stage(row, tmp, python, stack)
        before, files, began = victim.rss(), victim.files(), time.monotonic()
        peak = Peak(victim)
        seconds = row.long_seconds if long else row.seconds
        target = Target(uri, seen.count, seconds, SEED, tu_exp=row.tu, **dict(row.caps))
        target.greets = row.victim == "cpu"  # before it does, the loss of the peer would not end it
        with loaded(row.name == "open-reads"):
            seen.ended = run(row.name, target)
        seen.done, seen.told = target.done, target.seen
        alive = {name: other.code is None for name, other in others.items()}
        seen.mb = peak.stop() - before
        finish(row, seen, victim, uri, files, tmp, python)
        for name, turns in COUNTED.items():
            wanted = seen.told.get(turns, seen.done)
            seen.must(seen.told.get(name, wanted) == wanted, f"{seen.told}: {name} {wanted} was expected")
        text = victim.errors()
        seen.lines = sum(not line.startswith(PROGRESS) for line in text.splitlines())
        seen.must(seen.mb <= row.mb, f"RSS grew by {seen.mb:.1f} MB, at most {row.mb} are expected")
        most = row.lines + LINES_A_SECOND * (time.monotonic() - began)
        seen.must(seen.lines <= most, f"{seen.lines} lines on stderr, at most {most:.0f}: {text[-300:]}")
        seen.must(not any(bad in text for bad in BAD), f"stderr: {text[-600:]}")
        if row.victim == "third":
            seen.must(alive["memory"], f"the innocent memory node has ended: {others['memory'].errors()}")
            seen.must(not re.search(FENCED, text), f"the memory node was fenced: {text}")
            times = text.count(ADMITTED)
            seen.must(times == 1, f"the memory node was admitted {times} times: {text}")
        if row.victim == "third" and row.then == SERVES:
            code = others["memory"].ended(END_SECONDS)
            seen.must(code == 0, f"the memory node has ended with {code}: {others['memory'].errors()}")
        seen.must(seen.told.get("answered", 1) == 1, f"reads were not answered: {seen.told}")
    return seen


def stage(row: Row, tmp: Path, python: str, stack: ExitStack) -> tuple[Node, str, dict[str, Node]]:
    """Start the victim and the others; return it, the address to attack, and them."""

    def start(name: str, *arguments: str, files: int | None = None) -> Node:
        node = Node(tmp / f"{name}.err", *arguments, "--tu", str(row.tu), python=python, files=files)
        stack.callback(node.kill)
        return node

    listen = f"unix://{tmp}/link" if row.scheme == "unix" else f"{row.scheme}://127.0.0.1:0"
    once = () if row.then == SERVES else ("--once",)
    if row.victim == "gpu":
        victim = start("gpu", "gpu", "--listen", listen, *row.options)
        return victim, victim.uris()[0], {}
    if row.victim == "cpu":
        (tmp / "input").write_bytes(INPUT)
        job = ("--input", "input", *once)
        victim = start("cpu", "cpu", "--listen", listen, *job, *row.options, files=row.files)
        return victim, victim.uris()[0], {}
    two = ("--listen", listen, "--listen", "tcp://127.0.0.1:0")
    victim = start("cpu", "cpu", *two, *ARRAYS, *once, *row.options)
    first, second = victim.uris(2)
    if row.victim == "memory":
        return victim, second, {"gpu": start("gpu", "gpu", "--connect", first, "--wait", "30")}
    memory = start("memory", "memory", "--connect", second, "--wait", "30")
    assert wait(lambda: ADMITTED in victim.errors()), f"no memory node: {victim.errors()[-500:]}"
    return victim, first, {"memory": memory}


def finish(row: Row, seen: Seen, victim: Node, uri: str, files: int, tmp: Path, python: str) -> None:
    """See the victim serve an honest GPU, end, or live on."""
    if row.then == LIVES:
        seen.must(victim.code is None, f"it ended with {victim.code}: {victim.errors()[-300:]}")
        return
    if row.then == SERVES:
        seen.must(victim.code is None, f"it ended with {victim.code}: {victim.errors()[-300:]}")
        back = wait(lambda: victim.files() <= files, END_SECONDS)
        seen.must(back, f"{victim.files()} files are open, {files} were before")
        honest = honest_gpu(uri, row, tmp, python)
        seen.code = victim.ended(END_SECONDS)
        seen.honest = (seen.code, honest)
        seen.must(seen.honest == (0, 0), f"an honest GPU was not served: {seen.honest}")
        return
    seen.code = victim.ended(END_SECONDS)
    seen.must(seen.code in row.codes, f"it ended with {seen.code}, expected one of {row.codes}")


def honest_gpu(uri: str, row: Row, tmp: Path, python: str) -> int | None:
    """The exit code of an honest GPU."""
    node = Node(tmp / "honest.err", "gpu", "--connect", uri, "--tu", str(row.tu), python=python)
    try:
        return node.ended(HONEST_SECONDS)
    finally:
        node.kill()


@contextmanager
def loaded(wanted: bool) -> Iterator[None]:
    """Keep two cores busy, by processes that end by themselves after a minute."""
    command = [sys.executable, "-c", LOAD]
    busy = [subprocess.Popen(command) for _ in range(2 if wanted else 0)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()
