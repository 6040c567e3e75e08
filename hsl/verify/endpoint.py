"""A bare port as a device of a transport: the two ends of a run of the link alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from hsl._generated.constants import Vc
from hsl.link.config import PortConfig
from hsl.link.events import Event, LinkDown
from hsl.link.port import Port
from hsl.verify.traffic import Ledger, Source

__all__ = ["BACKLOG", "Endpoint", "PortCore"]

# Messages that wait per VC: enough to fill every flit, few enough that a run ends soon after its last one.
BACKLOG: Final = 8


class PortCore:
    """One port, as `hsl.transport.base.Core`; the loss procedure after LINK_DOWN is nothing."""

    def __init__(self, name: str, config: PortConfig) -> None:
        self.name = name
        self.port = Port(config)
        self._events: list[Event] = []  # taken, and fetched by the owner in each turn
        self.ports = [self.port]

    @property
    def quiesced(self) -> bool:
        """As `Port.quiesced`."""
        return self.port.quiesced

    def start(self, now: int) -> None:
        """As `Port.enable`."""
        self.port.enable(now)

    def stop(self, now: int) -> None:
        """As `Port.disable`."""
        self.port.disable(now)

    def pal_up(self, port: int, link: int, now: int) -> None:
        """As `Port.pal_up`."""
        self.port.pal_up(link, now)

    def pal_down(self, port: int, link: int, now: int) -> None:
        """As `Port.pal_down`."""
        self.port.pal_down(link, now)

    def receive(self, port: int, link: int, data: bytes, now: int, error: bool = False) -> None:
        """As `Port.receive`."""
        self.port.receive(link, data, now, error)

    def tick(self, now: int) -> None:
        """As `Port.tick`."""
        self.port.tick(now)

    def transmit(self, now: int, ready: Callable[[int, int], bool]) -> Iterator[tuple[int, int, bytes]]:
        """As `Port.transmit`, with port 0 in front; there are no copies to drop at LINK_DOWN."""
        self._events += self.port.events()
        for link, flit in self.port.transmit(now, lambda link: ready(0, link)):
            yield 0, link, flit

    def events(self) -> list[tuple[int, Event]]:
        """As `Port.events`, with port 0 in front."""
        events, self._events = self._events + self.port.events(), []
        for event in events:
            if isinstance(event, LinkDown):
                self.port.link_down_done(event.now)
        return [(0, event) for event in events]


class Endpoint:
    """A port with a source of messages and two ledgers, as `hsl.transport.base.Device`.

    It keeps BACKLOG messages waiting on each of `vcs` until `stop`, checks what comes against the ledger of
    the other end, and frees it at once. While it is `resting` it sends nothing new and permits L1.
    """

    def __init__(self, name: str, config: PortConfig, source: Source, ledgers: tuple[Ledger, Ledger]) -> None:
        self.node = PortCore(name, config)
        self.port = self.node.port
        self.source = source
        self.outgoing, self.incoming = ledgers
        self.vcs: tuple[Vc, ...] = tuple(Vc)
        self.stopped = False
        self.resting = False
        self.started = False

    def stop(self) -> None:
        """Send no new messages."""
        self.stopped = True

    @property
    def finished(self) -> bool:
        """Nothing new is sent."""
        return self.stopped

    @property
    def quiescing(self) -> bool:
        """No more faults: the end has begun."""
        return self.stopped

    @property
    def flits(self) -> int:
        """PROT flits that have come in sequence, over all links."""
        return sum(link.counters.prot_accepted for link in self.port.links)

    def advance(self, now: int) -> None:
        """Check the messages that arrived, free them, and keep the queues filled."""
        port = self.port
        self.started |= port.up
        if delivered := port.messages():
            for message in delivered:
                self.incoming.deliver(message)
            for vc, count in Counter(message.vc for message in delivered).items():
                port.release(vc, count)
        if self.resting:
            port.pm_idle(now)
        elif port.up and not self.stopped:
            for vc in self.vcs:
                self._fill(vc)

    def _fill(self, vc: Vc) -> None:
        waiting = self.port.backlog(vc)
        if waiting > BACKLOG // 2 or not self.port.serves(vc):
            return
        for _ in range(BACKLOG - waiting):
            message = self.source.next(vc)
            self.outgoing.send(message)
            self.port.send(message)

    def next_deadline(self) -> int | None:
        """The next timer of the port."""
        return self.port.next_deadline()
