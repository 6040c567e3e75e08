#!/usr/bin/env python3
"""A raw HSL device: the standard library, nothing else, no code in common with `hsl`.

It was written from spec/text, whose clauses it cites. Use it to try a CPU that you do not trust, or as an
outline of a device of your own:

    hsl node cpu --listen tcp://127.0.0.1:7410 --input README.md &
    python examples/raw_peer.py tcp://127.0.0.1:7410                 # a device: is booted, counts words
    hsl node cpu --listen tcp://127.0.0.1:7410 --input README.md &   # anew: a node ends with its program
    python examples/raw_peer.py tcp://127.0.0.1:7410 --attack fuzz-messages --seconds 30 --seed 7

`Peer` is a link with agents behind it; it needs raw_flits.py (flits, messages, carriers), raw_link.py (the
link) and raw_agents.py (registers, caches). raw_device.py makes a device of it that runs jobs, and has the
command line; raw_attacks.py says how to add an attack.
Below `send`, which waits for credits and window, there is a hook at each layer: `push` (messages whatever the
credits), `ctl` (any field), `flit` (any link header), `raw` (bytes of a flit), `wire.write` (of the carrier).
Fields of a Peer change its behaviour: `caps` is its offer, `advert` its credits, `registers` what it says of
itself, `answers` what it answers (None: nothing); `acknowledges`, `hoards` (returns no credits), `holds`
(sends no CmpAck), `blank` (its memory is lost and its home not told yet; False: it is as if it were kept),
`tells` (sends CONTENT_LOST, M5). It answers RESYNC, and never enters RECOVERY or L1 itself.
"""

from __future__ import annotations

import random
import struct
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, __file__.rpartition("/examples/")[0])

from examples.raw_agents import (
    ACCESS,
    BUSY,
    DATA,
    DECODE,
    HA,
    HDM_H,
    IOA,
    MMIO,
    MT,
    PROTO,
    RA,
    READY,
    SAM,
    UNREACH,
    UNSUP,
    Cache,
    Entry,
    Line,
    Pending,
    Refused,
    Registers,
    Result,
    Task,
    Work,
)
from examples.raw_flits import (
    DAT,
    EXCLUSIVE,
    INVALID,
    LINE,
    MEM,
    MODIFIED,
    NAMES,
    NCR,
    OPS,
    PATIENCE,
    REQ,
    RSP,
    RWD,
    SHARED,
    SNP,
    Gone,
    Message,
    reply,
)
from examples.raw_link import Link

T_BUSY, MOST_BUSY, T_REQ = 64, 4096, 1 << 21  # slow TU, 5.11
HAND_OVER = 0x80  # 3.3.2 FEATURES
GRANTS = {  # 5.5: what completes a request; where none is named it is Cmp or CmpData with ST = I
    "ReadShared": {("CmpData", SHARED), ("CmpData", EXCLUSIVE)},
    "ReadUnique": {("CmpData", EXCLUSIVE), ("CmpData", MODIFIED)},
    "MakeUnique": {("Cmp", MODIFIED)},
}
WITH_DATA = {"ReadOnce", "AtomicLoad", "MemRd", "NcRead", "TransReq", "MgmtMsg", "CfgRead"}  # by CmpData
SLOTTED = {"TransReq", "TransInv", "PageReq", "MgmtMsg"}  # 5.10: presented again after BUSY
CONTENT_LOST = 3  # 5.10 TYPE of a MgmtMsg
GIVES_BACK = {"Evict", "WbFull"}  # never refused, and sent without READY
GUID = 0x7261775F70656572  # of those with the NIDs of --nid 0; others add theirs
DEVICE = {
    "major": 1, "flit_sizes": 1, "roles": RA | MT | IOA, "nid_base": 200, "nid_count": 8, "window": 64,
    "n_ack": 64, "tu_exp": 20, "address_bits": 52, "atomics": 1, "vc_mask": 0xFE, "max_links": 1,
    "features": 1 | HAND_OVER, "max_txn": 256,
}  # fmt: skip
HOST = {"roles": RA | HA | IOA, "nid_count": 16}  # A.1
Answer = Callable[[Message], Message | None]


class Peer(Link):
    """A link, and the agents behind it: registers, a memory target, two caches.

    `caps` are the fields of CAPS that differ from those of DEVICE. A peer whose NIDs begin with 0 is a host:
    READY from reset, and the program that uses it is its home.
    """

    def __init__(self, uri: str, *, epoch: int = 0, guid: int = GUID, **caps: int) -> None:
        caps = DEVICE | (HOST if caps.get("nid_base") == 0 else {}) | caps
        first = caps["nid_base"]
        self.own, self.host = range(first, first + caps["nid_count"]), first == 0
        self.nid = (first + 2) & 1023  # of the agent that requests
        self.registers = Registers(guid, caps)
        self.caches = [Cache(self, self.nid), Cache(self, (first + 3) & 1023)]
        self.memory: dict[int, tuple[bytes, int]] = {}  # what the memory target holds: data and POISON
        self.answers, self.holds = self._answers(), False
        self.blank, self.tells = True, True
        self.inbox: deque[Message] = deque(maxlen=4096)  # all messages but the answers to requests
        super().__init__(uri, caps, guid, epoch or random.SystemRandom().randrange(1, 1 << 32))

    def _answers(self) -> dict[str, Answer | None]:
        silent: Answer | None = None  # of a host: the program that uses it answers
        homes = dict.fromkeys([name for name, op in OPS.items() if op >> 5 in (REQ, RWD)], silent)
        return {
            **dict.fromkeys(("SnpShared", "SnpInv", "SnpCur"), self.snoop),
            **dict.fromkeys(("MemRd", "MemWr", "MemWrPtl"), self.target),
            **dict.fromkeys(("NcRead", "NcWrite"), self.page),
            **dict.fromkeys(("CfgRead", "CfgWrite"), self.configure),
            "MgmtMsg": self.manage,
            **(homes | {"Intr": lambda message: reply(message, "Cmp")} if self.host else {}),
        }

    def restart(self) -> None:
        """Forget the session; EPOCH, map and memory are kept."""
        super().restart()
        self.open: dict[tuple[int, int], Pending] = {}  # by SRC and TXN
        self.tasks, self.dropped = list[Task](), 0
        self.registers.words[READY] = 0  # HSL-BOT-007
        for cache in self.caches:
            cache.restart()

    @property
    def ready(self) -> bool:
        """True while it may begin accesses (5.15.3)."""
        return self.host or self.registers.words[READY] == 1

    def up(self, seconds: float = PATIENCE, boot: bool = True) -> Peer:
        """Bring the link up and, with `boot`, wait until the boot master has written READY. Raises Gone."""
        if not self.run(lambda: self.state == "ACTIVE", seconds):
            raise Gone(f"no link within {seconds} s: {self.state}")
        if boot and not self.run(lambda: self.ready, seconds):
            raise Gone(f"not READY within {seconds} s: no boot master has booted it")
        return self

    def signed(self, message: Message) -> Message:
        """Return a message with its SRC: a device signs SRC 0."""
        return message if message.src or self.host else message._replace(src=self.nid)

    def may_begin(self, message: Message) -> bool:
        """Return True when READY, and for what needs no READY (HSL-BOT-006)."""
        return self.ready or message.vc in (SNP, RSP, DAT) or message.name in GIVES_BACK

    def advance(self) -> None:
        """Let works go on."""
        for task in list(self.tasks):
            task.go()
        self.tasks = [task for task in self.tasks if not task.ended]

    def recv(self, seconds: float = PATIENCE) -> Message | None:
        """Return the next message that is no answer to a request, None when none comes."""
        return self.inbox.popleft() if self.run(lambda: self.inbox, seconds) else None

    def begin(self, work: Work[Any]) -> Task:
        """Let a work go on in `step`."""
        task = Task(work, [])
        task.go()
        self.tasks += [] if task.ended else [task]
        return task

    def wait(self, work: Work[Result], seconds: float = PATIENCE) -> Result:
        """Do a work and return its result. Raises Refused, or Gone when it does not end."""
        task = self.begin(work)
        if not self.run(lambda: task.ended, seconds):
            raise Gone(f"no completion within {seconds} s")
        if isinstance(task.ended[0], Refused):
            raise task.ended[0]
        result: Result = task.ended[0]
        return result

    def ask(
        self, op: str, addr: int, src: int | None = None, dst: int | None = None, **fields: Any
    ) -> Work[Message]:
        """Send a request and return its completion; present it again after BUSY (5.4 T4). Raises Refused."""
        nid, began, pause = self.nid if src is None else src, time.monotonic(), T_BUSY * self.slow
        while True:
            home = self.home(addr) if dst is None else dst
            if home is None:
                raise Refused(f"{op} {addr:#x}", Message(OPS["Cmp"], err=DECODE))
            while (txn := self._tag(nid)) is None:
                yield
            pending = self.open[nid, txn] = Pending(Message(OPS[op], nid, home, txn, addr=addr, **fields))
            self.waiting[pending.asked.vc].append(pending.asked)
            while pending.answer is None:
                yield
            answer, now = pending.answer, time.monotonic()
            again = op in SLOTTED or (pending.asked.vc in (REQ, RWD) and op not in GIVES_BACK)
            if answer.err != BUSY or not again:
                break
            if now - began >= T_REQ * self.slow:  # HSL-TXN-018, HSL-NCR-013
                answer = answer._replace(err=UNREACH)
                break
            while time.monotonic() < now + pause:
                yield
            pause = min(2 * pause, MOST_BUSY * self.slow)
        if answer.err:
            raise Refused(f"{op} {addr:#x}", answer)
        return answer

    def _tag(self, nid: int) -> int | None:  # the lowest free one, 2.6
        return next((txn for txn in range(self.result["max_txn"]) if (nid, txn) not in self.open), None)

    def home(self, addr: int) -> int | None:
        """Return the NID of the home of an address by the map, None without one behind the link (5.1.5)."""
        if not self.registers.map:
            return 0  # that of a CPU
        entry = self.registers.lookup(addr)
        found = None if entry is None or entry.type == MMIO else entry.at(addr)
        return found if found in self.theirs else None

    def request(self, op: str, addr: int, seconds: float = PATIENCE, **fields: Any) -> Message:
        """Send a request and return its completion, also one with an ERR. Raises Gone when none comes."""
        try:
            return self.wait(self.ask(op, addr, **fields), seconds)
        except Refused as refused:
            return refused.answer

    def read(self, addr: int) -> bytes:
        """Return a line without caching it, no bytes after an error."""
        found = self._done(self.caches[0].once(addr))
        return found.data if isinstance(found, Line) else b""

    def write(self, addr: int, data: bytes) -> int:
        """Write 8, 16, 32 or 64 bytes, without caching them where the line is not owned; return ERR."""
        return int(self._done(self.caches[0].put(addr, data)) or 0)

    def load(self, addr: int, least: int = SHARED) -> bytes:
        """Return a line and keep a copy; EXCLUSIVE makes it the only one. Return no bytes after an error."""
        found = self._done(self.caches[0].load(addr, least))
        return found.data if isinstance(found, Line) else b""

    def store(self, addr: int, data: bytes) -> int:
        """Own a line and replace bytes of it in the cache; return ERR. Raises Gone when it is not granted."""
        return int(self._done(self.caches[0].store(addr, data)) or 0)

    def evict(self, addr: int) -> int:
        """Give a copy back, with its data where they are newer than memory; return ERR."""
        return int(self._done(self.caches[0].evict(addr)) or 0)

    def _done(self, work: Work[Any]) -> Any:
        try:
            return self.wait(work)
        except Refused as refused:
            return refused.answer.err

    def deliver(self, message: Message) -> None:
        """Take a message: a completion ends its request, agents answer the others."""
        if message.src not in self.theirs or message.dst not in self.own:
            self.dropped += 1  # HSL-SEC-001
            return
        pending = self.open.get((message.dst, message.txn)) if message.name == "CmpData" else None
        as_it_comes = pending and pending.asked.name in ("CfgRead", "MgmtMsg")  # HSL-RAS-015
        if self.viral and message.name in ("CmpData", "MemWr", "MemWrPtl") and not as_it_comes:
            message = message._replace(poison=1)  # HSL-RAS-013
        if message.name in ("Cmp", "CmpData"):
            self._complete(message)
            return
        self.inbox.append(message)
        answer = self.answers.get(message.name, refuse)
        if answer and (answered := answer(message)):
            self.send(answered)

    def _complete(self, message: Message) -> None:
        pending = self.open.get((message.dst, message.txn))
        if pending and not self._expected(pending.asked, message):
            self.dropped += 1  # HSL-SEC-012, HSL-SEC-013; the request stays outstanding
            return
        granted = bool(message.st) and not message.err
        ack = reply(message, "CmpAck", txn=message.htxn)
        for cache in self.caches:
            if granted and pending and cache.nid == message.dst:
                cache.fill(pending.asked, message)
                cache.acks[pending.asked.addr] = ack
        if granted and not self.holds:
            self.send(ack)
        if pending:
            pending.answer = self.open.pop((message.dst, message.txn)).answer = message
        else:
            self.inbox.append(message)  # of a request that `send` has sent

    def _expected(self, asked: Message, message: Message) -> bool:
        if message.src != asked.dst:
            return False
        if message.err:
            return True
        if asked.name == "Upgrade":  # with data only when the copy was lost (SM_A, IM_D)
            copy = any(cache.nid == asked.src and asked.addr in cache.lines for cache in self.caches)
            grants = {("Cmp", EXCLUSIVE)} if copy else GRANTS["ReadUnique"]
        else:
            plain = {("CmpData" if asked.name in WITH_DATA else "Cmp", INVALID)}
            grants = GRANTS.get(asked.name, plain)
        if (message.name, message.st) not in grants:
            return False
        handed = message.name == "CmpData" and message.st == MODIFIED
        size = int(asked.x == 2) if asked.name == "AtomicLoad" else asked.len
        return (message.name == "Cmp" or message.len == size) and (
            not handed or bool(self.result["features"] & HAND_OVER)
        )

    def snoop(self, message: Message) -> Message:
        """Answer a snoop: its cache does, if the home of the line asks (T11, HSL-SEC-011)."""
        cache = next((cache for cache in self.caches if cache.nid == message.dst), None)
        if cache is None or message.src != self.home(message.addr):
            return reply(message, "SnpRsp")
        return cache.snoop(message)

    def target(self, message: Message) -> Message:
        """Serve the memory that the map has placed (5.6.2)."""
        line, at, size = message.addr & -LINE, message.addr % LINE, 8 << message.len
        part = message.name == "MemWrPtl"
        enabled = (1 << size) - 1 if message.be is None else message.be
        odd = enabled >> size or message.addr % size or (not part and (size < LINE or message.be is not None))
        if not self.registers.serves(message.addr, HDM_H):
            return reply(message, "Cmp", err=DECODE)
        if odd or message.src != self.home(message.addr):
            return reply(message, "Cmp", err=PROTO if odd else ACCESS)
        if self.blank:
            return reply(message, "Cmp", err=UNREACH)  # M5
        data, poison = self.memory.get(line, (bytes(LINE), 0))
        if message.name == "MemRd":
            return reply(message, "CmpData", len=3, data=data, poison=poison)
        new, whole = bytearray(data), enabled == (1 << LINE) - 1
        for n in range(size):
            if enabled >> n & 1:
                new[at + n] = message.data[n]
        self.memory[line] = bytes(new), int(not whole and poison) | message.poison
        return reply(message, "Cmp")

    def page(self, message: Message) -> Message | None:
        """Answer an access to MMIO: the registers take what is written, and none can be read."""
        served = self.registers.serves(message.addr, MMIO) and message.name == "NcWrite"
        return reply(message, "Cmp", err=0 if served else DECODE)

    def configure(self, message: Message) -> Message | None:
        """Answer CfgRead and CfgWrite (5.10)."""
        size = 8 << message.len
        if err := self.registers.check(message):
            return reply(message, "Cmp", err=err)
        if message.name == "CfgRead":
            return reply(message, "CmpData", len=message.len, data=self.registers.read(message.addr, size))
        if self.viral:
            return reply(message, "Cmp", err=DATA)  # HSL-RAS-005
        self.begin(self._written(message))
        return None

    def _written(self, message: Message) -> Work[None]:
        old = self.registers.map.get((message.addr - SAM) // 32)
        while (
            old
            and old.loses(Entry.unpack(message.data))
            and any(old.base <= pending.asked.addr <= old.last for pending in self.open.values())
        ):
            yield  # HSL-COH-061
        before, err = self.ready, self.registers.write(message.addr, message.data, self._holds)
        self.send(reply(message, "Cmp", err=err))
        if self.ready and not before and self.blank and self.tells:
            self.begin(self._tell())

    def _tell(self) -> Work[None]:
        """Say that the memory has lost its content; it is served when all of that is known (M5)."""
        own = [each for each in self.registers.map.values() if each.type == HDM_H and each.mt in self.own]
        for entry in own:
            record = struct.pack("<3Q", CONTENT_LOST, entry.base, entry.last).ljust(LINE, b"\0")
            try:
                answer = yield from self.ask("MgmtMsg", 0, src=entry.mt, dst=entry.home, len=3, data=record)
            except Refused:
                return
            if answer.poison or answer.data[4]:  # STATUS; until the next session nothing is served
                return
        self.blank = not own

    def _holds(self, entry: Entry) -> bool:
        return any(entry.base <= addr <= entry.last for cache in self.caches for addr in cache.lines)

    def manage(self, message: Message) -> Message:
        """Answer LOG and COUNTERS with zeros: it keeps neither. A host takes note of CONTENT_LOST."""
        if self.host and message.data[0] == CONTENT_LOST:
            return reply(message, "CmpData", len=3, data=message.data[:4].ljust(LINE, b"\0"))
        if message.data[0] not in (1, 2):
            return reply(message, "Cmp", err=UNSUP)
        return reply(message, "CmpData", len=3, data=bytes(LINE))


def refuse(message: Message) -> Message | None:
    """Return the ERR for what this device does not serve: it has no home, no vector, no queue."""
    if message.vc not in (REQ, RWD, MEM, NCR) or message.name == "ErrMsg":
        return None
    known = message.op in NAMES and (message.vc in (REQ, RWD) or message.name == "Intr")
    return reply(message, "Cmp", err=DECODE if known else UNSUP)


if __name__ == "__main__":
    from examples.raw_device import main

    sys.exit(main())
