"""CPUs that boot attached devices: as processes, and in the event loop of a test."""

from __future__ import annotations

import asyncio
import random
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final, NamedTuple

from hsl.emulator import IdleCpuDevice, Topology
from hsl.session import Attachment, Session
from hsl.transport.base import Address
from tests.cli.test_node import address, node

__all__ = ["FAST", "Cpu", "cpu_here", "cpu_process"]

FAST: Final = 18  # TU = 2^18 ns: a loss is told after a second
ANY: Final = "tcp://127.0.0.1:0"


class Cpu(NamedTuple):
    """A process of a CPU, and the address of each of its ports."""

    process: subprocess.Popen[str]
    uris: list[str]

    @property
    def uri(self) -> str:
        return self.uris[0]

    def said(self) -> str:
        """End the process; return what it has told since it listens."""
        self.process.terminate()
        return self.process.communicate(timeout=60)[1]


@contextmanager
def cpu_process(*options: str, ports: int = 1) -> Iterator[Cpu]:
    """A CPU without a program that listens at ports of this host."""
    listen = [word for _ in range(ports) for word in ("--listen", ANY)]
    with node("cpu", *listen, "--kernel", "none", *options) as process:
        yield Cpu(process, [address(process) for _ in range(ports)])


@asynccontextmanager
async def cpu_here(uri: str = ANY, ports: int = 1, tu: int = 20) -> AsyncIterator[tuple[list[str], Session]]:
    """The same in this event loop: the addresses of its ports, and its session."""
    topology = Topology(gpus=ports, memory_bytes=1 << 20, tu=tu)
    draw = random.Random(1)
    device = IdleCpuDevice(topology, lambda: draw.getrandbits(32))
    at = [Attachment(uri=uri, listen=True, port=port) for port in range(ports)]
    session, opened = Session(device, at, stays=True), asyncio.Event()
    uris: list[str] = []

    def announce(found: list[Address]) -> None:
        uris.extend(map(str, found))
        opened.set()

    task = asyncio.create_task(session.run(announce))
    try:
        await opened.wait()
        yield uris, session
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
