"""The nodes that publish at a broker, as a watcher sees them; it checks each message."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable
from typing import Any

from aiomqtt import Client, MqttError

from hsl.errors import PeerLost, PeerUnreachable
from hsl.telemetry.topics import ENDS, FILTER, ONLINE, BadMessage, Broker, Reading, parse_message, plain_words

__all__ = ["Watcher", "told_already"]

CONNECT_SECONDS = 5.0
MAX_NODES = 256  # nodes that are shown; what more there are is a bad message each
MAX_LINKS = 64  # of a node: 8 ports of 8 links
KEY_WIDTH = 22  # characters: a run of 16 hex digits and a short name of a node
REFUSED = 0x80  # SUBACK return codes from here on are failures (MQTT 3.1.1, 3.9.3)
MAX_INCOMING = 1024  # messages that wait for us; aiomqtt drops what comes above
QUIET = logging.getLogger("hsl.telemetry.watch")
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False


def told_already(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Exception handler of a loop in which only aiomqtt works: pass over what follows from a broken broker.

    The caller of aiomqtt reports that broker once. Two things are left behind: futures that nobody awaits,
    and an `add_writer` that aiomqtt queued for a socket which was closed before the loop came to it. An error
    of any other task or callback is ours.
    """
    future = context.get("future")
    late = getattr(context.get("exception"), "errno", None) == errno.EBADF
    if isinstance(future, asyncio.Task) or (future is None and not late):
        loop.default_exception_handler(context)


def printable(text: str, most: int) -> str:
    """Return the first `most` characters of `text`, with `?` for each that is not printable."""
    return "".join(each if each.isprintable() else "?" for each in text[:most])


class Watcher:
    """The last state of each node; `show(line)` is called with a line for each message."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self.show = show
        self.messages = self.bad = 0
        self.nodes: dict[str, dict[str, Any]] = {}
        self._alive: set[str] = set()
        self._met = False

    @property
    def over(self) -> bool:
        """True if a node was seen alive, and none is any more."""
        return self._met and not self._alive

    async def watch(self, broker: Broker, count: int | None, ready: Callable[[], None]) -> None:
        """Follow until all nodes have ended or `count` messages came; call `ready` once subscribed.

        Raises PeerUnreachable, PeerLost.
        """
        client = Client(
            broker.host, broker.port, timeout=CONNECT_SECONDS, logger=QUIET,
            max_queued_incoming_messages=MAX_INCOMING,
        )  # fmt: skip
        connected = False
        asyncio.get_running_loop().set_exception_handler(told_already)
        try:
            async with client:
                granted = await client.subscribe(FILTER, 1)
                if any((code if isinstance(code, int) else code.value) >= REFUSED for code in granted):
                    raise MqttError("it refuses the subscription")
                connected = True
                ready()
                async for message in client.messages:
                    self.take(message.topic.value, message.payload)
                    if self.over or self.messages == count:
                        return
        except MqttError as error:
            kind = PeerLost if connected else PeerUnreachable
            raise kind(f"{broker}: {plain_words(error)}") from None

    async def watch_for(
        self, broker: Broker, count: int | None, seconds: float | None, ready: Callable[[], None]
    ) -> None:
        """As `watch`, for at most `seconds`."""
        task = asyncio.create_task(self.watch(broker, count, ready))
        done, _ = await asyncio.wait([task], timeout=seconds)
        if not done:
            task.cancel()
            await asyncio.wait([task])
            return
        task.result()

    def take(self, name: str, data: object) -> None:
        """One message of the broker."""
        self.messages += 1
        try:
            self._note(parse_message(name, data))
        except BadMessage as bad:
            self.bad += 1
            self.show(f"bad message: {bad}")

    def _note(self, reading: Reading) -> None:
        key = f"{reading.run}/{reading.node}"
        if key not in self.nodes and len(self.nodes) == MAX_NODES:
            raise BadMessage(f"{key}: more than {MAX_NODES} nodes")
        node = self.nodes.setdefault(key, {"state": "", "links": {}, "counters": None, "events": 0})
        body = reading.body
        match reading.leaf:
            case "state":
                node["state"] = body["state"]
                if body["state"] == ONLINE:
                    self._alive.add(key)
                    self._met = True
                elif body["state"] in ENDS:
                    self._alive.discard(key)
                self._tell(key, "state", body["state"])
            case "link":
                place = f"{body['port']}.{body['link']}"[:20]
                if place not in node["links"] and len(node["links"]) == MAX_LINKS:
                    raise BadMessage(f"{key}: more than {MAX_LINKS} links")
                node["links"][place] = body["state"]
                self._tell(key, f"link {place}", body["state"], body["cause"])
            case "counters":
                node["counters"] = body["ports"]
                self._tell(key, "counters", f"at {str(body['now_ns'])[:20]} ns")
            case "event":
                node["events"] += 1
                self._tell(key, "event", body["event"], body["text"])

    def _tell(self, key: str, kind: str, value: str, text: str = "") -> None:
        """Show a line in columns; the peer's texts are cut, and cannot move the cursor."""
        line = f"{key:<{KEY_WIDTH}}  {kind:<9}  {printable(value, 40):<16}  {printable(text, 200)}"
        self.show(line.rstrip())
