"""Runs jobs in a copy of the tree, each in a forked process: `python -P server.py` in the folder of the copy.

A job is a line of JSON on stdin, its answer a line on stdout. The server loads pytest and other libraries
once; each job loads `hsl` and the tests. A job is killed, with all that it has started, when its time is over
or the parent of the server has gone. This file imports nothing of the project: `hsl` must stay unloaded.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import resource
import select
import signal
import time
import traceback
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NoReturn

import construct
import coverage
import hypothesis
import jsonschema
import numpy as np
import pytest

__all__ = ["main"]

# For the jobs: forked, they need not load them.
LOADED = (construct, hypothesis, jsonschema, np, *(each.load() for each in entry_points(group="pytest11")))
MEMORY_BYTES = 3 << 30  # of a job: a mutant must not fill the machine
PR_SET_CHILD_SUBREAPER = 36
EX_SOFTWARE = 70  # a job that ends by an exception
RESULT = Path("job.json").absolute()
ARGUMENTS = ("-q", "-p", "no:cacheprovider", "--assert=plain", "--hypothesis-profile=ci")


class Selection:
    """A plugin of pytest: runs the chosen tests in the order given, and stops one that hangs."""

    def __init__(self, limits: dict[str, float]) -> None:
        self.limits = limits  # seconds of each test; the order is that of the run
        self.failed = ""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the chosen tests."""
        rank = {name: index for index, name in enumerate(self.limits)}
        items[:] = sorted((item for item in items if item.nodeid in rank), key=lambda item: rank[item.nodeid])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Set an alarm, whose signal ends the process if the test hangs; leave the name of the test."""
        RESULT.write_text(json.dumps({"failed": item.nodeid}))
        signal.setitimer(signal.ITIMER_REAL, self.limits[item.nodeid])
        result = yield
        signal.setitimer(signal.ITIMER_REAL, 0)
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the first test that failed."""
        if report.failed and not self.failed:
            self.failed = report.nodeid


class Measure:
    """A plugin of pytest: notes what each test takes, and which of the chosen lines it reaches."""

    def __init__(self, lines: dict[str, list[int]]) -> None:
        self.lines = lines  # of each source file, those that are asked for
        files = [str(Path(file).absolute()) for file in lines]
        self.coverage = coverage.Coverage(data_file=None, include=files or ["none"], config_file=False)
        self.seconds: dict[str, float] = {}
        self.failed: list[str] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Put what is reached down to the test."""
        began = time.monotonic()
        self.coverage.switch_context(item.nodeid)
        result = yield
        self.coverage.switch_context("")
        self.seconds[item.nodeid] = time.monotonic() - began
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the tests that fail without a fault, and do not count those that did not run."""
        if report.failed:
            self.failed.append(report.nodeid)

    def reached(self) -> dict[str, dict[int, list[int]]]:
        """Return for each line that is asked for the numbers of the tests that reach it; -1 for an import."""
        data = self.coverage.get_data()
        number = defaultdict(lambda: -1, {name: index for index, name in enumerate(self.seconds)})
        found: dict[str, dict[int, list[int]]] = {}
        for file, lines in self.lines.items():
            tests = data.contexts_by_lineno(str(Path(file).absolute()))
            found[file] = {line: [number[name] for name in tests.get(line, [])] for line in lines}
        return found


class Failure:
    """A plugin of pytest: notes where and by what the first test failed."""

    def __init__(self) -> None:
        self.place = self.message = ""

    def pytest_exception_interact(self, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
        """Note the exception of a test's own code: a fixture or an import that fails is an accident."""
        if call.when == "call" and call.excinfo is not None and not self.place:
            at = call.excinfo.traceback[-1]
            self.place, self.message = f"{at.path}:{at.lineno + 1}", call.excinfo.exconly()


def run_test(job: dict[str, Any]) -> dict[str, Any]:
    """Run what pytest selects by a name, up to the first failure."""
    plugin = Failure()
    code = int(pytest.main([*ARGUMENTS, "-x", "--tb=native", job["test"]], plugins=[plugin]))
    return {"code": code, **vars(plugin)}


def run_tests(job: dict[str, Any]) -> dict[str, Any]:
    """Run chosen tests up to the first failure; `failed` is the test, "" if none of them failed."""
    plugin = Selection(job["tests"])
    files = list(dict.fromkeys(name.split("::")[0] for name in plugin.limits))
    code = int(pytest.main([*ARGUMENTS, "-x", "--tb=no", *files], plugins=[plugin]))
    return {"code": code, "failed": plugin.failed}


def run_measure(job: dict[str, Any]) -> dict[str, Any]:
    """Run the tests of files without a fault."""
    plugin = Measure(job["lines"])
    plugin.coverage.start()
    code = int(pytest.main([*ARGUMENTS, "--tb=short", *job["files"]], plugins=[plugin]))
    plugin.coverage.stop()
    return {"code": code, "failed": plugin.failed, "seconds": plugin.seconds, "reached": plugin.reached()}


def run_command(job: dict[str, Any]) -> NoReturn:
    """Become another program."""
    os.execvp(job["command"][0], job["command"])  # noqa: S606


JOBS = {"test": run_test, "tests": run_tests, "measure": run_measure, "command": run_command}


def child(job: dict[str, Any]) -> NoReturn:
    """Run the job in this forked process, and leave what it found in a file."""
    output = os.open("job.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    if job["kind"] != "command":  # the C tests' sanitizer maps terabytes; it has a limit of its own
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    RESULT.write_text(json.dumps(JOBS[job["kind"]](job)))
    os._exit(0)


def sweep() -> None:
    """Kill and reap what a job has left behind: as a subreaper we are the parent of its orphans."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    while pids := children.read_text().split():
        for pid in map(int, pids):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def perform(job: dict[str, Any]) -> dict[str, Any]:
    """Run a job to its end or to the end of its time; `status` is "ended", "timeout" or "crashed"."""
    RESULT.unlink(missing_ok=True)
    pid = os.fork()
    if pid == 0:
        try:
            child(job)
        except BaseException:
            traceback.print_exc()  # to the log of the job
        finally:
            os._exit(EX_SOFTWARE)
    code = wait(pid, job["seconds"])
    sweep()
    late = code is None or code == -signal.SIGALRM
    status = "timeout" if late else "ended" if code == 0 or job["kind"] == "command" else "crashed"
    found = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    return {"status": status, "code": code, **found}


def wait(pid: int, seconds: float) -> int | None:
    """Return the exit code of a child, None if its time is over or our parent is gone."""
    poll, fd = select.poll(), os.pidfd_open(pid)
    poll.register(fd, select.POLLIN)
    poll.register(0, select.POLLIN)
    ready = [each for each, _ in poll.poll(seconds * 1000)]
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if fd in ready else None


def main() -> None:
    """Serve until stdin ends."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    gc.freeze()  # a collection in a job need not look at what was loaded here
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    pending = b""
    while part := os.read(0, 1 << 16):
        pending += part
        if pending.endswith(b"\n"):
            job, pending = json.loads(pending), b""
            answers.write(json.dumps(perform(job)) + "\n")


if __name__ == "__main__":
    main()
