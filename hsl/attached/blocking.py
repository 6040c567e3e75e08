"""A device of your own on a socket, for programs that wait: `hsl.attach`."""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from types import TracebackType
from typing import Any, Self, TypeVar

from hsl.attached.calls import DeviceCalls
from hsl.attached.core import Core
from hsl.attached.device import Doorbell
from hsl.attached.settings import Settings
from hsl.attached.view import DeviceView
from hsl.emulator.arguments import Bytes
from hsl.emulator.calls import BlockingCalls, Call
from hsl.errors import ClosedError, ConfigError

__all__ = ["AttachedDevice"]

T = TypeVar("T")
H = TypeVar("H", bound=Callable[[Doorbell], object])
CLOSED = "the device is closed: use it inside its `with` block, or before close()"


class AttachedDevice(BlockingCalls, DeviceView):
    """A device of your own on a socket, which a running CPU has booted. HSL 5.15, annex A.

    `hsl.attach` makes it; use it as a context manager, or `close` it. Each call blocks until its accesses
    have ended. Several threads may call at the same time. A thread of its own drives the link meanwhile: it
    answers the CPU, and keeps the link alive while the program does something else.

    Addresses and sizes are in bytes, as for `hsl.Agent`, whose calls it has: any address and any size inside
    `memory_map` will do, and an access that crosses a 64-byte line is split into one access per line.

    Calls raise AddressError (an address outside the memory map), ConfigError (another argument that cannot be
    used), PoisonError (the data are poisoned, 6.1), TransactionError (another error of an access; `code` is
    its Err: UNREACH also for a call that has not ended within `timeout`), PeerLost (the link is lost: this
    device is of no more use), ClosedError (it is closed), and once what a handler of doorbells has raised.
    """

    _calls: DeviceCalls

    def __init__(self, settings: Settings) -> None:
        self._core = Core(settings)
        self._calls = self._core.calls
        self._lock = threading.Lock()  # between the last call and the end of the loop
        self._closed = False
        self._handler: Callable[[Doorbell], object] | None = None
        self._server: threading.Thread | None = None
        self._failure: BaseException | None = None  # of a handler, until it is raised
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        running: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(running,), name="hsl.attach link", daemon=True
        )
        self._thread.start()
        running.result()
        atexit.register(self._shut)  # for a program that ends without `close`
        try:
            self._hand_over(self._core.open())
        except BaseException:
            self._shut()
            raise

    def intr(self, vector: int, data: int = 0) -> None:
        """Interrupt the CPU with the vector `vector` of this device, 0 to 3, and `data`, 32 bits. HSL A.4.

        `hsl.JobVector` has names for the vectors. The CPU has said by NOTIFY where they begin, and which NID
        gets them. The interrupt leaves after all earlier stores of this device are performed.
        """
        self._perform(self._calls.intr(vector, data))

    def ncread(self, addr: int, size: int = 8) -> bytes:
        """Read registers of another node. HSL 5.14.

        `size`: 1, 2, 4, ..., 64 bytes, a divisor of `addr`.
        """
        return self._perform(self._calls.ncread(addr, size))

    def ncwrite(self, addr: int, data: Bytes | int) -> None:
        """Write registers of another node; 8 bytes, or an int, ring a doorbell there. HSL 5.14.

        `data`: 1, 2, 4, ..., 64 bytes, a divisor of `addr`.
        """
        self._perform(self._calls.ncwrite(addr, data))

    def _perform(self, call: Call[T]) -> T:
        self._raise_failure()
        return call.result(self._hand_over(self._core.results(call.accesses)))

    # ---- doorbells

    def on_doorbell(self, handler: H) -> H:
        """Call `handler(doorbell)` for each doorbell from now on; return `handler`.

        Handlers run one at a time, in a thread of their own, and may make the calls of this device. An
        exception of a handler is raised by the next call of another thread, or at the end of the `with`
        block. Doorbells that were rung before are not lost. NOTIFY is handled inside.
        """
        with self._lock:
            self._core.require_open()
            self._handler = handler
            if self._server is None:
                self._server = threading.Thread(target=self._serve, name="hsl.attach doorbells", daemon=True)
                self._server.start()
        return handler

    def wait_doorbell(self, timeout: float | None = None) -> Doorbell | None:
        """Return the next doorbell; None when none was rung for `timeout` seconds. For want of a handler."""
        self._raise_failure()
        if self._server is not None:
            raise ConfigError("wait_doorbell: the handler of on_doorbell takes the doorbells")
        return self._hand_over(self._core.bell(timeout))

    def _serve(self) -> None:
        """Call the handler for each doorbell, until the device is closed or the link is lost."""
        while True:
            try:
                bell = self._hand_over(self._core.bell())
            except Exception:  # the next call says so too
                return
            assert bell is not None  # there is no limit
            assert self._handler is not None
            try:
                self._handler(bell)
            except BaseException as error:  # it is raised in another thread
                self._failure = self._failure or error

    def _raise_failure(self) -> None:
        """Raise the exception of a handler, once; not in the handler itself."""
        if self._failure is not None and threading.current_thread() is not self._server:
            failure, self._failure = self._failure, None
            raise failure

    # ---- the thread of the link

    def _run(self, running: Future[None]) -> None:
        async def live() -> None:
            self._loop = asyncio.get_running_loop()
            self._stop = asyncio.Event()
            running.set_result(None)
            await self._stop.wait()

        try:
            asyncio.run(live())
        except BaseException as error:
            if not running.done():
                running.set_exception(error)

    def _hand_over(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop of the link; wait for its result."""
        with self._lock:
            if self._closed:
                work.close()
                raise ClosedError(CLOSED)
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except CancelledError:
            raise ClosedError(CLOSED) from None
        finally:
            future.cancel()

    # ---- the end

    def close(self) -> None:
        """End what is under way, give back the lines of the cache, and disable the port; may be repeated.

        A handler that runs may end first. Calls that are under way raise ClosedError, and so do later ones.
        Raises what a handler of doorbells has raised, and CaptureError if the capture cannot be written.
        """
        server = self._server
        if server is not None and server is not threading.current_thread() and not self._closed:
            self._loop.call_soon_threadsafe(self._core.stop_bells)
            server.join()
        self._shut()
        self._raise_failure()

    def _shut(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            ending = asyncio.run_coroutine_threadsafe(self._core.close(), self._loop)
        atexit.unregister(self._shut)
        try:
            ending.result()
        finally:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
        if self._server is not None and self._server is not threading.current_thread():
            self._server.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._shut()
