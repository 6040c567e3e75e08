"""The life of an attached device on an event loop: from its first call of the CPU to DISABLE (HSL 5.15)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from copy import copy
from typing import Final

from hsl._generated.constants import TIMERS, Err, ErrorCode
from hsl.agents.access import Access
from hsl.attached.calls import DeviceCalls
from hsl.attached.device import AttachedNode, Batch, Doorbell
from hsl.attached.node import device_node
from hsl.attached.settings import Settings
from hsl.capture import Clock, Recorder, Sink, capture_info, one_end, wall_offset
from hsl.errors import (
    CaptureError,
    ClosedError,
    ConfigError,
    HslError,
    LinkError,
    PeerLost,
    PeerUnreachable,
    TransactionError,
)
from hsl.link.events import Event, FatalReceived
from hsl.session import Attachment, Session
from hsl.transport.base import Place
from hsl.transport.time_units import HANDSHAKE_TU, LOSS_TU

__all__ = ["Core"]

NS_PER_S: Final = 1_000_000_000
DEVICE: Final = 1  # number of the node in the system, which chooses the generator of its faults
# How long a CPU that has written READY may take for NOTIFY; it need not write it (HSL A.4).
NOTIFY_TU: Final = TIMERS["T_STATE"].tu // 4
GRACE_SECONDS: Final = 5.0  # for the end of what is under way when a device is closed


class Core:
    """A device and its session; all calls are made in the thread of one event loop.

    Attributes:
        settings: its options
        device: the state machine that the session drives
        calls: its calls as accesses, which any thread may make
        closed: True once it was closed, or is being closed

    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.device = AttachedNode(device_node(settings), self._change)
        self.calls = DeviceCalls(self.device)
        self.closed = False
        self._rings = True  # doorbells are given out
        self._changed = asyncio.Event()
        self._fatal: ErrorCode | int | None = None  # of an ERR_FATAL of the CPU
        self._loss: HslError | None = None  # why the session has ended
        self._session: Session | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._stack = ExitStack()

    # ---- from the first call to READY

    async def open(self) -> None:
        """Reach the CPU, bring the link up, and be booted. Raises as `hsl.attach`."""
        if self._task is not None or self.closed:
            raise ConfigError("a device is attached once; call hsl.attach again for another session")
        try:
            self._session = self._made()
            self._task = asyncio.create_task(self._session.run(), name="hsl.attach session")
            self._task.add_done_callback(self._ended)
            await self._come_up(self._session)
        except BaseException:
            await self.close()
            raise

    def _made(self) -> Session:
        """Return the session, with the capture that was asked for."""
        made, recorder = self.settings, None
        if made.capture is not None:
            node = self.device.node
            info = capture_info(Clock.WALL, made.seed, [node])
            recorder = Recorder(Sink(made.capture), info, one_end(node.name, "cpu", [Place(0)]))
            self._stack.enter_context(recorder)

        def observe(port: int, event: Event) -> None:
            if recorder is not None:
                recorder.event(Place(0, port), event)
            if isinstance(event, FatalReceived):
                self._fatal = event.code
            self._change()

        session = Session(
            self.device,
            [Attachment(uri=made.uri, listen=made.listen, device=DEVICE, wait=made.wait, faults=made.faults)],
            seed=made.seed,
            observe=observe,
            tap=None if recorder is None else recorder.flit,
        )
        if recorder is not None:
            recorder.base = wall_offset() + session.began
        return session

    async def _come_up(self, session: Session) -> None:
        made, node, end = self.settings, self.device.node, session.ends[0, 0]
        handshake, loss = ((tu << made.tu) / NS_PER_S for tu in (HANDSHAKE_TU, LOSS_TU))
        if made.listen:
            if not await self._until(lambda: end.called_at is not None, made.wait):
                raise PeerUnreachable(f"no CPU has connected to {made.uri} within {made.wait:g} s")
            heard = await self._until(lambda: self.device.started or session.heard(end), handshake)
            if not (heard and await self._until(lambda: self.device.started, handshake + loss)):
                raise PeerUnreachable(f"connected at {made.uri}, but nobody there brings the link up")
        await self._until(lambda: self.device.started)
        if not await self._until(lambda: node.ready, handshake):
            raise PeerUnreachable(
                f"{made.uri}: the link is up, but the peer has not made this device READY within "
                f"{handshake:.3g} s; expected a CPU that boots its devices (HSL 5.15), as `hsl node cpu`"
            )
        await self._until(lambda: self.device.notified, (NOTIFY_TU << made.tu) / NS_PER_S)

    async def _until(self, met: Callable[[], bool], limit: float | None = None) -> bool:
        """Wait for a condition; False after `limit` seconds. Raises what has ended the session."""
        try:
            async with asyncio.timeout(limit):
                while not met():
                    self.require_open()
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return met()
        return True

    def _change(self) -> None:
        self._changed.set()

    # ---- the session

    def require_open(self) -> None:
        """Raise ClosedError before `open` and after `close`, and what has ended a session that has ended."""
        if self._session is None and not self.closed:
            raise ClosedError("the device is not attached yet: use it inside its `async with` block")
        if self.closed:
            raise ClosedError("the device is closed: use it inside its `with` block, or before close()")
        if self._loss is not None:
            raise copy(self._loss)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Let all calls that wait know why the session has ended."""
        error = None if task.cancelled() else task.exception()
        if self._loss is None:
            self._loss = self._reason(error)
        self.device.fail(self._loss)
        self._change()

    def _reason(self, error: BaseException | None) -> HslError:
        """Return the error that ends calls, from what has ended the session."""
        if not isinstance(error, HslError):
            return ClosedError("the session of the device has ended")
        if self._fatal is None:
            if error.code != ErrorCode.CFG or self.device.was_ready:
                return error
            text = f"no link, code 10 (CFG), before the device was READY: {error}"  # this side was the first
            return LinkError(text, code=error.code)
        name = ErrorCode(self._fatal).name if self._fatal in list(ErrorCode) else "unknown"
        cause = f"ERR_FATAL, code {int(self._fatal)} ({name})"
        said = f"{self.settings.uri}: the CPU has ended the port by {cause}"
        if self.device.was_ready:
            return PeerLost(said, code=self._fatal)
        text = f"{said}, before the device was READY; the log of the CPU says why"
        if self._fatal == ErrorCode.CFG:
            text += ": as a rule, another node has its NIDs (HSL 5.15.5)"
        return LinkError(text, code=self._fatal)

    async def results(self, accesses: Iterable[Access]) -> list[bytes]:
        """Perform accesses; return their results in order.

        The first error is raised when all of them have ended; TransactionError with UNREACH when they have
        not within `timeout`.
        """
        self.require_open()
        return await self._perform(accesses, self.settings.timeout)

    async def _perform(self, accesses: Iterable[Access], limit: float | None) -> list[bytes]:
        assert self._session is not None  # it is open
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def ended(batch: Batch) -> None:
            if not future.done():
                future.set_result(None)

        batch = self.device.begin(accesses, ended)
        self._session.wake()
        try:
            async with asyncio.timeout(limit):
                await future
        except TimeoutError:
            raise TransactionError(
                f"the call has not ended within {limit:g} s; {batch.open} of its accesses are under way, and "
                "may still take effect",
                code=Err.UNREACH,
            ) from None
        finally:
            batch.abandon()
        if batch.error is not None:
            raise batch.error
        return batch.results

    async def bell(self, limit: float | None = None) -> Doorbell | None:
        """Return the next doorbell, None when there was none for `limit` seconds."""
        bells = self.device.bells
        if not await self._until(lambda: bool(bells) or not self._rings, limit):
            return None
        self.require_open()
        if not self._rings:
            raise ClosedError("the device is being closed: it takes no more doorbells")
        assert self._session is not None  # it is open
        bell = bells.popleft()
        if not bells:
            self._session.wake()  # more may wait in the I/O agent
        return bell

    def stop_bells(self) -> None:
        """Give out no more doorbells: the device is going to be closed."""
        self._rings = False
        self._change()

    # ---- the end

    async def close(self) -> None:
        """End all calls, give back the lines that the cache owns, and disable the port.

        It goes on when the caller is cancelled. Raises CaptureError if the capture cannot be written.
        """
        if self._closing is None:
            self.closed = True
            self._closing = asyncio.create_task(self._close(), name="hsl.attach close")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        self.device.fail(ClosedError("the device was closed before the call had ended"))
        self._change()
        try:
            if self._task is not None and not self._task.done():
                await self._part(self._task)
        finally:
            self._stack.close()
        error = None if self._task is None or self._task.cancelled() else self._task.exception()
        if error is not None and (isinstance(error, CaptureError) or not isinstance(error, HslError)):
            raise error

    async def _part(self, task: asyncio.Task[None]) -> None:
        """Let the session end: at once if the device is not READY, else when nothing is under way."""
        if self.device.node.ready:
            with suppress(HslError):  # the link is lost meanwhile: what the cache owned is lost with it
                await self._perform([Access("fence")], GRACE_SECONDS)
                await self._perform(self.device.owned, GRACE_SECONDS)
            self.device.quiescing = self.device.finished = True
            assert self._session is not None  # its task runs
            self._session.wake()
            await asyncio.wait({task}, timeout=GRACE_SECONDS)
        task.cancel()
        await asyncio.wait({task})
