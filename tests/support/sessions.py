"""Sessions in tests: bounded runs, pairs of sessions, and peers that speak the wire themselves."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from hsl._generated.constants import ACK_NONE, MAGIC, VERSION, CtlOp, FlitType
from hsl.codec.ctl import Ctl, encode_ctl
from hsl.codec.flit import Flit
from hsl.codec.reference import encode_flit
from hsl.link.events import Event, LinkCounters
from hsl.session import Attachment, Session, TimeLimit
from hsl.transport.base import Address, Tap
from hsl.transport.faults import FaultInjector, FaultPlan
from hsl.transport.stream import StreamLink
from tests.support.ports import PortDevice, port_config

T = TypeVar("T")
FAST = 18  # TU = 2^18 ns: T_STATE is 1.1 s, so that losses are told soon, and a stall is none
LIMIT_SECONDS = 60  # a test that hangs fails after it; nothing else depends on it


def run(body: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end; TimeoutError when it hangs."""

    async def bounded() -> T:
        return await asyncio.wait_for(body, LIMIT_SECONDS)

    return asyncio.run(bounded())


async def until(met: Callable[[], bool]) -> None:
    """Wait for a condition of another task."""
    while not met():
        await asyncio.sleep(0.002)


def no_faults() -> FaultInjector:
    """An injector that lets everything pass."""
    return FaultInjector(FaultPlan(), random.Random(0))


def warnings_of(log: pytest.LogCaptureFixture) -> list[str]:
    """The lines of the log that an operator sees."""
    return [record.getMessage() for record in log.records if record.levelno >= logging.WARNING]


class Unhurried:
    """A clock that runs at a 16th of its speed until `hurry`: a loaded machine is not a link that fails."""

    def __init__(self) -> None:
        self._slow, self._base, self._mark = 16, 0, time.monotonic_ns()

    def __call__(self) -> int:
        return self._base + (time.monotonic_ns() - self._mark) // self._slow

    def hurry(self) -> None:
        """Run at full speed from now on."""
        self._slow, self._base, self._mark = 1, self(), time.monotonic_ns()


class Running:
    """A session of one link that runs as a task; `end()` gives or raises how it ended."""

    def __init__(
        self,
        device: PortDevice,
        uri: str,
        *,
        seed: int = 0,
        passive: bool = False,
        stays: bool = False,
        clock: Callable[[], int] = time.monotonic_ns,
        limit: TimeLimit | None = None,
        tap: Tap | None = None,
        **attachment: Any,
    ) -> None:
        self.device = device
        self.events: list[Event] = []
        self.session = Session(
            device,
            [Attachment(uri=uri, **attachment)],
            seed=seed,
            passive=passive,
            stays=stays,
            clock=clock,
            limit=limit,
            tap=tap,
            observe=lambda port, event: self.events.append(event),
        )
        self.uri = ""
        self.task = asyncio.create_task(self.session.run(self._opened))

    def _opened(self, addresses: list[Address]) -> None:
        self.uri = str(addresses[0])

    @property
    def link(self) -> StreamLink:
        return self.session.ends[0, 0].link

    @property
    def counters(self) -> LinkCounters:
        return self.device.port.links[0].counters

    @property
    def resting(self) -> bool:
        """True if its program has ended and nothing that it sent waits for an acknowledgement."""
        return self.device.finished and self.device.node.quiesced

    async def open(self) -> Running:
        """Wait until its address is known."""
        await until(lambda: bool(self.uri) or self.task.done())
        return self

    async def end(self) -> Running:
        """Wait for its end."""
        await self.task
        return self

    async def kill(self) -> None:
        """Cut its socket and forget it, as a killed process would: nothing is said to the peer."""
        self.device.node.stop = lambda now: None  # type: ignore[method-assign]
        self.link.drop()
        self.task.cancel()
        await asyncio.wait([self.task])


def device(guid: int, count: int = 100, expected: int | None = None, **config: Any) -> PortDevice:
    """A bare port that sends `count` messages, and expects as many from its peer unless told otherwise."""
    config = {"tu_exp": 20} | config
    return PortDevice(
        port_config(guid, **config), count=count, expected=count if expected is None else expected
    )


async def listening(device: PortDevice, uri: str = "tcp://:0", **more: Any) -> Running:
    """A session that listens."""
    return await Running(device, uri, listen=True, **more).open()


async def calling(device: PortDevice, uri: str, **more: Any) -> Running:
    """A session that connects."""
    return await Running(device, uri, **more).open()


def check_balance(sender: Running, receiver: Running, note: str) -> None:
    """One direction: every PROT and every damaged flit is accounted for, and every message arrived."""
    tx, rx, injector = sender.counters, receiver.counters, sender.link.injector
    taken = rx.prot_accepted + rx.prot_gap + rx.prot_duplicate + rx.prot_stray
    assert tx.prot_sent + injector.prot_duplicated == taken + injector.prot_lost, note
    assert injector.damaged == rx.crc_errors, note
    assert sender.device.port.messages_sent == receiver.device.port.messages_received, note


def ctl_flit(op: CtlOp, epoch: int, peer: int, seen: bool = False, **body: Any) -> bytes:
    """One framed CTL flit, for a peer that is no session."""
    payload = encode_ctl(Ctl(op, seen, epoch, peer, body))
    return framed(encode_flit(Flit("L64", FlitType.CTL, ack=ACK_NONE, payload=payload)))


def framed(flit: bytes) -> bytes:
    """Return a flit as tcp and unix carry it."""
    return len(flit).to_bytes(2, "little") + flit


def hello(epoch: int = 77, form: str = "L64", peer: int = 0, **changes: Any) -> bytes:
    """Return the HELLO of a peer that is no session, with GUID 99; `changes` are fields of its body."""
    major, minor = VERSION
    body = {"magic": MAGIC, "guid": 99, "link": 0, "links": 1, "port": 7}
    body |= {"min_major": major, "min_minor": minor, "max_major": major, "max_minor": minor}
    payload = encode_ctl(Ctl(CtlOp.HELLO, peer != 0, epoch, peer, body | changes))
    return encode_flit(Flit(form, FlitType.CTL, ack=ACK_NONE, payload=payload))
