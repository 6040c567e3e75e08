"""Messages of all VCs that carry their place, and the ledger of the messages that must arrive next."""

from __future__ import annotations

from collections import Counter, deque
from random import Random
from typing import Final

from hsl._generated.constants import Op, Vc
from hsl._generated.tables import OPCODES, VC_HEADER
from hsl.codec.checks import data_bytes
from hsl.codec.message import Message

__all__ = ["MAX_FAULTS_TOLD", "Ledger", "Source"]

# What each VC sends, as (opcode, LEN, BE) and how many of each: short and long, with data and byte enables.
KINDS: Final[dict[Vc, tuple[tuple[Op, int, int | None, int], ...]]] = {
    Vc.REQ: ((Op.ReadShared, 3, None, 1), (Op.Evict, 3, None, 1)),
    Vc.RWD: ((Op.WbFull, 3, None, 3), (Op.WritePtl, 1, 0x0FF0, 1)),
    Vc.SNP: ((Op.SnpInv, 3, None, 1),),
    Vc.RSP: ((Op.Cmp, 0, None, 1), (Op.CmpAck, 0, None, 1)),
    Vc.DAT: ((Op.CmpData, 3, None, 3), (Op.CmpData, 0, None, 1)),
    Vc.MEM: ((Op.MemWr, 3, None, 3), (Op.MemRd, 3, None, 1)),
    Vc.NCR: ((Op.NcWrite, 2, 0xFFFFFFFF, 3), (Op.NcRead, 0, None, 1)),
}
TXN_MASK: Final = 0xFFF
LINES: Final = 1 << 40  # addresses wrap there: 46 bits of bytes
# Faults that are told in words; all are counted. A link that goes wrong goes wrong with every message.
MAX_FAULTS_TOLD: Final = 16
# Messages that are looked at to tell a loss from a wrong message.
LOOK_AHEAD: Final = 64


class Source:
    """The messages that one end sends, from one `rng`: message `number` of a VC carries its number."""

    def __init__(self, rng: Random, src: int = 0, dst: int = 0) -> None:
        self._choose = rng.choice
        self._numbers = dict.fromkeys(Vc, 0)
        self._templates = {
            vc: tuple(_template(*kind[:3], src, dst) for kind in kinds for _ in range(kind[3]))
            for vc, kinds in KINDS.items()
        }

    def next(self, vc: Vc) -> Message:
        """The next message of `vc`: the number is in TXN, and in ADDR, HTXN and the data where there are."""
        number = self._numbers[vc]
        self._numbers[vc] = number + 1
        template = self._choose(self._templates[vc])
        fields: dict[str, int | bytes] = {"txn": number & TXN_MASK}
        if template.data:
            size = len(template.data)
            fields["data"] = number.to_bytes(8, "little").ljust(size, bytes([number & 0xFF]))
        if VC_HEADER[vc] == "A":
            fields["addr"] = number % LINES * 64
        elif template.op == Op.Cmp:
            fields["htxn"] = number // (TXN_MASK + 1) & TXN_MASK
        return template._replace(**fields)  # type: ignore[arg-type]


def _template(op: Op, length: int, be: int | None, src: int, dst: int) -> Message:
    data = bytes(data_bytes(length)) if OPCODES[op].data else b""
    return Message(op, src, dst, len=length, be=be, data=data)


class Ledger:
    """Messages in flight from one end to the other, per VC in order; each must arrive once.

    Bounded by what the sender lets be under way.
    """

    def __init__(self) -> None:
        self.sent = 0
        self.delivered = 0
        self.poisoned = 0  # messages that came poisoned; ours never leave so
        self.faults: Counter[str] = Counter()  # lost, doubled, wrong
        self.told: list[str] = []
        self._open: dict[int, deque[Message]] = {int(vc): deque() for vc in Vc}
        self._last: dict[int, Message] = {}

    @property
    def open(self) -> int:
        """Messages that were sent and have not come."""
        return sum(map(len, self._open.values()))

    def send(self, message: Message) -> None:
        """`message` goes out."""
        self.sent += 1
        self._open[message.vc].append(message)

    def deliver(self, message: Message) -> None:
        """Check that `message` is the oldest open one of its VC, with any POISON."""
        if message.poison:
            self.poisoned += 1
            message = message._replace(poison=0)
        vc = message.vc
        expected = self._open[vc]
        if expected and expected[0] == message:
            expected.popleft()
            self.delivered += 1
            self._last[vc] = message
            return
        self._judge(message, expected)

    def _judge(self, message: Message, expected: deque[Message]) -> None:
        """Return the fault that shows when `message` is not the next one; the ledger goes on behind it."""
        name = Vc(message.vc).name
        ahead = list(expected)[:LOOK_AHEAD]
        if message in ahead:
            gone = ahead.index(message)
            for _ in range(gone + 1):
                expected.popleft()
            self.delivered += 1
            self._last[message.vc] = message
            self._fault("lost", gone, f"{gone} messages of {name} before TXN {message.txn} never came")
        elif message == self._last.get(message.vc):
            self._fault("doubled", 1, f"message of {name} with TXN {message.txn} came twice")
        else:
            wanted = expected[0] if expected else None
            self._fault("wrong", 1, f"{message} of {name} came; expected was {wanted}")

    def _fault(self, kind: str, count: int, text: str) -> None:
        self.faults[kind] += count
        if len(self.told) < MAX_FAULTS_TOLD:
            self.told.append(text)

    def close(self) -> None:
        """Close the ledger; the open messages are lost."""
        for vc, messages in self._open.items():
            if messages:
                self._fault("lost", len(messages), f"{len(messages)} messages of {Vc(vc).name} never came")
