"""Agents of the raw peer, from chapters 8, 13 and 18: its registers, its map, and a cache."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from examples.raw_flits import EXCLUSIVE, INVALID, LINE, MODIFIED, OPS, RSP, SHARED, Gone, Message, reply

if TYPE_CHECKING:
    from examples.raw_peer import Peer

DECODE, ACCESS, DATA, PROTO, UNREACH, UNSUP, BUSY = range(1, 8)  # 2.6 ERR
RA, HA, MT, IOA = 1, 2, 4, 16  # 3.3.2 ROLES
HOSTMEM, HDM_D, HDM_H, MMIO = range(4)  # 5.1 TYPE
ID, GUID, CFGMASTER, READY = 0x00, 0x08, 0x48, 0x58  # 5.14, registers
AGENT, RANGE, SAM = 0x400, 0x800, 0x1000
PAGES = (1 << 52) - (1 << 12)  # bits 51:12
AGENTS = ((0, IOA), (1, MT), (2, RA), (3, RA))  # offset and role
ROOM = 64  # lines of a cache

Result = TypeVar("Result")
Work = Generator[None, None, Result]  # yields while it waits for a message


class Refused(Exception):
    """An access ended with an ERR, or met poison (ERR = DATA)."""

    def __init__(self, text: str, answer: Message) -> None:
        super().__init__(f"{text}: ERR {answer.err}")
        self.answer = answer


# ---- identity and map (5.1, 5.15.2)
class Range(NamedTuple):
    """An entry of RANGE: memory or MMIO. `types` has bit n for type n; `home` and `mt` are offsets."""

    types: int
    size: int
    home: int = 0
    mt: int = 0
    ways: int = 0

    def pack(self) -> bytes:
        """Return the two granules of a valid entry."""
        first = 1 | self.types << 4 | self.ways << 8 | self.home << 16 | self.mt << 32
        return struct.pack("<QQ", first, self.size)


RANGES = (Range(1 << HDM_H, 3 << 20, mt=1), Range(1 << MMIO, 8 << 10, home=0))


class Entry(NamedTuple):
    """An entry of the map, of the addresses `base` to `last`."""

    valid: int
    type: int
    quiesced: int
    base: int
    last: int
    home: int
    mt: int = 0
    ways: int = 0
    granule: int = 12
    rights: int = 31

    @classmethod
    def unpack(cls, data: bytes) -> Entry:
        """Return the entry in four granules."""
        d0, d1, d2, _ = struct.unpack("<4Q", data)
        place = d0 & PAGES, d1 & PAGES | 0xFFF
        rest = d2 & 1023, d2 >> 10 & 1023, d2 >> 20 & 7, d2 >> 24 & 15, d2 >> 32 & 31
        return cls(d0 & 1, d0 >> 1 & 7, d0 >> 4 & 1, *place, *rest)

    def pack(self) -> bytes:
        """Return the four granules."""
        d0 = self.valid | self.type << 1 | self.quiesced << 4 | self.base
        d2 = self.home | self.mt << 10 | self.ways << 20 | self.granule << 24 | self.rights << 32
        return struct.pack("<4Q", d0, self.last & PAGES, d2, 0)

    def at(self, addr: int) -> int:
        """Return the NID of the home of an address (5.1)."""
        return self.home + (addr >> self.granule) % (1 << self.ways)

    def named(self) -> set[int]:
        """Return the NIDs that serve it on a device: of its homes, or of the memory target of an HDM_H."""
        homes = {self.home + n for n in range(1 << self.ways)}
        return {HOSTMEM: set[int](), HDM_H: {self.mt}}.get(self.type, homes)

    def loses(self, new: Entry) -> bool:
        """True if lines change their home or their rights when `new` takes its place (5.1.4)."""
        same = self._replace(quiesced=0, rights=0) == new._replace(quiesced=0, rights=0)
        return self.type != MMIO and not (same and self.rights & ~new.rights & 0b101 == 0)


class Registers:
    """The registers that CfgRead and CfgWrite reach; any other ends with DECODE, PRODUCT and VECTORS too."""

    def __init__(self, guid: int, caps: dict[str, int]) -> None:
        self.nid, self.words = caps["nid_base"], dict[int, int]()
        self.map: dict[int, Entry] = {}  # the valid ones
        self.taken: dict[int, tuple[int, int]] = {}  # of ranges: index of the entry that took it, place
        self.words |= dict.fromkeys((CFGMASTER, READY, *range(SAM, SAM + 64 * 32, 8)), 0)
        self.words |= {ID: int.from_bytes(b"HSL1\1\0", "little") | caps["roles"] << 48, GUID: guid}
        agents = [agent for agent in AGENTS if agent[1] & caps["roles"]]
        self.describe(agents, RANGES if caps["roles"] & MT else RANGES[1:])

    def describe(self, agents: Any, ranges: Any) -> None:
        """Fill AGENT and RANGE: pairs of offset and role, and Ranges."""
        self.agents, self.ranges = tuple(agents), tuple(ranges)
        granules = [1 | role << 4 | offset << 16 for offset, role in self.agents]
        self.words |= {AGENT + 8 * n: 0 for n in range(32)} | {RANGE + 8 * n: 0 for n in range(14)}
        self.words |= {AGENT + 8 * n: granule for n, granule in enumerate(granules)}
        for n, each in enumerate(self.ranges):
            self.words[RANGE + 16 * n], self.words[RANGE + 16 * n + 8] = struct.unpack("<QQ", each.pack())

    def check(self, message: Message) -> int:
        """Return the ERR of the checks of 5.14: DECODE, PROTO, then ACCESS."""
        size = 8 << message.len
        if any(at not in self.words for at in range(message.addr & -8, message.addr + size, 8)):
            return DECODE
        entry = message.addr >= SAM and message.name == "CfgWrite"  # replaced whole
        if message.be is not None or message.addr % size or message.len > 2 or (entry and message.len < 2):
            return PROTO
        master = self.words[CFGMASTER]
        other = master >> 10 and message.src != master & 1023
        return ACCESS if other and message.name == "CfgWrite" else 0

    def read(self, addr: int, size: int) -> bytes:
        """Return the bytes of registers that exist."""
        return b"".join(self.words[at].to_bytes(8, "little") for at in range(addr, addr + size, 8))

    def write(self, addr: int, data: bytes, busy: Callable[[Entry], bool]) -> int:
        """Write a register; return ERR. `busy` says if an agent of the node uses a line of an entry."""
        if addr < SAM:  # the others are RO, which is no error
            bits = {READY: 1, CFGMASTER: 0x7FF}.get(addr, 0)
            self.words[addr] = self.words[addr] & ~bits | int.from_bytes(data[:8], "little") & bits
            return 0
        index, new = (addr - SAM) // 32, Entry.unpack(data)
        old = self.map.get(index)
        if old and old.loses(new) and (not old.quiesced or busy(old)):
            return PROTO  # HSL-COH-059
        if new.valid and new.named() & {self.nid + offset for offset, _ in self.agents}:
            if (fit := self.fitting(index, new)) is None:
                return PROTO  # HSL-BOT-005
            self.taken[fit] = index, new.base  # and stays there, whatever is written later
        self.words |= dict(zip(range(addr, addr + 32, 8), struct.unpack("<4Q", data), strict=True))
        self.map = dict(sorted((self.map | {index: new}).items()))
        if not new.valid:
            del self.map[index]
        return 0

    def fitting(self, index: int, new: Entry) -> int | None:
        """Return the number of the first range that an entry fits, and has taken or may take (5.15.2)."""
        for n, each in enumerate(self.ranges):
            agent = self.nid + (each.mt if new.type == HDM_H else each.home)
            ways = new.ways <= each.ways and bool(new.ways) == bool(each.ways)
            fits = (
                each.types >> new.type & 1 and each.size == new.last + 1 - new.base and agent in new.named()
            )
            if fits and ways and self.taken.get(n, (index, new.base)) == (index, new.base):
                return n
        return None

    def lookup(self, addr: int) -> Entry | None:
        """Return the lowest valid entry that contains an address."""
        return next((entry for entry in self.map.values() if entry.base <= addr <= entry.last), None)

    def place(self, kind: int) -> tuple[int, int]:
        """Return address and size of the first own range of a type that has been taken; else (0, 0)."""
        found = [(self.taken[n][1], self.ranges[n]) for n in sorted(self.taken)]
        return next(((base, each.size) for base, each in found if each.types >> kind & 1), (0, 0))

    def serves(self, addr: int, kind: int) -> bool:
        """True if an address lies in an own range of a type (the reference has one range of each)."""
        base, size = self.place(kind)
        return base <= addr < base + size


# ---- work that waits for messages, and a cache (5.5)
class Task(NamedTuple):
    """Work that goes on in `step`; `ended` gets its result or the Refused that ended it."""

    work: Work[Any]
    ended: list[Any]

    def go(self) -> None:
        """Let it do what it can."""
        try:
            next(self.work)
        except StopIteration as end:
            self.ended.append(end.value)
        except Refused as refused:
            self.ended.append(refused)


class Pending:
    """A request that is outstanding, and its completion when it has come."""

    def __init__(self, asked: Message) -> None:
        self.asked = asked
        self.answer: Message | None = None


def together(works: Any, most: int = 8) -> Work[list[Any]]:
    """Do works side by side, at most so many at a time; return their results in order.

    After a Refused no other is begun, and those that run are ended first: their requests are outstanding.
    """
    waiting, running, refused = deque(enumerate(works)), list[tuple[int, Task]](), list[Refused]()
    results = dict[int, Any]()
    while running or (waiting and not refused):
        while waiting and len(running) < most and not refused:
            n, work = waiting.popleft()
            running.append((n, Task(work, [])))
        for n, task in running:
            task.go()
            if task.ended and isinstance(task.ended[0], Refused):
                refused.append(task.ended[0])
            elif task.ended:
                results[n] = task.ended[0]
        running = [(n, task) for n, task in running if not task.ended]
        if running:
            yield
    if refused:
        raise refused[0]
    return [results[n] for n in sorted(results)]


class Line(NamedTuple):
    """A copy of a line."""

    state: int
    data: bytes
    poison: int = 0


class Cache:
    """A request agent. Its accesses are works; those of one line are done one by one, oldest first (T1)."""

    def __init__(self, peer: Peer, nid: int) -> None:
        self.peer, self.nid = peer, nid
        self.restart()

    def restart(self) -> None:
        """Drop all copies; what waits is forgotten."""
        self.lines: dict[int, Line] = {}
        self.leaving: set[int] = set()  # in WbFull: MI_A
        self.queues: dict[int, deque[object]] = {}
        self.acks: dict[int, Message] = {}  # CmpAck of the last grant of a line

    def load(self, addr: int, least: int = SHARED) -> Work[Line]:
        """Return the line of an address and keep a copy; EXCLUSIVE makes it the only one."""
        return self._alone(addr, self._hold(addr & -LINE, least))

    def store(self, addr: int, data: bytes) -> Work[None]:
        """Own a line and replace bytes of it in the cache."""
        return self._alone(addr, self._store(addr, data))

    def evict(self, addr: int) -> Work[None]:
        """Give a copy back, with its data where they are newer than memory."""
        return self._alone(addr, self._evict(addr & -LINE))

    def once(self, addr: int) -> Work[Line]:
        """Return a line without keeping a copy."""
        return self._alone(addr, self._once(addr & -LINE))

    def put(self, addr: int, data: bytes) -> Work[None]:
        """Write 8, 16, 32 or 64 bytes, in memory where the cache does not own the line."""
        return self._alone(addr, self._put(addr, data))

    def add(self, addr: int, value: int) -> Work[None]:
        """Add to 8 bytes by AtomicStore, or in the cache where that owns the line (5.12)."""
        return self._alone(addr, self._add(addr, value))

    def flush(self, addr: int) -> Work[None]:
        """Bring a line to memory, and leave no holder."""
        return self._alone(addr, self._flush(addr & -LINE))

    def _alone(self, addr: int, work: Work[Result]) -> Work[Result]:
        queue, token = self.queues.setdefault(addr & -LINE, deque()), object()
        queue.append(token)
        try:
            while queue[0] is not token:
                yield
            return (yield from work)
        finally:
            queue.remove(token)
            if not queue:
                self.queues.pop(addr & -LINE, None)

    def _ask(self, op: str, addr: int, **fields: Any) -> Work[Message]:
        yield from self._settled(addr)
        return (yield from self.peer.ask(op, addr, src=self.nid, **fields))

    def _settled(self, addr: int) -> Work[None]:
        while self.acks.get(addr) in self.peer.waiting[RSP]:  # D4: first the CmpAck goes into a flit
            yield
        self.acks.pop(addr, None)

    def _hold(self, addr: int, least: int, data: bytes = b"") -> Work[Line]:
        if addr not in self.lines and len(self.lines) >= ROOM:  # D1
            idle = (line for line in self.lines if line not in self.queues)
            yield from together(self.evict(line) for line in [next(idle, None)] if line is not None)
        miss = "ReadShared" if least == SHARED else "MakeUnique" if data else "ReadUnique"
        for _ in range(5):  # only a home that snoops before the CmpAck takes the line away between two
            held = self.lines.get(addr)
            if held and held.state >= least:
                return held
            yield from self._ask("Upgrade" if held else miss, addr, len=3, data=data)
        raise Gone(f"{addr:#x}: not granted")

    def _store(self, addr: int, data: bytes) -> Work[None]:
        line, at, whole = addr & -LINE, addr % LINE, len(data) == LINE
        held = yield from self._hold(line, EXCLUSIVE, data if whole else b"")
        data = held.data[:at] + data + held.data[at + len(data) :]
        self.lines[line] = Line(MODIFIED, data, 0 if whole else held.poison)

    def _evict(self, addr: int) -> Work[None]:
        yield from self._settled(addr)  # a snoop may come meanwhile
        held = self.lines.get(addr)
        if held and held.state != MODIFIED:
            del self.lines[addr]
            yield from self._ask("Evict", addr, len=3)
        elif held:
            self.leaving.add(addr)
            try:
                yield from self._ask("WbFull", addr, len=3, data=held.data, poison=held.poison)
            finally:
                self.leaving.discard(addr)
                self.lines.pop(addr, None)

    def _once(self, addr: int) -> Work[Line]:
        if addr in self.lines:
            return self.lines[addr]
        answer = yield from self._ask("ReadOnce", addr, len=3)
        return Line(INVALID, answer.data, answer.poison)

    def _put(self, addr: int, data: bytes) -> Work[None]:
        held = self.lines.get(addr & -LINE)
        if held and held.state >= EXCLUSIVE:
            yield from self._store(addr, data)
            return
        yield from self._evict(addr & -LINE)  # T2: from I only
        op = "WriteFull" if len(data) == LINE else "WritePtl"
        yield from self._ask(op, addr, len=len(data).bit_length() - 4, data=data)

    def _add(self, addr: int, value: int) -> Work[None]:
        held, at = self.lines.get(addr & -LINE), addr % LINE
        if held and held.state >= EXCLUSIVE:
            if held.poison:
                raise Refused(f"atomic at {addr:#x}", Message(OPS["Cmp"], err=DATA))
            total = (int.from_bytes(held.data[at : at + 8], "little") + value) % (1 << 64)
            yield from self._store(addr, total.to_bytes(8, "little"))
            return
        yield from self._evict(addr & -LINE)
        yield from self._ask("AtomicStore", addr, x=1, data=value.to_bytes(8, "little"))

    def _flush(self, addr: int) -> Work[None]:
        yield from self._evict(addr)
        yield from self._ask("Flush", addr, len=3)

    def fill(self, asked: Message, grant: Message) -> None:
        """Take what a completion grants; the line of a MakeUnique is that of the store."""
        old = self.lines.get(asked.addr, Line(INVALID, asked.data))
        new = old if grant.name == "Cmp" else Line(INVALID, grant.data, grant.poison)
        self.lines[asked.addr] = new._replace(state=grant.st)

    def snoop(self, message: Message) -> Message:
        """Answer a snoop and change the state as 5.5 says."""
        held = self.lines.get(message.addr, Line(INVALID, b""))
        kept = {"SnpShared": min(held.state, SHARED), "SnpInv": INVALID}.get(message.name, held.state)
        if message.addr in self.leaving and kept != MODIFIED:
            kept = INVALID  # MI_A becomes II_A
        if kept:
            self.lines[message.addr] = held._replace(state=kept)
        else:
            self.lines.pop(message.addr, None)
        if held.state != MODIFIED:
            return reply(message, "SnpRsp", st=kept)
        return reply(message, "SnpRspData", st=kept, len=3, data=held.data, poison=held.poison)
