"""A raw device that runs jobs: the register page and the kernels of annex A, on two caches; the command line.

    python examples/raw_peer.py tcp://127.0.0.1:7410                   # until the CPU says EXIT
    python examples/raw_peer.py tcp://127.0.0.1:7410 --damage 0.01 --exercise --seconds 60

Each cache is a compute unit. Units, jobs and the exercise are works: they go on in `Peer.step`, side by side.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import struct
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from examples.raw_agents import (
    ACCESS,
    DATA,
    DECODE,
    HDM_H,
    IOA,
    MMIO,
    PROTO,
    UNREACH,
    Cache,
    Line,
    Refused,
    Work,
    together,
)
from examples.raw_attacks import HOST, LOCAL, Target, listing, run, table
from examples.raw_flits import LINE, NCR, OPS, Gone, Message, reply
from examples.raw_peer import GUID, Peer

DOORBELL, EXIT, UNITS, NOTIFY = 0, 8, 16, 24  # A.4
DONE, BYE, FAULT = 1, 2, 3
WORDCOUNT, HISTOGRAM, RING = 1, 2, 3  # A.5
CHUNK_STEP, LEAST_CHUNK, MAX_CHUNKS, SCRATCH_LINES, RING_SLOTS = 1024, 2048, 48, 8, 16
BELLS = 256  # doorbells that wait here; the next one waits in its buffer
WORD = re.compile(rb"[^\t-\r ]+")
LIFT_TRIES = 256  # 4 s over sockets
BOOT_SECONDS = 60.0  # for a CPU that waits for other devices
HOST_LINES, END_LINES = 192, 64  # of the exercise: in host memory, and at the end of that of devices


class Job(NamedTuple):
    """The descriptor of a job that counts."""

    kernel: int
    source: int
    length: int
    counters: int
    scratch: int
    ring: int

    def places(self) -> tuple[int, ...]:
        """Return its addresses."""
        return self.source, self.counters, self.scratch, *([self.ring] if self.kernel == RING else [])

    @property
    def chunk(self) -> int:
        """Bytes of a chunk."""
        most = CHUNK_STEP * max(LEAST_CHUNK // CHUNK_STEP, -(-self.length // (MAX_CHUNKS * CHUNK_STEP)))
        return LINE if self.kernel == RING else most


def good(line: Line, addr: int) -> bytes:
    """Return the data of a line. Raises Refused if they are poisoned."""
    if line.poison:
        raise Refused(f"poison at {addr:#x}", Message(OPS["Cmp"], err=DATA))
    return line.data


def count(data: bytes, before: bytes, words: bool) -> Counter[int]:
    """Return what to add to the counters, by offset; `before` is the byte before the data, if any."""
    found = Counter({64 + 8 * value: number for value, number in Counter(data).items()})
    found[0] = len(data)
    if words:
        inside = WORD.match(data) is not None and WORD.match(before) is not None
        found[8] = len(WORD.findall(data)) - inside
    return +found


def end_of(base: int, size: int) -> range:
    """Return the lines of the exercise in a range of memory, without the last one, which a boot reads."""
    return range(base + size - (1 + END_LINES) * LINE, base + size - LINE, LINE) if size else range(0)


class Device(Peer):
    """A peer that runs the jobs of a boot master. `bare`: its register page has DOORBELL and EXIT only."""

    def __init__(
        self, uri: str, *, bare: bool = False, damage: float = 0.0, seed: int = 0, **options: int
    ) -> None:
        self.bare, self.damage, self.rng = bare, damage, random.Random(seed)
        self.total, self.bye = Counter[str](), False  # what the last line tells
        super().__init__(uri, **{"flit_sizes": 3} | options)

    def restart(self) -> None:
        """Forget the session, its jobs and doorbells."""
        super().restart()
        self.bells, self.held, self.jobs = deque[int](), deque[Message](), 0
        self.leaving, self.exercises = False, 0
        self.notify = 1, 0  # NID, vector: where nobody writes NOTIFY

    def raw(self, flit: bytes) -> None:
        """Send the bytes of a flit, or a bit of it inverted."""
        if self.rng.random() < self.damage:
            bit = self.rng.randrange(8 * len(flit))
            flit = (int.from_bytes(flit, "little") ^ 1 << bit).to_bytes(len(flit), "little")
            self.total["flits damaged"] += 1
        super().raw(flit)

    # ---- the register page (A.4)
    def page(self, message: Message) -> Message | None:
        """Answer an access to MMIO. A doorbell beyond 256 waits in its buffer, and so does all behind it."""
        if self.held or (len(self.bells) >= BELLS and message.name == "NcWrite"):
            self.held.append(message)
            self.returnable[NCR] -= 1
            return None
        entry, offset = self.registers.lookup(message.addr), message.addr - self.registers.place(MMIO)[0]
        known = (DOORBELL, EXIT) if self.bare else (DOORBELL, EXIT, UNITS, NOTIFY)
        if not self.registers.serves(message.addr, MMIO) or offset & -8 not in known:
            return reply(message, "Cmp", err=DECODE)
        if offset % 8 or message.len or (message.be or 0) >> 8:
            return reply(message, "Cmp", err=PROTO)
        if entry is None or not entry.rights >> 4 & 1:
            return reply(message, "Cmp", err=ACCESS)
        bits = sum(0xFF << 8 * n for n in range(8) if message.be is None or message.be >> n & 1)
        if message.name == "NcRead":
            return reply(message, "CmpData", data=(self.shown(offset) & bits).to_bytes(8, "little"))
        if self.viral or message.poison:
            return reply(message, "Cmp", err=DATA)
        if bits:
            self.written(offset, int.from_bytes(message.data, "little") & bits)
        return reply(message, "Cmp")

    def shown(self, offset: int) -> int:
        """Return what a read of a register gives."""
        return {UNITS: len(self.caches), NOTIFY: self.notify[1] | self.notify[0] << 32}.get(offset, 0)

    def written(self, offset: int, value: int) -> None:
        """Take a write of a register."""
        if offset == NOTIFY:
            self.notify = value >> 32 & 1023, value & 0xFFFF
        elif offset == EXIT:
            self.leaving = True
        elif offset == DOORBELL and not self.leaving:
            self.bells.append(value)

    def release(self) -> None:
        """Take what waits in its buffer, now that there is room for a doorbell."""
        waiting, self.held = self.held, deque()
        for message in waiting:
            self.returnable[NCR] += 1
            if answer := self.page(message):
                self.send(answer)

    def interrupt(self, vector: int) -> Work[None]:
        """Send an interrupt and wait for its completion."""
        nid, first = self.notify
        data = struct.pack("<II", first + vector, self.jobs & 0xFFFFFFFF)
        io = next((offset for offset, role in self.registers.agents if role == IOA), 0)
        with suppress(Refused):  # nobody else can be told
            yield from self.ask("Intr", 0, src=self.own[io], dst=nid, data=data)

    # ---- jobs (A.5)
    def work(self) -> Work[None]:
        """Run jobs one after the other until EXIT; give all lines back, say BYE."""
        while not self.leaving:
            if self.bells:
                yield from self.job(self.bells.popleft())
                self.release()
            else:
                yield
        while self.exercises:
            yield
        yield from self.give_back()
        yield from self.interrupt(BYE)
        self.bye = True

    def give_back(self) -> Work[None]:
        """Evict all lines."""
        yield from together(cache.evict(line) for cache in self.caches for line in list(cache.lines))

    def job(self, addr: int) -> Work[None]:
        """Run the job whose descriptor is at an address; interrupt DONE or FAULT."""
        vector = FAULT
        try:
            if addr % LINE == 0:
                line = yield from self.caches[0].load(addr)
                job = Job(*struct.unpack_from("<6Q", good(line, addr)))
                odd = [each for each in job.places() if each % LINE]
                if job.kernel in (WORDCOUNT, HISTOGRAM, RING) and not odd:
                    yield from self.run_job(job)
                    vector = DONE
        except Refused as refused:
            print(f"job at {addr:#x}: {refused}", file=sys.stderr)
        self.total["jobs" if vector == DONE else "faults"] += 1
        yield from self.interrupt(vector)

    def run_job(self, job: Job) -> Work[None]:
        """Count all chunks, store the completion line, flush what the kernel names."""
        chunks = iter(range(-(-job.length // job.chunk)))
        if job.kernel == RING:
            done = [(yield from self.ring(job, chunks))]
        else:
            done = yield from together(self.unit(u, job, chunks) for u in range(len(self.caches)))
        end = job.scratch + SCRATCH_LINES * LINE
        first = self.caches[0]
        yield from first.store(end, struct.pack("<QQ", self.jobs + 1, sum(done)).ljust(LINE, b"\0"))
        yield from together(first.flush(addr) for addr in range(job.scratch, end + LINE, LINE))
        self.jobs += 1
        self.total["chunks"] += sum(done)

    def unit(self, u: int, job: Job, chunks: Iterator[int]) -> Work[int]:
        """Take chunks while there are any; return how many."""
        cache, done = self.caches[u], 0
        for k in chunks:
            at = k * job.chunk
            size = min(job.chunk, job.length - at)
            first = job.source + at - (LINE if k else 0)  # the byte before decides if a word begins here
            lines = range(first, job.source + at + size, LINE)
            found = yield from together(cache.load(addr) for addr in lines)
            data = b"".join(good(line, addr) for line, addr in zip(found, lines, strict=True))
            before, data = data[: LINE if k else 0][-1:], data[LINE if k else 0 :][:size]
            yield from self.add_all(cache, job, count(data, before, job.kernel == WORDCOUNT))
            yield from self.bounce(cache, job, k, u)
            done += 1
        return done

    def add_all(self, cache: Cache, job: Job, amounts: Counter[int]) -> Work[None]:
        """Add to the counters; those of one line go one after the other by themselves."""
        yield from together(cache.add(job.counters + at, amount) for at, amount in sorted(amounts.items()))

    def bounce(self, cache: Cache, job: Job, k: int, u: int) -> Work[None]:
        """Add 1 to the word of a unit in a scratch line, by a load and a store."""
        addr, at = job.scratch + LINE * (k % SCRATCH_LINES), 8 * (1 + u)
        data = good((yield from cache.load(addr)), addr)
        value = int.from_bytes(data[at : at + 8], "little") + 1
        yield from cache.store(addr + at, (value % (1 << 64)).to_bytes(8, "little"))

    def ring(self, job: Job, chunks: Iterator[int]) -> Work[int]:
        """Take the lines of the input from the ring; add the counts at the end."""
        cache, amounts, before, done = self.caches[0], Counter[int](), b"", 0
        for k in chunks:
            while True:
                head = good((yield from cache.load(job.ring)), job.ring)
                if int.from_bytes(head[:8], "little") > k:
                    break
                yield  # until a snoop has taken the copy
            slot = job.source + LINE * (k % RING_SLOTS)
            data = good((yield from cache.load(slot)), slot)[: job.length - LINE * k]
            amounts += count(data, before, True)
            before, done = data[-1:], done + 1
            yield from cache.store(job.ring + LINE, done.to_bytes(8, "little"))
            yield from self.bounce(cache, job, k, 0)
        yield from self.add_all(cache, job, amounts)
        return done

    # ---- the exercise
    def exercise(self) -> Work[None]:
        """Write lines that no program uses, and read them with both caches, until EXIT.

        They are in host memory, its own, and that of other devices, which may go: UNREACH is right there.
        """
        self.exercises += 1
        base, size = self.registers.place(HDM_H)
        host, own = range(HOST, HOST + HOST_LINES * LINE, LINE), end_of(base, size)
        try:
            for addr in own[:1]:
                yield from self.lifted(addr)
            while not self.leaving:
                entries = [each for each in self.registers.map.values() if each.type == HDM_H]
                far = [addr for each in entries for addr in end_of(each.base, each.last + 1 - each.base)]
                addr = self.rng.choice([*host, *own, *far])
                try:
                    yield from self.turn(addr)
                except Refused as refused:
                    away = addr in far and addr not in own and refused.answer.err == UNREACH
                    self.total["unreachable" if away else "wrong"] += 1
                yield
        finally:
            self.exercises -= 1

    def lifted(self, addr: int) -> Work[None]:
        """Wait until the home serves a line: after CONTENT_LOST its software lifts a fence (M5, A.7)."""
        for _ in range(LIFT_TRIES):
            try:
                yield from self.caches[0].once(addr)
            except Refused as refused:
                if refused.answer.err != UNREACH:
                    raise
                again = time.monotonic() + 16 * self.slow
                while time.monotonic() < again:
                    yield
            else:
                return

    def turn(self, addr: int) -> Work[None]:
        """Write a line in one of several ways and compare what both caches find."""
        one, other = self.rng.sample(self.caches, 2)
        data, part = self.rng.randbytes(LINE), self.rng.randbytes(8)
        how = self.rng.randrange(4)
        yield from (one.put if how == 0 else one.store)(addr, data)
        if how == 1:  # both at once, to one line
            yield from together([one.store(addr + 8, part), other.store(addr + 32, part)])
            data = data[:8] + part + data[16:32] + part + data[40:]
        elif how == 2:
            yield from together([one.evict(addr), other.put(addr + 8, part)])
            data = data[:8] + part + data[16:]
        elif how == 3:
            yield from together([other.load(addr), one.flush(addr)])
        found = yield from together([other.once(addr) if how else other.load(addr), one.load(addr)])
        self.total["lines compared"] += len(found)
        self.total["wrong"] += sum(line.data != data or line.poison for line in found)

    def serve(self, seconds: float | None = None, exercise: bool = False) -> None:
        """Be booted, and run jobs until EXIT has been answered, or so long. Raises Gone."""
        self.up(BOOT_SECONDS)
        end = time.monotonic() + (1e9 if seconds is None else seconds)
        if exercise:
            self.begin(self.exercise())
        self.begin(self.work())
        self.run(lambda: self.bye, end - time.monotonic())
        if self.bye:
            with suppress(Gone):
                self.run(seconds=0.5)  # its last acknowledgements; the CPU may end the link now
        else:
            self.tasks = []  # what is outstanding is awaited; a job is not done
            self.run(lambda: not self.open)
            self.wait(self.give_back())
        self.close(disable=True)

    def story(self) -> str:
        """Return what was done, in a line."""
        jobs, faults = self.total["jobs"], self.total["faults"]
        parts = [f"{jobs} job{'s' * (jobs != 1)}", f"{self.total['chunks']} chunks"]
        parts += [f"{faults} refused"] if faults else []
        parts += [f"{self.total['flits damaged']} flits damaged"] if self.damage else []
        if self.total["lines compared"]:
            parts += [f"{self.total['lines compared']} lines compared", f"{self.total['wrong']} wrong"]
        if self.total["unreachable"]:
            parts += [f"{self.total['unreachable']} unreachable"]
        return ", ".join([*parts, *(["bye"] if self.bye else [])])


# ---- the command line
def arguments_of(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the command line; exits with status 2 when it is wrong."""
    parser = argparse.ArgumentParser(
        prog="raw_peer.py",
        description="A raw HSL device, well-behaved or not: it is booted and runs jobs until the CPU says "
        "EXIT, or does what --attack says. Exit status: 0 after EXIT, after --seconds, or if the attack was "
        "sent; 1 after wrong data, when the link ended, or if nobody accepts connections; 2 for wrong "
        "arguments. Whether the other side still works after an attack is for you to check.",
    )
    add = parser.add_argument
    add("uri", nargs="?", help="tcp://HOST:PORT, udp://HOST:PORT or unix:///PATH of a listener")
    add("--list", action="store_true", help="list the attacks")
    add("--attack", choices=table(), metavar="NAME", help="default: a device that runs jobs")
    add("--seconds", type=float, help="leave so long after READY (default: with EXIT; an attack: 10)")
    add(
        "--exercise",
        action="store_true",
        help="keep writing lines, read them, and compare: one device at a time",
    )
    add(
        "--damage",
        type=float,
        default=0.0,
        metavar="RATE",
        help="invert a bit of a flit with this probability",
    )
    add("--bare", action="store_true", help="answer DECODE for the registers NOTIFY and UNITS")
    add("--nid", type=int, default=200, help="first of the 8 NIDs (default: 200)")
    add("--count", type=int, default=1000, help="turns of the attack (default: 1000)")
    add("--seed", type=int, default=0, help="the same attack or damage for the same seed (default: 0)")
    add("--anywhere", action="store_true", help="allow a host that is not this one")
    given = parser.parse_args(arguments)
    if given.uri is None and not given.list:
        parser.error("give a URI or --list")
    host = "" if given.list else given.uri.partition("://")[2].rpartition(":")[0]
    if host and host not in LOCAL and not (given.uri.startswith("unix://") or given.anywhere):
        parser.error(f"{host} is not this host: give --anywhere if it is yours")
    if not 0 <= given.damage < 1 or not 0 <= given.nid <= 1016:
        parser.error("--damage is at least 0 and below 1, --nid 0 to 1016 (the CPU has 0 to 15)")
    given.error = parser.error
    return given


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return 1 after wrong data, when the link ended, or without a connection."""
    given = arguments_of(arguments)
    if given.list:
        print("\n".join(listing(shutil.get_terminal_size().columns if sys.stdout.isatty() else None)))
        return 0
    try:
        return attack(given) if given.attack else behave(given)
    except ValueError as error:  # the URI
        given.error(str(error))
    return 2


def attack(given: argparse.Namespace) -> int:
    """Send an attack and tell how it ended."""
    options = {"nid_base": given.nid} if given.nid != 200 else {}
    seconds = 10.0 if given.seconds is None else given.seconds
    target = Target(given.uri, given.count, seconds, given.seed, **options)
    ended = run(given.attack, target)
    told = "".join(f", {name} {value}" for name, value in target.seen.items())
    print(f"{given.attack}: {target.done} turns, seed {given.seed}{told}; {ended}")
    return int(target.unreachable)


def behave(given: argparse.Namespace) -> int:
    """Be a device."""
    gone, story, device = 0, "nobody accepts connections", None
    options: dict[str, Any] = {"bare": given.bare, "damage": given.damage, "seed": given.seed}
    try:
        device = Device(given.uri, nid_base=given.nid, guid=GUID + given.nid, **options)
        device.serve(given.seconds, given.exercise)
    except (Gone, KeyboardInterrupt) as error:
        print(str(error) or "interrupted")
        gone = 1
    if device:
        story = device.story()
        device.close(disable=True)
    print(story)
    return int(gone or (device is not None and device.total["wrong"] > 0))
