"""A bare port as a device: it sends numbered messages, checks those of its peer, and frees each at once."""

from __future__ import annotations

import itertools
from typing import Any

from hsl._generated.constants import Op, Role
from hsl.codec.message import Message
from hsl.link.config import PortConfig
from hsl.verify.endpoint import PortCore

# Sent in turn, each on a VC of its own.
OPS = (Op.Evict, Op.Cmp, Op.CmpData, Op.NcWrite, Op.WbFull)
ALL_ROLES = Role.RA | Role.HA | Role.IOA


def numbered(number: int) -> Message:
    """Message `number` of a sender; its number is in ADDR, TXN and data, where the opcode has them."""
    op = OPS[number % len(OPS)]
    txn = number % 256
    address = 0 if op in (Op.Cmp, Op.CmpData) else number * 64
    size = {Op.CmpData: 64, Op.WbFull: 64, Op.NcWrite: 8}.get(op, 0)
    length = 3 if size == 64 else 0
    return Message(
        op, txn=txn, len=length, addr=address, data=number.to_bytes(size, "little") if size else b""
    )


def port_config(guid: int, **changes: Any) -> PortConfig:
    """A port of a device that has all roles; EPOCH values are counted up."""
    values: dict[str, Any] = {"guid": guid, "roles": ALL_ROLES, "nid_base": 16 * guid, "nid_count": 16}
    epochs = itertools.count(guid << 16 | 1)
    return PortConfig(**(values | {"epoch": lambda: next(epochs)} | changes))


class PortDevice:
    """Sends `count` messages and expects `expected`; it has finished when both are done."""

    def __init__(self, config: PortConfig, *, count: int = 0, expected: int = 0) -> None:
        self.node = PortCore("port", config)
        self.port = self.node.port
        self.count = count
        self.expected = expected
        self.sent = 0
        self.got = 0
        self.started = False
        self.next_of = {op >> 5: number for number, op in enumerate(OPS)}  # VC -> number that comes next

    @property
    def finished(self) -> bool:
        return self.started and self.sent == self.count and self.got >= self.expected

    @property
    def quiescing(self) -> bool:
        return self.finished

    def advance(self, now: int) -> None:
        self.started |= self.port.up
        for message in self.port.messages():
            number = self.next_of[message.vc]  # within a VC order is kept
            assert message == numbered(number), f"{message} instead of message {number}"
            self.next_of[message.vc] += len(OPS)
            self.port.release(message.vc)
            self.got += 1
        while self.port.up and self.sent < self.count and self.port.room(numbered(self.sent).vc):
            self.port.send(numbered(self.sent))
            self.sent += 1

    def next_deadline(self) -> int | None:
        return self.port.next_deadline()
