"""A relay between two udp sockets that loses, repeats and reorders datagrams, from a seed."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

LOCALHOST = "127.0.0.1"
MAX_HELD = 4  # datagrams that later ones overtake


class Side(asyncio.DatagramProtocol):
    """One socket of the relay."""

    def __init__(self, relay: Relay, toward: str) -> None:
        self.relay = relay
        self.toward = toward
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, source: Any) -> None:
        self.relay.passed(self, data, source)

    def error_received(self, error: Exception) -> None:
        """ICMP: one of the ends is not there."""


class Relay:
    """`port` is what the connecting side calls; all goes on to `target`, the listening side's port."""

    def __init__(
        self, target: int, seed: int, *, loss: float = 0.0, repeat: float = 0.0, swap: float = 0.0
    ) -> None:
        self.target = (LOCALHOST, target)
        self.rng = random.Random(seed)
        self.rates = {"lost": loss, "repeated": repeat, "swapped": swap}
        self.counts: Counter[str] = Counter()
        self.client: Any = None
        self.held: dict[str, list[bytes]] = {"up": [], "down": []}

    async def open(self) -> Relay:
        loop = asyncio.get_running_loop()
        _, self.front = await loop.create_datagram_endpoint(
            lambda: Side(self, "up"), local_addr=(LOCALHOST, 0)
        )
        _, self.back = await loop.create_datagram_endpoint(
            lambda: Side(self, "down"), local_addr=(LOCALHOST, 0)
        )
        self.port: int = self.front.transport.get_extra_info("sockname")[1]
        return self

    def close(self) -> None:
        self.front.transport.close()
        self.back.transport.close()

    def passed(self, side: Side, data: bytes, source: Any) -> None:
        if side is self.front:
            self.client = source
        fate = next((name for name, rate in self.rates.items() if self.rng.random() < rate), "plain")
        self.counts[fate] += 1
        held = self.held[side.toward]
        if fate == "swapped" and len(held) < MAX_HELD:
            held.append(data)
            return
        for _ in range({"lost": 0, "repeated": 2}.get(fate, 1)):
            self.forward(side, data)
        while held:
            self.forward(side, held.pop())

    def forward(self, side: Side, data: bytes) -> None:
        out = self.back if side is self.front else self.front
        target = self.target if side is self.front else self.client
        if target is not None:
            out.transport.sendto(data, target)
