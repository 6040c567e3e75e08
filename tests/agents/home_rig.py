"""A home agent alone with its memory: messages in, messages out, at one line unless told otherwise."""

from __future__ import annotations

from collections import Counter
from itertools import count
from typing import Any

from hsl._generated.constants import LINE_BYTES, Err, ErrorCode, Feature, Op, SamType, St, Vc
from hsl.agents.address_map import AddressMap, SamEntry
from hsl.agents.home import HomeAgent, HomeConfig
from hsl.agents.memory import Memory
from hsl.agents.peers import LOCAL
from hsl.agents.target import MemoryTarget, TargetConfig
from hsl.codec.message import Message

HOME = 1
LINE = 0x1000
OTHER = LINE + LINE_BYTES
SIZE = 0x4000
A, B, C = 2, 3, 4  # request agents
MT = 9  # the memory target of a SlowRig
OLD = bytes(range(64))
DIRTY = bytes(reversed(range(64)))
NEW = b"\xa5" * 64
MAP = AddressMap([SamEntry(0, SIZE - 1, home=HOME)])
NO_HAND = LOCAL._replace(features=LOCAL.features & ~Feature.HandOver)  # a port without dirty hand-over
FULL_BE = (1 << 64) - 1
ONE = (1).to_bytes(8, "little")
# What each request of 5.6 carries beside its line.
FIELDS: dict[Op, dict[str, Any]] = {
    Op.WritePtl: {"len": 0, "be": 0x0F, "data": NEW[:8]},
    Op.AtomicLoad: {"len": 0, "x": 1, "data": ONE},
    Op.AtomicStore: {"len": 0, "x": 1, "data": ONE},
}
ADDED = (int.from_bytes(OLD[:8], "little") + 1).to_bytes(8, "little") + OLD[8:]
MERGED = NEW[:4] + OLD[4:]


class Rig:
    """Sends messages to the home and gives what it sends; TXNs count up, so that none is reused."""

    def __init__(self, ports: int = 0, **config: Any) -> None:
        self.memory = Memory(0, SIZE)
        self.memory.write_line(LINE, OLD)
        self.coverage: Counter[tuple[str, str]] = Counter()
        known = HomeConfig(nid=HOME, address_map=MAP, **config)
        self.home = HomeAgent(known, self.memory, ports, self.coverage)
        self.now = 0
        self._txns = count()

    def send(self, op: int, src: int, **fields: Any) -> list[Message]:
        """One message from `src`; a request goes to LINE with a new TXN unless `fields` say otherwise."""
        if op >> 5 in (1, 2):
            fields = {"txn": next(self._txns) % 256, "addr": LINE, "len": 3} | fields
        if op in (Op.WbFull, Op.WriteFull, Op.SnpRspData):
            fields = {"data": NEW, "len": 3} | fields
        self.home.receive(Message(op, src=src, **({"dst": HOME} | fields)), self.now)
        return self.sent()

    def sent(self) -> list[Message]:
        """What the home has sent since the last look."""
        out = list(self.home.outbox)
        self.home.outbox.clear()
        return out

    def errors(self) -> list[ErrorCode]:
        """Codes logged since the last look."""
        codes = [code for code, _, _ in self.home.errors]
        self.home.errors.clear()
        return codes

    def ack(self, grant: Message) -> list[Message]:
        """The CmpAck of a grant."""
        return self.send(Op.CmpAck, grant.dst, txn=grant.htxn)

    def hold(self, src: int, op: Op = Op.ReadUnique, addr: int = LINE) -> None:
        """Let `src` get the line; holders of it answer as caches that have it clean."""
        out = self.send(op, src, addr=addr)
        while out and out[0].vc == 3:
            kept = St.S if out[0].op == Op.SnpShared else St.I
            out = [m for snoop in out for m in self.send(Op.SnpRsp, snoop.dst, txn=snoop.txn, st=kept)]
        assert out[-1].dst == src, out
        self.ack(out[-1])

    def directory(self, addr: int = LINE) -> tuple[str, set[int]]:
        """(dir, NIDs) of the line."""
        held = self.home.directory_of(addr)
        return held.dir, set(held.nids)

    def put(self, state: str) -> None:
        """Bring the directory of LINE to I, S (B and C), X (B)."""
        if state != "I":
            self.hold(B)
        if state == "S":
            self.hold(C, Op.ReadShared)
        self.sent()


def shape(messages: list[Message]) -> list[tuple[str, int, str, str]]:
    """(op, dst, ST, ERR) of each message, by name."""
    return [(Op(m.op).name, m.dst, St(m.st).name, Err(m.err).name) for m in messages]


class SlowRig(Rig):
    """A home whose lines are in a memory target: `memory_done` lets it answer the oldest MEM message."""

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        amap = AddressMap([SamEntry(0, SIZE - 1, SamType.HDM_H, home=HOME, mt=MT)])
        self.home = HomeAgent(HomeConfig(nid=HOME, address_map=amap, **config), None, coverage=self.coverage)
        self.target = MemoryTarget(TargetConfig(nid=MT, address_map=amap), self.memory)
        self.open: list[Message] = []  # MEM messages not answered yet

    def sent(self) -> list[Message]:
        """What the home has sent since the last look, but for its MEM messages."""
        out = super().sent()
        self.open += [message for message in out if message.vc == Vc.MEM]
        return [message for message in out if message.vc != Vc.MEM]

    def memory_answer(self, err: int = 0) -> Message:
        """The target's completion of the oldest MEM message; with `err` it has done nothing."""
        asked = self.open.pop(0)
        if err:
            return Message(Op.Cmp, src=MT, dst=HOME, txn=asked.txn, err=err)
        self.target.receive(asked, self.now)
        self.target.taken.clear()
        return self.target.outbox.popleft()

    def memory_done(self, err: int = 0) -> list[Message]:
        """The home gets the completion of the oldest MEM message."""
        self.home.receive(self.memory_answer(err), self.now)
        return self.sent()
