"""Reports of a node: its state, the states of its links, events, and counters at intervals."""

from __future__ import annotations

from hsl.engine.node import Node
from hsl.link.events import (
    ErrorLogged,
    Event,
    FatalReceived,
    LinkDown,
    LinkUp,
    PeerGone,
    RetrainAsked,
    StateChanged,
)
from hsl.telemetry.publisher import Publisher
from hsl.telemetry.topics import ONLINE

__all__ = ["Reporter"]

MAX_TEXT = 200  # characters of an event's text


class Reporter:
    """Turns what a node does into messages; `interval`: ns between two snapshots of its counters."""

    def __init__(self, node: Node, publisher: Publisher, interval: int) -> None:
        self.node, self.publisher, self.interval = node, publisher, interval
        self._due = 0
        publisher.put("state", {"state": ONLINE})

    def flit(self, now: int) -> None:
        """A flit came or went at `now` (ns): no counter changes without one."""
        if now >= self._due:
            self._due = now + self.interval
            self.counters(now)

    def counters(self, now: int) -> None:
        """Publish the counters as they are."""
        ports = [
            {
                "up": port.up,
                "links": [link.counters.as_dict() for link in port.links],
                "messages_sent": sum(port.messages_sent.values()),
                "messages_received": sum(port.messages_received.values()),
            }
            for port in self.node.ports
        ]
        self.publisher.put("counters", {"now_ns": now, "ports": ports})

    def event(self, port: int, event: Event) -> None:
        """Publish an event; a link's state is retained."""
        if isinstance(event, StateChanged):
            body = {"now_ns": event.now, "port": port, "link": event.link, "state": event.new.name}
            self.publisher.put("link", body | {"cause": event.cause}, port, event.link)
        else:
            body = {"now_ns": event.now, "port": port, "event": type(event).__name__}
            self.publisher.put("event", body | {"text": text_of(event)[:MAX_TEXT]})

    def end(self, now: int, verified: bool | None) -> None:
        """Say good-bye: how the run ended; None when it ended by an error."""
        self.counters(now)
        body = {"state": "failed"} if verified is None else {"state": "ended", "verified": verified}
        self.publisher.put("state", body)
        self.publisher.close()


def text_of(event: Event) -> str:
    """An event for people."""
    match event:
        case ErrorLogged():
            return f"link {event.link}: {event.code.name}: {event.text}"
        case FatalReceived():
            return f"link {event.link}: code {event.code}"
        case LinkDown():
            return event.cause
        case PeerGone():
            return event.proof
        case RetrainAsked():
            return f"link {event.link}"
        case LinkUp() | StateChanged():
            return ""
