"""A queue that never blocks, and the thread that takes its messages to a broker."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from aiomqtt import Client, MqttError, Will

from hsl.telemetry.topics import LEAVES, Broker, payload, plain_words, topic
from hsl.telemetry.watcher import told_already

__all__ = ["Publisher"]

MAX_QUEUE = 256  # messages: some seconds of a node; a few hundred bytes each
CONNECT_SECONDS = 3.0  # for the broker to say CONNACK, or PUBACK
RETRY_SECONDS = 1.0  # between two calls of a broker that does not answer
CLOSE_SECONDS = 2.0  # what the last messages get at the end
KEEPALIVE_SECONDS = 5  # a broker tells the last will at most 1.5 times this after a node froze
QUIET = logging.getLogger("hsl.telemetry.mqtt")
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False  # `trouble` reports each failure once


class Publisher:
    """Publishes for one node. `put` never waits: with a full queue the oldest message is dropped and counted.

    `trouble` is called once, from the thread, if no broker is reached. After `close`, `published` and
    `dropped` add up to what was put.
    """

    def __init__(self, broker: Broker, run: str, node: str, trouble: Callable[[str], None]) -> None:
        self.broker, self.run, self.node = broker, run, node
        self.published = self.dropped = 0
        self._trouble: Callable[[str], None] | None = trouble
        self._queue: deque[tuple[str, bytes, int, bool]] = deque()
        self._lock = threading.Lock()
        self._over = False
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(told_already)
        self._woken = asyncio.Event()
        self._closing = asyncio.Event()
        self._thread = threading.Thread(target=self._work, name="hsl-telemetry", daemon=True)
        self._thread.start()

    def put(self, leaf: str, body: dict[str, Any], *below: int) -> None:
        """Hand a message over; drops the oldest one when the queue is full."""
        one = (
            topic(self.run, self.node, leaf, *below),
            payload(leaf, body),
            LEAVES[leaf].qos,
            LEAVES[leaf].retain,
        )
        with self._lock:
            if self._over:
                self.dropped += 1
                return
            if len(self._queue) == MAX_QUEUE:
                self._queue.popleft()
                self.dropped += 1
            self._queue.append(one)
        self._loop.call_soon_threadsafe(self._woken.set)

    def close(self) -> None:
        """Give the queue CLOSE_SECONDS to empty, and end; what is left is dropped."""
        if self._thread.is_alive() and not self._over:
            self._loop.call_soon_threadsafe(self._finish)
            self._thread.join(CLOSE_SECONDS + CONNECT_SECONDS)
        with self._lock:
            self._over = True
            self.dropped += len(self._queue)
            self._queue.clear()

    # ---- in the thread

    def _work(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        session = asyncio.create_task(self._sessions())
        await self._closing.wait()
        await asyncio.wait([session], timeout=CLOSE_SECONDS)
        session.cancel()
        await asyncio.wait([session], timeout=CLOSE_SECONDS)

    def _finish(self) -> None:
        self._closing.set()
        self._woken.set()

    async def _sessions(self) -> None:
        """Connect, again and again, until all is published."""
        while True:
            try:
                async with self._client() as client:
                    await self._publish(client)
                return
            except MqttError as error:
                if self._trouble is not None:
                    why = plain_words(error)
                    self._trouble(f"telemetry: no broker at {self.broker}: {why}; the run goes on without")
                    self._trouble = None
            if self._closing.is_set():
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), RETRY_SECONDS)

    def _client(self) -> Client:
        will = Will(topic(self.run, self.node, "state"), payload("state", {"state": "lost"}), 1, True)
        return Client(
            self.broker.host, self.broker.port, will=will, timeout=CONNECT_SECONDS,
            keepalive=KEEPALIVE_SECONDS, logger=QUIET,
        )  # fmt: skip

    async def _publish(self, client: Client) -> None:
        """Publish what is put, until the end. A message is taken out of the queue when it has gone."""
        while True:
            self._woken.clear()
            while self._queue:
                with self._lock:
                    one = self._queue[0]
                name, data, qos, retain = one
                await client.publish(name, data, qos, retain)
                with self._lock:
                    self.published += 1
                    if self._queue and self._queue[0] is one:
                        self._queue.popleft()
                    else:
                        self.dropped -= 1  # it was pushed out while it was on its way
            if self._closing.is_set():
                return
            await self._woken.wait()
