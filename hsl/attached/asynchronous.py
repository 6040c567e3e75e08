"""A device of your own on a socket, for programs on an event loop: `hsl.attach_async`."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt

from hsl._generated.constants import LINE_BYTES
from hsl.attached.core import Core
from hsl.attached.device import Doorbell
from hsl.attached.settings import Settings
from hsl.attached.view import DeviceView
from hsl.emulator.arguments import Bytes
from hsl.emulator.calls import Call
from hsl.emulator.operands import Operand
from hsl.errors import ConfigError

__all__ = ["AsyncAttachedDevice"]

T = TypeVar("T")
H = TypeVar("H", bound=Callable[[Doorbell], Awaitable[object] | object])


class AsyncAttachedDevice(DeviceView):
    """A device of your own on a socket, which a running CPU has booted. HSL 5.15, annex A.

    `hsl.attach_async` makes it; it is attached inside `async with`. The calls have the names, arguments and
    errors of `hsl.AttachedDevice`, and are awaited; calls of several tasks are under way at the same time. A
    call that is cancelled begins no more accesses; those that have begun may still take effect.
    """

    def __init__(self, settings: Settings) -> None:
        self._core = Core(settings)
        self._calls = self._core.calls
        self._handler: Callable[[Doorbell], Awaitable[object] | object] | None = None
        self._server: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None  # of a handler, until it is raised

    async def load(self, addr: int, size: int = 8) -> bytes:
        """Return the `size` bytes at `addr`, as `hsl.Agent.load`."""
        return await self._perform(self._calls.load(addr, size))

    async def store(self, addr: int, data: Bytes) -> None:
        """Store `data` at `addr`, as `hsl.Agent.store`."""
        await self._perform(self._calls.store(addr, data))

    async def atomic(
        self, op: str, addr: int, operand: Operand, *, size: int | None = None, compare: Operand | None = None
    ) -> Operand:
        """Perform an atomic operation; return the old value, as `hsl.Agent.atomic`."""
        return await self._perform(self._calls.atomic(op, addr, operand, size, compare))

    async def fence(self, *kinds: str) -> None:
        """Wait until all earlier accesses of these kinds are performed, as `hsl.Agent.fence`."""
        await self._perform(self._calls.fence(*kinds))

    async def flush(self, addr: int, size: int = 1) -> None:
        """Write lines back to memory and drop every copy, as `hsl.Agent.flush`."""
        await self._perform(self._calls.flush(addr, size))

    async def load_many(self, addrs: npt.ArrayLike, size: int = LINE_BYTES) -> npt.NDArray[np.uint8]:
        """Load `size` bytes at each of n addresses: uint8 of shape (n, size), as `hsl.Agent.load_many`."""
        return await self._perform(self._calls.load_many(addrs, size))

    async def store_many(self, addrs: npt.ArrayLike, data: npt.ArrayLike) -> None:
        """Store row i of `data` at `addrs[i]`, as `hsl.Agent.store_many`."""
        await self._perform(self._calls.store_many(addrs, data))

    async def intr(self, vector: int, data: int = 0) -> None:
        """Interrupt the CPU, as `hsl.AttachedDevice.intr`."""
        await self._perform(self._calls.intr(vector, data))

    async def ncread(self, addr: int, size: int = 8) -> bytes:
        """Read a register of another node, as `hsl.AttachedDevice.ncread`."""
        return await self._perform(self._calls.ncread(addr, size))

    async def ncwrite(self, addr: int, data: Bytes | int) -> None:
        """Write a register of another node, as `hsl.AttachedDevice.ncwrite`."""
        await self._perform(self._calls.ncwrite(addr, data))

    async def _perform(self, call: Call[T]) -> T:
        self._raise_failure()
        return call.result(await self._core.results(call.accesses))

    # ---- doorbells

    def on_doorbell(self, handler: H) -> H:
        """Call `handler(doorbell)` for each doorbell from now on, one at a time; return `handler`.

        A handler may be a coroutine function; then other tasks go on while it runs. An exception of a
        handler is raised by the next call of another task, or at the end of the `async with` block.
        """
        self._core.require_open()
        self._handler = handler
        if self._server is None:
            self._server = asyncio.create_task(self._serve(), name="hsl.attach doorbells")
        return handler

    async def wait_doorbell(self, timeout: float | None = None) -> Doorbell | None:
        """Return the next doorbell, as `hsl.AttachedDevice.wait_doorbell`."""
        self._raise_failure()
        if self._server is not None:
            raise ConfigError("wait_doorbell: the handler of on_doorbell takes the doorbells")
        return await self._core.bell(timeout)

    async def _serve(self) -> None:
        """Call the handler for each doorbell, until the device is closed or the link is lost."""
        while True:
            try:
                bell = await self._core.bell()
            except Exception:  # the next call says so too
                return
            assert bell is not None  # there is no limit
            assert self._handler is not None
            try:
                done = self._handler(bell)
                if inspect.isawaitable(done):
                    await done
            except Exception as error:
                self._failure = self._failure or error

    def _raise_failure(self) -> None:
        """Raise the exception of a handler, once; not in the handler itself."""
        if self._failure is not None and asyncio.current_task() is not self._server:
            failure, self._failure = self._failure, None
            raise failure

    # ---- from the first call to the last

    async def close(self) -> None:
        """End what is under way, give back the lines of the cache, and disable the port; may be repeated.

        A handler that runs may end first. Calls that are under way raise ClosedError, and so do later ones.
        """
        if self._server is not None and asyncio.current_task() is not self._server:
            self._core.stop_bells()
            await asyncio.wait({self._server})
        await self._shut()

    async def _shut(self) -> None:
        try:
            await self._core.close()
        finally:
            if self._server is not None and asyncio.current_task() is not self._server:
                self._server.cancel()
                await asyncio.wait({self._server})

    async def __aenter__(self) -> Self:
        await self._core.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await (self.close() if kind is None else self._shut())
        if kind is None:
            self._raise_failure()
