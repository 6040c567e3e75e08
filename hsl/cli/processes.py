"""Child processes that end with us, workers among them, and event loops that a signal ends.

The children are a process group of their own, so the ^C of a terminal reaches us alone and we decide how
they end. The first process of the group is a guard: a shell that reads from a pipe which we alone can write
to. When we end, even by SIGKILL, the kernel closes the pipe, and the guard kills its group: the children,
their children, and itself.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import ExitStack, suppress
from itertools import islice
from types import TracebackType
from typing import Any, Self, TypeVar

from hsl.interruption import Held, Waking, at_exit

__all__ = ["Children", "run_loop", "spread"]

T = TypeVar("T")
GUARD = ("/bin/sh", "-c", "read _; kill -KILL 0")


class Children:
    """A context for child processes: none of them, and none of theirs, outlives it or us."""

    def __enter__(self) -> Self:
        with Held():
            self._guard = subprocess.Popen(
                GUARD,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                process_group=0,
            )
            at_exit.children[self] = self.kill
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with Held():
            self.kill()
            self._guard.wait()
            assert self._guard.stdin is not None
            self._guard.stdin.close()
            at_exit.children.pop(self, None)

    @property
    def group(self) -> int:
        """Return the `process_group` of processes that are started here."""
        return self._guard.pid

    def start(self, arguments: list[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a child. Raises OSError, also once the children were killed."""
        with Held():
            return subprocess.Popen(arguments, process_group=self.group, **options)

    def kill(self) -> None:
        """Kill them all, now."""
        with suppress(ProcessLookupError):
            os.killpg(self.group, signal.SIGKILL)


def run_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in an event loop of its own. A signal cancels it, once; then raises Interruption."""

    async def main() -> T:
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        with Waking(lambda: loop.call_soon_threadsafe(task.cancel)):
            return await work

    with Held():
        return asyncio.run(main())


class WorkerLost(Exception):
    """A worker process ended without a result."""


def spread(run: Callable[[Any], Any], items: Iterable[Any], jobs: int) -> Iterator[Any]:
    """Yield run(item) of each item as it is done, in `jobs` processes; raise what `run` raises there."""
    if jobs == 1:
        yield from map(run, items)
        return
    rest = iter(items)
    command, pipe = [sys.executable, "-m", __name__], subprocess.PIPE
    # In this order they are killed, and then waited for.
    with ExitStack() as workers, Children() as children, selectors.DefaultSelector() as ready:
        for item in islice(rest, jobs):
            worker = workers.enter_context(children.start(command, stdin=pipe, stdout=pipe))
            assert worker.stdout is not None
            ready.register(worker.stdout, selectors.EVENT_READ, worker)
            hand(worker, (run, item))
        while ready.get_map():
            for key, _ in ready.select():
                worker = key.data
                result = taken(worker)
                if not hand(worker, *((run, item) for item in islice(rest, 1))):
                    ready.unregister(worker.stdout)
                yield result


def hand(worker: subprocess.Popen[bytes], *work: Any) -> bool:
    """Give a worker its next call; without one it ends, and False is returned."""
    assert worker.stdin is not None
    with Held(), suppress(BrokenPipeError):  # it has ended; `taken` says so
        for one in work:
            pickle.dump(one, worker.stdin)
            worker.stdin.flush()
        if not work:
            worker.stdin.close()
    return bool(work)


def taken(worker: subprocess.Popen[bytes]) -> Any:
    """Return the result of a worker; raise the exception that was raised there."""
    assert worker.stdout is not None
    try:
        good, result = pickle.load(worker.stdout)  # noqa: S301 - our own process
    except EOFError:
        raise WorkerLost(f"a worker process ended with status {worker.wait()}") from None
    if not good:
        raise result
    return result


def serve() -> None:
    """Be a worker: read calls from stdin, write results to the old stdout; print to stderr."""
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with suppress(EOFError):
        while True:
            run, item = pickle.load(sys.stdin.buffer)  # noqa: S301 - from our parent
            try:
                done = (True, run(item))
            except Exception as error:
                done = (False, error)
            pickle.dump(done, results)
            results.flush()


if __name__ == "__main__":
    serve()
