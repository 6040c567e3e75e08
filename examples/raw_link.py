"""One link of the raw peer, from chapters 4, 5 and 6: handshake, SEQ and ACK, replay, credits, VCs.

`Link` moves messages; what they mean is up to the agents behind it, which a subclass has.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from examples.raw_flits import (
    ACK_NONE,
    B256,
    BEHIND,
    CAPS,
    CRC32C,
    CTL,
    DISABLE,
    ERR_FATAL,
    HELLO,
    INITFC,
    L64,
    MODULUS,
    NAK,
    NCR,
    PATIENCE,
    PM_NAK,
    PM_REQ,
    PROT,
    RECORD,
    RECORD_FIELDS,
    RESYNC,
    RESYNC_ACK,
    T_HS,
    T_KA,
    T_NAK,
    T_REPLAY,
    WHEEL,
    Flit,
    Gone,
    Message,
    Wire,
    agree,
    crc,
    fill,
    pack_ctl,
    pack_record,
    unpack_ctl,
)

MAGIC, VERSION, EDITION = b"HSL1", (1, 0), 9  # 3.3.1; 9 is the code of another edition
SILENCE = 256 + 4096  # slow TU: T_DEADKA, then T_STATE (3.1)
SINKS = {"Intr", "ErrMsg", "TransReq", "TransInv", "PageReq", "PageRsp"}  # 5.10


class Link(ABC):
    """One link. Nothing happens between two calls of `step`, or of what calls it.

    Call it at least every 64 TU (67 ms) to keep HSL-LNK-025. The other side goes to RECOVERY after 256 TU of
    silence and ends the session 4096 TU (4.3 s) later.
    """

    def __init__(self, uri: str, caps: dict[str, int], guid: int, epoch: int) -> None:
        self.wire = Wire(uri)
        self.caps, self.guid, self.epoch = caps, guid, epoch
        self.advert, self.acknowledges, self.hoards = [32] * 7, True, False
        self.restart()

    @abstractmethod
    def deliver(self, message: Message) -> None:
        """Take a message that has come."""

    @abstractmethod
    def advance(self) -> None:
        """Let the agents go on."""

    @abstractmethod
    def may_begin(self, message: Message) -> bool:
        """Return True if a message may leave once it has a credit."""

    @abstractmethod
    def signed(self, message: Message) -> Message:
        """Return a message as it is to be sent."""

    def restart(self) -> None:
        """Forget the session; EPOCH is kept."""
        self.state, self.result = "DETECT", dict[str, int]()
        self.peer, self.peer_guid, self.seen, self.shake = 0, 0, 0, True
        self.theirs, self.viral = range(0), 0  # NIDs of the other side
        self.tu = self.slow = (1 << min(self.caps["tu_exp"], 20)) / 1e9
        self.form, self.base, self.next, self.rp, self.exp, self.place = L64, 0, 0, 0, 0, 0
        self.stored, self.naked, self.ack_now = dict[int, Flit](), False, False
        self.sending = self.receiving = b""  # granules of a message that is not complete
        self.waiting: dict[int, deque[Message]] = {vc: deque() for vc in range(8)}
        self.credits, self.given, self.returnable = [0] * 8, [0] * 8, [0] * 8
        self.shaken = self.spoke = self.heard = self.progress = self.naked_at = time.monotonic()

    def run(self, until: Callable[[], Any] = bool, seconds: float = PATIENCE) -> bool:
        """Step until `until` is true, at most so long; return True if it is."""
        end = time.monotonic() + seconds
        while not until():
            if (left := end - time.monotonic()) <= 0:
                return False
            self.step(min(left, 0.01))
        return True

    def step(self, seconds: float = 0.0) -> None:
        """Transmit, take what has come (waiting so long for it), let the agents go on. Raises Gone."""
        if self.state == "ACTIVE" and time.monotonic() - self.heard > SILENCE * self.slow:
            raise Gone("silence: the session is over")  # before what waited meanwhile, HSL-LNK-058
        self._transmit()
        for data in self.wire.frames(seconds):
            self._take(data)
        self._time()
        self.advance()  # before a CmpAck leaves, so before any snoop of its line (T13)
        self._transmit()

    def send(self, *messages: Message) -> None:
        """Queue messages until `step` may send them: window, credits, READY."""
        for message in map(self.signed, messages):
            self.waiting[message.vc].append(message)

    def raw(self, flit: bytes) -> None:
        """Send the bytes of a flit as they are, in a frame."""
        self.wire.send(flit)
        self.spoke = time.monotonic()

    def flit(self, **fields: Any) -> None:
        """Send one flit with the SEQ and ACK of now, where `fields` do not say others. It is not kept."""
        form = self.form if self.state == "ACTIVE" else L64
        self.raw(Flit(seq=self.rp, ack=self.ack)._replace(**fields).pack(form))

    def ctl(self, op: int, **fields: Any) -> None:
        """Send a CTL with the EPOCH pair of now; `fields` are those of the pair, of its body and of H0."""
        head = {name: fields.pop(name) for name in Flit._fields if name in fields}
        fields = {"epoch": self.epoch, "peer": self.peer, "port": self.epoch} | fields
        self.flit(ft=CTL, payload=pack_ctl(op, **fields), **head)

    def prot(self, payload: bytes = b"", **head: Any) -> None:
        """Send a new PROT flit with this payload and keep it for a replay; `head` are fields of H0 and H1."""
        flit = self.stored[self.next] = Flit(PROT, 0, self.next, self.ack, payload=payload)._replace(**head)
        self.next = self.rp = (self.next + 1) % MODULUS
        self.ack_now = False
        self.raw(flit.pack(self.form))

    def push(self, *messages: Message, **head: Any) -> None:
        """Send messages at once in PROT flits, whatever credits and window say."""
        queue = deque(map(self.signed, messages))
        take = lambda: queue.popleft() if queue else None  # noqa: E731
        while queue or self.sending:
            payload, som, self.sending = fill(self.sending, take, self.form)
            self.prot(payload, **{"som": som} | head)

    def close(self, disable: bool = False) -> None:
        """Close the carrier, without a word or after DISABLE."""
        with suppress(Gone):  # it may be closed already
            for _ in range(3 if disable else 0):
                self.ctl(DISABLE)
        self.wire.socket.close()

    @property
    def ack(self) -> int:
        """ACK of a flit that is sent now."""
        return (self.exp - 1) % MODULUS if self.acknowledges else ACK_NONE

    def _take(self, data: bytes) -> None:
        flit = Flit.unpack(data)
        if flit is None:
            self._gap()
        elif flit.ft == CTL:
            self._control(flit)
        elif self.state == "ACTIVE" or (self.state == "INIT" and self.seen):
            if self.state == "INIT":
                self._enter("ACTIVE")
            self._sequence(flit)

    def _enter(self, state: str) -> None:
        self.state, self.seen, self.shake = state, 0, True
        if state == "ACTIVE":
            self.tu, self.slow = ((1 << min(self.result[name], 30)) / 1e9 for name in ("tu_exp", "slow_exp"))
            self.ack_now, self.heard = True, time.monotonic()
            self.form = B256 if self.result["flit_sizes"] == 2 else L64

    def _control(self, flit: Flit) -> None:
        op, seen, epoch, peer, body = unpack_ctl(flit.payload)
        current = epoch and (epoch, peer) == (self.peer, self.epoch)
        if op == HELLO:
            self._hello(epoch, peer, body)
        elif not current:
            return  # stale: dropped whole, HSL-LNK-036
        elif op == CAPS and self.state in ("DETECT", "CONFIG"):
            if self.state == "DETECT":
                self._enter("CONFIG")
            offer = dict(zip(RECORD_FIELDS, RECORD.unpack(body["record"]), strict=True))
            self.result = agree(self.caps, self.guid, offer, self.peer_guid)
            self.theirs = range(offer["nid_base"], offer["nid_base"] + offer["nid_count"])
            self.seen, self.shake = 1, True
            if seen and body["cfg_hash"] == self.config_hash():
                self._enter("INIT")
        elif op == INITFC and (self.state == "INIT" or (self.state == "CONFIG" and self.seen)):
            if self.state == "CONFIG":
                self._enter("INIT")
            self.credits, self.given = [0, *body["credits"]], [0, *body["credits"]]
            self.seen, self.shake = 1, True
            if seen:
                self._enter("ACTIVE")
        elif op in (DISABLE, ERR_FATAL):
            self.restart()
            raise Gone("DISABLE" if op == DISABLE else f"ERR_FATAL {body['error']}")
        elif self.state == "ACTIVE":
            self._sequence(flit)
            if op in (NAK, RESYNC):
                self.rp, self.ack_now = self.base, True
            if op == RESYNC:
                self.ctl(RESYNC_ACK, exp=self.exp, rn=body["rn"])
            elif op == PM_REQ:
                self.ctl(PM_NAK, tag=body["tag"])

    def _hello(self, epoch: int, peer: int, body: dict[str, Any]) -> None:
        low, high = ((body[f"{end}_major"], body[f"{end}_minor"]) for end in ("min", "max"))
        if epoch == 0 or body["guid"] == self.guid or (body["magic"] == MAGIC and body["port"] == 0):
            return  # a reflection, or it names no life
        if body["magic"] != MAGIC or not low <= VERSION <= high:  # HSL-LNK-004
            if self.state == "DETECT":
                for _ in range(3):
                    self.ctl(ERR_FATAL, error=EDITION)
                raise Gone(f"another edition: a HELLO of {body['magic']!r}, {low} to {high}")
            return
        if epoch != self.peer:
            if (state := self.state) != "DETECT":
                self.restart()
            if state == "ACTIVE":
                raise Gone("a HELLO of a new EPOCH: the other side began anew")
            self.peer, self.peer_guid, self.shake = epoch, body["guid"], True
        if peer == self.epoch and self.state == "DETECT":
            self._enter("CONFIG")

    def config_hash(self) -> int:
        """Return CFG_HASH of the result, 0 before there is one."""
        return int.from_bytes(crc(pack_record(self.result), CRC32C, 4), "little") if self.result else 0

    def _sequence(self, flit: Flit) -> None:  # 3.4.2: ACK, then SEQ, then the content
        self.heard, self.viral = time.monotonic(), self.viral | flit.viral
        ahead = (flit.ack + 1 - self.base) % MODULUS
        if 0 < ahead <= (self.next - self.base) % MODULUS:
            passed = (self.rp - self.base) % MODULUS < ahead
            self.base = (self.base + ahead) % MODULUS
            self.rp = self.base if passed else self.rp
            self.progress = time.monotonic()
        distance = (flit.seq - self.exp) % MODULUS
        if 0 < distance < BEHIND:
            self._gap()
        elif flit.ft != PROT:
            self.naked &= distance != 0
        elif distance == 0:
            self.exp, self.naked, self.ack_now = (self.exp + 1) % MODULUS, False, True
            self.credits[flit.cvc] += flit.ccnt
            messages, self.receiving = Message.unpack(self.receiving + flit.payload)
            for message in messages:
                self.returnable[message.vc] += 1
                self.deliver(message)
        else:
            self.ack_now = True  # a duplicate

    def _gap(self, again: bool = False) -> None:
        if self.state == "ACTIVE" and (again or not self.naked):
            self.naked, self.naked_at = True, time.monotonic()
            self.ctl(NAK, exp=self.exp)

    def _time(self) -> None:
        now = time.monotonic()
        self.shake |= now - self.shaken >= T_HS * self.tu
        self.ack_now |= now - self.spoke >= T_KA * self.tu / 2
        if self.naked and now - self.naked_at >= T_NAK * self.tu:
            self._gap(again=True)
        if self.base == self.next:
            self.progress = now
        elif now - self.progress >= T_REPLAY * self.tu:
            self.rp, self.progress = self.base, now

    def _transmit(self) -> None:
        if self.state != "ACTIVE":
            if self.shake:
                self._handshake()
            return
        while self.rp != self.next:
            self.raw(self.stored[self.rp]._replace(ack=self.ack).pack(self.form))
            self.rp = (self.rp + 1) % MODULUS
        while (self.next - self.base) % MODULUS < self.result["window"] and self._due():
            vc = 0 if self.hoards else next((vc for vc in range(1, 8) if self.returnable[vc]), 0)
            count = min(self.returnable[vc], 31) if vc else 0
            self.returnable[vc] -= count
            payload, som, self.sending = fill(self.sending, self._next, self.form)
            self.prot(payload, som=som, cvc=vc, ccnt=count)
        if self.ack_now:
            self.ack_now = False
            self.flit()

    def _handshake(self) -> None:
        self.shake, self.shaken = False, time.monotonic()
        if self.state == "DETECT":
            major = dict.fromkeys(("min_major", "max_major"), VERSION[0])
            self.ctl(HELLO, seen=bool(self.peer), magic=MAGIC, guid=self.guid, links=1, **major)
        elif self.state == "CONFIG":
            self.ctl(CAPS, seen=self.seen, record=pack_record(self.caps), cfg_hash=self.config_hash())
        else:
            self.ctl(INITFC, seen=self.seen, credits=self.advert)

    def _due(self) -> bool:  # 3.5 F9, but credits are returned without delay
        sendable = any(map(self._may, range(1, 8)))
        return sendable or bool(self.sending) or (not self.hoards and any(self.returnable[1:]))

    def _may(self, vc: int) -> bool:  # credits, 3.5 F2
        head = self.waiting[vc][0] if self.waiting[vc] else None
        kept = int(vc == NCR and self.given[NCR] > 1 and head is not None and head.name not in SINKS)
        if head is None or self.credits[vc] <= kept:
            return False
        return self.may_begin(head)

    def _next(self) -> Message | None:  # by the wheel, 3.5 F10
        for step in range(len(WHEEL)):
            vc = WHEEL[(self.place + step) % len(WHEEL)]
            if self._may(vc):
                self.place = (self.place + step + 1) % len(WHEEL)
                self.credits[vc] -= 1
                return self.waiting[vc].popleft()
        return None
