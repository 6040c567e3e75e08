"""A copy of the tree and the server that runs jobs in it: where mutants are planted one after the other."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.support.mutant_tree import MutantTree, copied

__all__ = ["Bench", "BenchLostError", "opened"]

SERVER: Final = Path(__file__).with_name("server.py")
ENVIRONMENT: Final = {
    "COVERAGE_CORE": "ctrace",  # the one that knows tests apart
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",  # a mutant has the same fate in each run
    "ASAN_OPTIONS": "hard_rss_limit_mb=2048",
}
TEST_SECONDS: Final = 120.0  # a planted fault may hang its test
ASSERTED: Final = re.compile("AssertionError|Failed: ")  # so begins what an assertion of a test says


class BenchLostError(Exception):
    """The server of a copy has ended."""


class Bench:
    """A copy of the tree with a server in it; used by one thread at a time."""

    def __init__(self, tree: MutantTree) -> None:
        """Start the server."""
        self.tree = tree
        self.root = root = tree.root
        self.sound = b""  # the fingerprint of the extension without a fault; see `trial.prepare`
        (temporary := root / ".tmp").mkdir()
        environment = {name: value for name, value in tree.environment.items() if name != "HSL_CI"}
        programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._server = subprocess.Popen(
            [sys.executable, "-P", SERVER],
            cwd=root,
            env=environment | ENVIRONMENT | {"TMPDIR": str(temporary), "PATH": programs},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def ask(self, kind: str, seconds: float, **job: object) -> dict[str, Any]:
        """Run a job; see `tests.mutation.server`. Raises BenchLostError if the server has ended."""
        stdin, stdout = self._server.stdin, self._server.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(json.dumps({"kind": kind, "seconds": seconds} | job) + "\n")
            stdin.flush()
            line = stdout.readline()
        except (OSError, ValueError) as error:
            raise BenchLostError(str(error)) from error
        if not line:
            raise BenchLostError(self.output())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def command(self, *command: str, seconds: float) -> bool:
        """Run a program in the copy; True if it ended with 0."""
        return self.ask("command", seconds, command=command).get("code") == 0

    def output(self) -> str:
        """Return the end of what the last job wrote."""
        with contextlib.suppress(OSError):
            return (self.root / "job.log").read_text(errors="replace")[-3000:]
        return ""

    def caught_by(self, test: str) -> str:
        """Return the line with which the test fails by an assertion of its own; see `MutantTree.planted`.

        Raises ValueError when the test passes, ends otherwise, or fails by accident.
        """
        if test.startswith("ctest:"):
            done = self.tree.ctest(test.removeprefix("ctest:"))
            if done.returncode and "***Failed" in done.stdout:
                return f"{test} failed"
            raise ValueError(f"{test} does not catch the fault (exit {done.returncode}):\n{done.stdout}")
        answer = self.ask("test", TEST_SECONDS, test=test)
        if answer["code"] == 1 and ASSERTED.match(answer["message"]):
            return f"{test} failed at {answer['place']}: {answer['message'].splitlines()[0]}"
        raise ValueError(f"{test} does not catch the fault: {answer}\n{self.output()}")

    @contextmanager
    def planted(self, file: str, text: str) -> Iterator[None]:
        """Hold a mutated file in the copy."""
        path = self.root / file
        original = path.read_text()
        path.write_text(text)
        try:
            yield
        finally:
            path.write_text(original)

    def close(self) -> None:
        """End the server and what it runs."""
        stdin, stdout = self._server.stdin, self._server.stdout
        assert stdin is not None
        assert stdout is not None
        with contextlib.suppress(OSError):
            stdin.close()
        self._server.wait()
        stdout.close()
        shutil.rmtree(self.root / ".tmp", ignore_errors=True)


@contextmanager
def opened(root: Path) -> Iterator[Bench]:
    """Copy the tree at `root`, and start a server there; both go away at the end."""
    with copied(root) as tree:
        # Compiled files that name the hash of their source: a mutant has none, whatever its time of change.
        compiled = ("compileall", "-q", "--invalidation-mode", "checked-hash", "hsl", "tests")
        tree.run(sys.executable, "-m", *compiled)
        bench = Bench(tree)
        try:
            yield bench
        finally:
            bench.close()
