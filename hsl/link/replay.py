"""Go-back-N, the two halves of a link (HSL 3.4): numbers and the replay buffer, without timers.

TX: BASE <= RP <= NEXT modulo 1024. `buffer` holds the flits BASE..NEXT-1; RP is the next one to transmit.
RX: EXP is the number of the next PROT that is accepted. d(a, b) = (a - b) mod 1024; half of that and more
is behind.
"""

from __future__ import annotations

from collections import deque

from hsl._generated.constants import SEQ_HALF, SEQ_MODULUS
from hsl.codec.flit import Flit

__all__ = ["ReplayReceiver", "ReplaySender", "distance"]


def distance(a: int, b: int) -> int:
    """d(a, b). HSL 3.4.1."""
    return (a - b) % SEQ_MODULUS


class ReplaySender:
    """BASE, NEXT, RP and the flits between. HSL 3.4.1."""

    __slots__ = ("base", "buffer", "labels", "sent")

    def __init__(self) -> None:
        self.base = 0
        self.buffer: deque[Flit] = deque()  # capped by the window, which is asked before `store`
        self.labels: deque[int] = deque()  # the BSN of each, for a re-send on another link. HSL 4.2
        self.sent = 0  # d(RP, BASE): flits of the buffer before RP

    @property
    def next(self) -> int:
        """NEXT: the number of the next new PROT."""
        return (self.base + len(self.buffer)) % SEQ_MODULUS

    @property
    def rp(self) -> int:
        """RP: the number of the next PROT that is transmitted."""
        return (self.base + self.sent) % SEQ_MODULUS

    @property
    def unacked(self) -> int:
        """d(NEXT, BASE)."""
        return len(self.buffer)

    @property
    def replaying(self) -> bool:
        """RP != NEXT."""
        return self.sent != len(self.buffer)

    def store(self, flit: Flit, bsn: int = 0) -> None:
        """A new PROT is sent as NEXT; RP = NEXT before and after."""
        self.buffer.append(flit)
        self.labels.append(bsn)
        self.sent += 1

    def replay(self) -> Flit:
        """The stored flit RP; RP moves on."""
        flit = self.buffer[self.sent]
        self.sent += 1
        return flit

    def labelled(self, first: int) -> list[tuple[int, Flit]]:
        """(BSN, flit) from the flit BASE + `first` on."""
        return list(zip(self.labels, self.buffer, strict=True))[first:]

    def restart(self) -> None:
        """RP := BASE."""
        self.sent = 0

    def acknowledge(self, ack: int) -> int | None:
        """Apply an ACK: by how much BASE advances, None when the ACK is out of range.

        HSL 3.4.2 [HSL-LNK-017].
        """
        count = distance(ack + 1, self.base)
        if count > len(self.buffer):
            return None
        for _ in range(count):
            self.buffer.popleft()
            self.labels.popleft()
        self.base = (self.base + count) % SEQ_MODULUS
        self.sent = max(0, self.sent - count)  # if RP was passed, RP = BASE
        return count


class ReplayReceiver:
    """EXP and NAKED. HSL 3.4.1."""

    __slots__ = ("exp", "naked")

    def __init__(self) -> None:
        self.exp = 0
        self.naked = False

    @property
    def ack(self) -> int:
        """The ACK field: the last PROT accepted in order; 1023 until one is. HSL 2.3 [HSL-LNK-009]."""
        return (self.exp - 1) % SEQ_MODULUS

    def ahead(self, seq: int) -> bool:
        """True if `seq` shows that flits are missing: 1 <= d(seq, EXP) < 512."""
        return 0 < distance(seq, self.exp) < SEQ_HALF

    def accept(self) -> None:
        """The PROT with SEQ = EXP has come."""
        self.exp = (self.exp + 1) % SEQ_MODULUS
