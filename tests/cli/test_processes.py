"""Children that end with us, and workers."""

import os
import select
import signal
import subprocess
import sys
from contextlib import suppress

import pytest

from hsl.cli.processes import Children, WorkerLost, spread
from hsl.errors import ConfigError

LIMIT_SECONDS = 10.0  # which only a failure takes


def square(number: int) -> int:
    return number * number


def refuse(number: int) -> int:
    raise ConfigError(f"no {number}")


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def chatter(number: int) -> int:
    print("to stdout")
    return number


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_results_of_workers(jobs: int) -> None:
    """Each item is worked on once, by one process or several, also when there are more items than workers."""
    assert sorted(spread(square, range(5), jobs)) == [0, 1, 4, 9, 16]


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_in_a_worker_is_raised_here(jobs: int) -> None:
    """What a worker raises reaches the caller as it is: its exit code depends on the class."""
    with pytest.raises(ConfigError, match="no 7"):
        list(spread(refuse, [7, 7, 7], jobs))


def test_a_worker_that_dies() -> None:
    """A worker that was killed is an error, and no item is lost silently."""
    with pytest.raises(WorkerLost, match="status -9"):
        list(spread(die, [1, 2], 2))


def test_a_worker_that_prints() -> None:
    """The stdout of a worker is not the way of its results."""
    assert sorted(spread(chatter, [1, 2], 2)) == [1, 2]


def test_children_and_theirs_end_with_the_context() -> None:
    """At the end of the context its processes are killed, with those that they have started."""
    with Children() as children:
        command = ["/bin/sh", "-c", "sleep 60 & echo $!; wait"]
        child = children.start(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        assert int(child.stdout.readline())
    assert child.wait(60) == -signal.SIGKILL
    assert child.stdout.read() == ""  # the pipe ends once the grandchild, which has it too, has ended
    child.stdout.close()


def test_nothing_is_started_after_the_context() -> None:
    """A child that nobody would end is not started: the group is no more."""
    with Children() as children:
        pass
    with pytest.raises(PermissionError):
        children.start([sys.executable, "-c", ""])


OWNER = """
import sys, time
from hsl.cli.processes import Children
with Children() as children:
    child = children.start([sys.executable, "-c", sys.argv[1]])
    time.sleep(60)
"""
DEAF = """
import os, signal, time
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
print(os.getpid(), flush=True)
time.sleep(60)
"""


def test_a_deaf_child_of_a_killed_owner_ends() -> None:
    """When the owner is killed its children are killed: one that ignores all signals it can ends too."""
    with subprocess.Popen([sys.executable, "-c", OWNER, DEAF], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        child = os.pidfd_open(int(owner.stdout.readline()))
        owner.kill()
        try:
            assert select.select([child], [], [], LIMIT_SECONDS)[0], "the child outlives its owner"
        finally:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(child, signal.SIGKILL)
            os.close(child)
