"""A home agent alone with its memory: messages in, messages out, at one line unless told otherwise."""

from __future__ import annotations

from collections import Counter
from itertools import count
from typing import Any

import pytest

from hsl._generated.constants import LINE_BYTES, Err, ErrorCode, Op, St
from hsl.agents import home as home_module
from hsl.agents.address_map import AddressMap, SamEntry
from hsl.agents.home import HomeAgent, HomeConfig
from hsl.agents.home_actions import HomeActions
from hsl.agents.memory import Memory
from hsl.agents.transaction import Transaction
from hsl.codec.message import Message

HOME = 1
LINE = 0x1000
OTHER = LINE + LINE_BYTES
SIZE = 0x4000
A, B, C = 2, 3, 4  # request agents
OLD = bytes(range(64))
DIRTY = bytes(reversed(range(64)))
NEW = b"\xa5" * 64
MAP = AddressMap([SamEntry(0, SIZE - 1, home=HOME)])
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

    def __init__(self, **config: Any) -> None:
        self.memory = Memory(0, SIZE)
        self.memory.write_line(LINE, OLD)
        self.coverage: Counter[tuple[str, str]] = Counter()
        self.home = HomeAgent(HomeConfig(nid=HOME, address_map=MAP, **config), self.memory, self.coverage)
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


class SlowMemory(HomeActions):
    """A home whose memory completes when the test says so, as a memory target would."""

    def __init__(self, nid: int, memory: Memory) -> None:
        super().__init__(nid, memory)
        self.open: list[tuple[Transaction, str]] = []

    def do_mem_read(self, t: Transaction) -> None:  # type: ignore[override]
        """Read later."""
        self.open.append((t, super().do_mem_read(t)))

    def do_mem_write(self, t: Transaction, source: str) -> None:  # type: ignore[override]
        """Tell later that it is written."""
        self.open.append((t, super().do_mem_write(t, source)))

    def do_mem_write_ptl(self, t: Transaction) -> None:  # type: ignore[override]
        """Tell later that it is merged."""
        self.open.append((t, super().do_mem_write_ptl(t)))


class SlowRig(Rig):
    """A rig on SlowMemory: `memory_done` completes the oldest access, well or with `err`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **config: Any) -> None:
        monkeypatch.setattr(home_module, "HomeActions", SlowMemory)
        super().__init__(**config)

    @property
    def slow(self) -> SlowMemory:
        """The memory's open accesses."""
        actions = self.home._do
        assert isinstance(actions, SlowMemory)
        return actions

    def memory_done(self, err: int = 0, event: str = "", matches: bool = True) -> list[Message]:
        """The memory completion of the oldest access, or `event` instead of it."""
        t, done = self.slow.open[0] if not matches else self.slow.open.pop(0)
        if err:
            t.mem_err = err
            done = done.replace("OK", "ERR")
        t.matches = matches
        self.home._step(t, event or done)
        self.home._serve()
        return self.sent()
