"""The embedded broker: amqtt in a thread of its own, on 127.0.0.1."""

from __future__ import annotations

import asyncio
import logging
import threading
from types import TracebackType
from typing import Self

from amqtt.broker import Broker as Amqtt

from hsl.errors import TransportError, reason
from hsl.telemetry.topics import Broker

__all__ = ["EmbeddedBroker"]

HOST = "127.0.0.1"
LISTENER = "default"
MAX_CONNECTIONS = 64  # nodes and watchers; more are closed at once
# `external`: we own the socket, so that port 0 picks one. The plugins leave out amqtt's own topics and logs.
CONFIG = {
    "listeners": {LISTENER: {"type": "external"}},
    "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
}
for name in ("amqtt", "transitions"):
    logging.getLogger(name).setLevel(logging.CRITICAL)  # a killed node is no error of the broker


class EmbeddedBroker:
    """A broker while the context lasts. Raises TransportError when the port is taken; 0 picks one."""

    def __init__(self, port: int = 0) -> None:
        self.address = Broker(HOST, port)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._error: OSError | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._work, name="hsl-broker", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            self._thread.join()
            raise TransportError(f"{self.address}: {reason(self._error)}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _work(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        broker = Amqtt(CONFIG)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._connections.add(task)
            try:
                if len(self._connections) <= MAX_CONNECTIONS:
                    await broker.stream_connected(reader, writer, LISTENER)
            finally:
                self._connections.discard(task)
                writer.transport.abort()  # closed at once: the loop may have no other turn

        await broker.start()
        try:
            server = await asyncio.start_server(serve, HOST, self.address.port)
        except OSError as error:
            self._error = error
            self._ready.set()
            await broker.shutdown()
            return
        self.address = Broker(HOST, server.sockets[0].getsockname()[1])
        self._ready.set()
        await self._stop.wait()
        server.close()
        await broker.shutdown()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
