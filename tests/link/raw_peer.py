"""A peer made of bytes: it drives one port over its public calls, and says whatever a test wants it to say.

It keeps the books of a link for itself: the pair of each link from the HELLOs, SEQ and ACK from what it sends
and hears. `say` answers nothing by itself, so a test may leave out, repeat or falsify any flit.
"""

from __future__ import annotations

from typing import Any

from hsl._generated.constants import MAGIC, SEQ_MODULUS, VERSION, CtlOp, FlitType, LinkState
from hsl.codec.ctl import Ctl, decode_ctl, encode_ctl
from hsl.codec.flit import Flit
from hsl.codec.message import Message
from hsl.codec.reference import Packer, encode_flit
from hsl.link import Event, Port, PortConfig
from hsl.link.config import negotiate
from hsl.link.events import StateChanged
from tests.link.pair import config, decode

GUID = 2


class RawLink:
    """The books of one link: the pair, SEQ of the next own PROT, and what the port has sent."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.epoch = 700 + index  # own
        self.peer = 0  # the port's
        self.seq = 0
        self.exp = 0  # SEQ of the port's next PROT
        self.heard: list[Flit] = []


class RawPeer:
    """The far end of `port`, which has `links` links; `now` moves only by `wait`."""

    def __init__(self, links: int = 1, **changes: Any) -> None:
        self.port = Port(config(1, links=links, **changes))
        self.own: PortConfig = config(GUID, links=links, **changes)
        self.now = 0
        self.name = 7  # PORT of the peer
        self.links = [RawLink(index) for index in range(links)]
        self.events: list[Event] = []
        self.got: list[Message] = []

    # -------------------------------------------------------------------------------------- time and flits

    def instant(self) -> list[Flit]:
        """What the port sends now, on any link."""
        self.port.tick(self.now)
        self.got += self.port.messages()
        sent = []
        for index, data in self.port.transmit(self.now, lambda link: True):
            flit = decode(data)
            self.links[index].heard.append(flit)
            sent.append(flit)
        self.events += self.port.events()
        return sent

    def wait(self, duration: int) -> list[Flit]:
        """What the port sends in the next `duration` ns."""
        end, sent = self.now + duration, self.instant()
        while (deadline := self.port.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            sent += self.instant()
        self.now = end
        return sent + self.instant()

    def give(self, data: bytes, link: int = 0) -> None:
        """A frame for the port."""
        self.port.receive(link, data, self.now)

    def flit(self, ft: FlitType, link: int = 0, **changes: Any) -> bytes:
        """A flit with SEQ and ACK of now, unless `changes` say otherwise."""
        books = self.links[link]
        ack = (books.exp - 1) % SEQ_MODULUS
        return encode_flit(Flit("L64", ft, seq=books.seq, ack=ack)._replace(**changes))

    def ctl(
        self, op: CtlOp, body: dict[str, Any], link: int = 0, *, seen: bool = False, **changes: Any
    ) -> bytes:
        """A CTL flit of the current pair."""
        books = self.links[link]
        payload = encode_ctl(Ctl(op, seen, books.epoch, books.peer, body))
        return self.flit(FlitType.CTL, link, payload=payload, **changes)

    def prot(self, *messages: Message, link: int = 0) -> bytes:
        """The next PROT, with messages that fit into it."""
        waiting = list(reversed(messages))
        payload, _ = Packer().fill(lambda: waiting.pop() if waiting else None, "L64")
        data = self.flit(FlitType.PROT, link, payload=payload)
        self.links[link].seq = (self.links[link].seq + 1) % SEQ_MODULUS
        return data

    # -------------------------------------------------------------------------------------------- bring-up

    def hello(self, link: int = 0) -> bytes:
        """The HELLO of a link."""
        major, minor = VERSION
        limits = {"min_major": major, "min_minor": minor, "max_major": major, "max_minor": minor}
        port = {"guid": GUID, "link": link, "links": len(self.links), "port": self.name}
        body = {"magic": MAGIC} | port | limits
        return self.ctl(CtlOp.HELLO, body, link, seen=self.links[link].peer != 0)

    def up(self, count: int | None = None) -> RawPeer:
        """Bring the first `count` links (None: all) to ACTIVE."""
        self.port.enable(self.now)
        for books in self.links:
            self.port.pal_up(books.index, self.now)
        self.instant()
        for books in self.links[:count]:
            self.shake_hands(books.index)
        return self

    def shake_hands(self, link: int) -> None:
        """From DETECT to ACTIVE."""
        self.links[link].peer = self.ctls(CtlOp.HELLO, link)[-1].epoch
        self.give(self.hello(link), link)
        self.instant()
        self.shake(link)
        assert self.state(link) is LinkState.ACTIVE

    def restart(self, link: int) -> None:
        """Forget a session: a new EPOCH, and numbers from 0."""
        books = self.links[link]
        books.epoch += 100
        books.seq = books.exp = 0

    def shake(self, link: int) -> None:
        """From CONFIG to ACTIVE: CAPS and INITFC."""
        theirs = self.ctls(CtlOp.CAPS, link)[-1].body["record"]
        record = self.own.record()
        cfg_hash = negotiate(record, GUID, theirs, 1).cfg_hash
        self.give(self.ctl(CtlOp.CAPS, {"record": record, "cfg_hash": cfg_hash}, link, seen=True), link)
        self.instant()
        body = {"credits": list(self.own.advertised(self.own.vc_mask))}
        self.give(self.ctl(CtlOp.INITFC, body, link, seen=True), link)
        self.instant()

    # ---------------------------------------------------------------------------------------- observations

    def state(self, link: int = 0) -> LinkState:
        """The state of a link, as the port's events tell it."""
        told = [one for one in self.events if isinstance(one, StateChanged) and one.link == link]
        return told[-1].new if told else LinkState.DISABLED

    def ctls(self, op: CtlOp, link: int = 0) -> list[Ctl]:
        """The CTL flits of an opcode that the port has sent on a link so far."""
        found = [decode_ctl(flit.payload) for flit in self.links[link].heard if flit.ft == FlitType.CTL]
        return [ctl for ctl in found if ctl.op == op]


def ops(flits: list[Flit]) -> list[CtlOp]:
    """The opcodes of the CTL among flits."""
    return [CtlOp(decode_ctl(flit.payload).op) for flit in flits if flit.ft == FlitType.CTL]
