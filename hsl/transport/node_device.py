"""A node on a transport without programs above it."""

from __future__ import annotations

from hsl.engine.node import Node

__all__ = ["NodeDevice"]


class NodeDevice:
    """Let a transport drive `node`; the caller submits the accesses to it and watches their tickets.

    `hsl.Loopback` and `hsl.Session` take it as a Device. Set `quiescing` when no more accesses follow: from
    then on the transport injects no faults, so that the counters of both ends can be compared.
    """

    finished = True

    def __init__(self, node: Node) -> None:
        self.node = node
        self.started = False  # every port has been up
        self.quiescing = False

    def advance(self, now: int) -> None:
        """Move the messages of the node; the caller holds the tickets, so completions are dropped."""
        self.node.advance(now)
        self.node.completions()
        self.started = self.started or self.node.connected

    def next_deadline(self) -> int | None:
        """Return the next time in ns at which a timer of the node expires."""
        return self.node.next_deadline()
