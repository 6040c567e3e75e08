"""The gate of a port into its node: checks of 6.3, queues per VC, credits (HSL 3.5 F3, 5.2, 6.3)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from hsl._generated.constants import PROTO_LIMIT, PROTO_WINDOW_TU, ErrorCode, Op, Vc
from hsl.agents.peers import overlap
from hsl.codec.message import Message
from hsl.engine.error_log import ErrorLog
from hsl.engine.token_bucket import TokenBucket
from hsl.link.lanes import LANES, lane_of
from hsl.link.port import Port

__all__ = ["Gate", "unsent_acks"]

ANSWERS: Final = (Vc.RSP, Vc.DAT)  # never wait
ASKING: Final = frozenset({Vc.REQ, Vc.RWD, Vc.MEM, Vc.NCR})  # not before READY (5.15.3)
CONFIGURATION: Final = frozenset({Op.CfgRead, Op.CfgWrite})


class Gate:
    """Between a port and the agents of its node.

    Inbound queues are bounded by the credits that the port advertises (3.5 F5). Outbound ones hold what
    the port has no room for; they are bounded because no message that asks for an answer comes in while
    they are in use: only answers to what is inside already, snoops (one per TSHR and NID) and requests of
    the local MSHRs can join. Both have a queue per lane: one per VC, and one of the NCR that sink.
    """

    def __init__(self, index: int, port: Port, local: frozenset[int], claimed: range = range(0)) -> None:
        self.index = index
        self.port = port
        self.local = local
        self._claimed = claimed  # the NIDs of this node at this port, agents or not
        self.nids = range(0)  # who is behind the port; empty while it is down
        self.known = range(0)  # who was behind it in the last session
        self.lost = range(0)  # whose loss is not finished, or was the last
        self.barred = False  # this node or the one behind the port is not READY: no request leaves (5.15.3)
        self.refuses = False  # the device behind the port is not READY: it must not ask for anything
        self.sessions = 0  # that have begun
        self.sleeper = False  # an access waits until the port has woken from L1
        self.log = ErrorLog()
        self.bucket = TokenBucket()
        self._inbound: dict[int, deque[Message]] = {lane: deque() for lane in LANES}
        self._outbound: dict[int, deque[Message]] = {lane: deque() for lane in LANES}
        self.waiting = 0  # messages in the inbound queues, to be delivered to agents
        self.kept = 0  # in the outbound queues, to be flushed
        # SRC and DST of the CmpAcks handed in and in no flit yet, in order; as many as the MSHRs of the node.
        self._acks: deque[tuple[int, int]] = deque()
        self._acks_sent = 0  # in a flit, of those of the session and of earlier ones
        self._window = 0  # of PROTO errors
        self._protos = 0
        self._since = 0
        self._tu = 1
        self.slow_tu = 0  # of the last session, in ns
        self.now = 0  # of the owner: when a buffer is freed

    # ---- session
    @property
    def in_session(self) -> bool:
        """A session runs, or the loss of its nodes is not finished."""
        return bool(self.nids) or self.port.hold

    def open(self, nids: range, tu: int, slow_tu: int, now: int) -> None:
        """The port is up; `nids` are behind it, `tu` and `slow_tu` in ns."""
        self.nids, self.known, self._tu, self._since = nids, nids, tu, now
        self.sessions += 1
        self.slow_tu = slow_tu
        self.port.loss.admit()
        self._window = self._protos = 0
        self.bucket.tu = tu

    def close(self) -> None:
        """The port is down: what was under way is gone, also its credits. HSL 6.2 F8."""
        self.nids = range(0)
        self.port.messages()
        self.bucket.clear()
        for queue in (*self._inbound.values(), *self._outbound.values()):
            queue.clear()
        self.waiting = self.kept = 0
        self._acks.clear()
        self._acks_sent = self.port.messages_sent[Op.CmpAck]

    def claims(self, nids: range) -> range:
        """The NIDs of this port, up or down, if a peer elsewhere has one of `nids`; a disabled port has none.

        HSL 6.3 [HSL-SEC-015].
        """
        if not overlap(self.known, nids):
            return range(0)
        if self.port.loss.released and not self.port.hold:  # the walk would lose them again (6.2 F2)
            self.known = range(0)
        return self.known

    def proto(self, now: int) -> None:
        """Count an error of `proto`; the 17th in a window ends the port. HSL 6.3 [HSL-SEC-003]."""
        window = (now - self._since) // (PROTO_WINDOW_TU * self._tu)
        if window != self._window:
            self._window, self._protos = window, 0
        self._protos += 1
        if self._protos == PROTO_LIMIT and self.port.up:
            text = f"{PROTO_LIMIT} messages that the tables do not expect; the error log has them"
            self.port.fatal(ErrorCode.MALFORMED, now, text)

    # ---- in
    def collect(self, now: int) -> None:
        """Take what the port delivered; drop what 6.3 and 5.15.5 refuse. [HSL-SEC-001, HSL-BOT-009]."""
        for message in self.port.messages():
            if self.refuses and message.vc in ASKING:
                text = f"the device sent {Op(message.op).name} before it was READY (HSL 5.15.3 [HSL-BOT-006])"
                self.refuse(text, now, message)
                return
            here = message.dst in self.local or self._reaches_registers(message)
            if here and message.src in self.nids:
                self._inbound[lane_of(message.op)].append(message)
                self.waiting += 1
            else:
                text = f"SRC {message.src} is not of {self.nids} or DST {message.dst} is not here"
                self.log.add(now, ErrorCode.SRC_SPOOF, text, message=message)
                self.release(message.vc)

    def _reaches_registers(self, message: Message) -> bool:
        """True if a CfgRead or CfgWrite names any NID of this node, agent or not. [HSL-BOT-004]."""
        return message.op in CONFIGURATION and message.dst in self._claimed

    def refuse(self, text: str, now: int, message: Message | None = None) -> None:
        """End the session of a peer that cannot be used. HSL 5.15.5, 6.3."""
        self.log.add(now, ErrorCode.CFG, text, message=message)
        if self.port.up:
            self.port.fatal(ErrorCode.CFG, now, text)

    def answers(self) -> list[Message]:
        """All RSP and DAT: they always sink. HSL 5.2 D1, D4 [HSL-TXN-006]."""
        return self._take(ANSWERS)

    def asks(self, lanes: Sequence[int]) -> list[Message]:
        """The messages of `lanes`, which ask for an answer, if there is room for answers. HSL 5.2 D2, D3."""
        return self._take(lanes) if all(self._room(vc) for vc in ANSWERS) else []

    def _take(self, lanes: Sequence[int]) -> list[Message]:
        taken: list[Message] = []
        for lane in lanes:
            if queue := self._inbound[lane]:
                taken += queue
                self.waiting -= len(queue)
                queue.clear()
        return taken

    def release(self, vc: int) -> None:
        """The buffer of a message is free; a peer that floods gets its credit back later. HSL 3.5 F3, 6.3."""
        waited = bool(self.bucket.delayed)
        if self.bucket.take(vc, self.now):
            self.port.release(vc)
        elif not waited:
            self.log.add(self.now, ErrorCode.RATE, "requests come faster than the register RATE allows")

    def tick(self, now: int) -> None:
        """Return the credits that have waited long enough. HSL 6.3."""
        for vc in self.bucket.due(now):
            self.port.release(vc)

    def next_deadline(self) -> int | None:
        """The time at which `tick` is due, in ns; None for never."""
        return self.bucket.next_deadline()

    # ---- out
    def send(self, message: Message) -> None:
        """Hand a message to the port, or keep it until the port has room."""
        self._outbound[lane_of(message.op)].append(message)
        self.kept += 1
        if message.op == Op.CmpAck:
            self._acks.append((message.src, message.dst))

    def unsent_acks(self, src: int, home: int) -> int:
        """Return the number of CmpAcks of `src` to a home that are in no flit yet. [HSL-TXN-011]."""
        sent = self.port.messages_sent[Op.CmpAck]
        for _ in range(min(sent - self._acks_sent, len(self._acks))):
            self._acks.popleft()
        self._acks_sent = sent
        return self._acks.count((src, home))

    def flush(self) -> bool:
        """Move to the port what it has room for; True when something moved."""
        moved = False
        for lane, queue in self._outbound.items():
            while queue and self.port.room(lane):
                self.port.send(queue.popleft())
                self.kept -= 1
                moved = True
        return moved

    def empty(self, op: int) -> bool:
        """A message of this opcode would go to the port at once. HSL 6.5."""
        return self._room(lane_of(op))

    def _room(self, lane: int) -> bool:
        return not self._outbound[lane] and self.port.room(lane)

    @property
    def idle(self) -> bool:
        """Nothing waits here."""
        return not (self.waiting or self.kept)


def unsent_acks(gates: Sequence[Gate], src: int, home: int) -> int:
    """The CmpAcks of `src` to a home that are in no flit of a port yet. HSL 5.2 D4."""
    return sum(gate.unsent_acks(src, home) for gate in gates)
