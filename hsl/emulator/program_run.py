"""A recorded program on the loopback: its accesses through caches and links, every byte compared.

The program runs on one cache at a time. A stay of `stay` accesses ends when all of them have; then it goes on
at the next cache, as a thread does that a scheduler moves. So a load has one right value, which a flat memory
knows when the load begins.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any, Final, NamedTuple

from hsl._generated.constants import LINE_BYTES, Op, Vc
from hsl._generated.tables import OPCODES
from hsl.agents.access import Access, Ticket
from hsl.agents.address_map import PAGE_BYTES
from hsl.agents.memory import Memory
from hsl.emulator.host import Host
from hsl.emulator.in_process import Tally, epochs, wires
from hsl.emulator.lackey import KINDS, LackeyAccess, LackeyTrace
from hsl.emulator.page_table import FlatMemory, HomeCounts, Page
from hsl.emulator.topology import Topology
from hsl.errors import ConfigError, HslError
from hsl.link.events import Event
from hsl.nearest import expected
from hsl.transport.base import Place, Tap
from hsl.transport.loopback import Loopback
from hsl.transport.node_device import NodeDevice

__all__ = ["CACHES", "HOMES", "SCHEMA", "ProgramRun"]

SCHEMA: Final = "hsl.program/1"
# Where the pages are, by the region of the topology: host memory, device memory homed at the CPU (HDM-H) or
# at the device (HDM-D), page by page at both.
HOMES: Final = {"hostmem": "hostmem", "host": "host0", "device": "device0", "interleaved": "interleaved"}
CACHES: Final = ("cpu", "gpu", "both")
# Accesses to lines that begin at one instant, as many as a large core has in its window, and those of one
# access of the program more: the link moves them together.
BATCH: Final = 256
ISSUE_NS: Final = 1  # one access a nanosecond: what a batch of hits takes
MAX_VIRTUAL_NS: Final = 1 << 60  # no run gets there: an access that waits for ever is ended by T_REQ
MIX: Final = 0x9E3779B97F4A7C15  # of the number of an access, so that neighbours store other bytes
WORD: Final = (1 << 64) - 1
SNOOPS: Final = tuple(op.name for op in Op if OPCODES[op].vc == Vc.SNP)
LOADS: Final = ("I", "L", "M")
STORES: Final = ("S", "M")


class _WrongData(HslError):
    """A load gave other bytes than the flat memory, an access failed, or memory is not as it must be."""


class _Part(NamedTuple):
    """An access to one line that waits for a message, and what it must give (None: a store)."""

    ticket: Ticket
    page: Page
    right: bytes | None
    cause: LackeyAccess


class _Device:
    """A node; that of the CPU boots the other one. `settled` is called when its batch has ended."""

    started = True

    def __init__(self, below: Host | NodeDevice, settled: Callable[[int], None]) -> None:
        self._below = below
        self.node = below.node
        self.finished = False
        self.quiescing = False
        self.waiting: list[_Part] = []
        self.busy = False
        self._settled = settled

    def advance(self, now: int) -> None:
        """Move messages; judge what has ended."""
        self._below.advance(now)
        if self.busy:
            waiting = self.waiting
            while waiting and waiting[-1].ticket.finished is not None:
                judge(waiting.pop())
            if not waiting:
                self.busy = False
                self._settled(now)

    def next_deadline(self) -> int | None:
        """The next timer of the node."""
        return self._below.next_deadline()


class ProgramRun:
    """CPU and GPU joined by a link in virtual time; everything but the trace is from `seed`.

    `home`: a key of HOMES; `caches`: one of CACHES, where the program runs; `stay`: accesses before it
    moves to the next cache (with `both`); `limit`: accesses that are taken of the trace. ConfigError for a
    home or a cache that is none, for a topology of more than one GPU.
    """

    def __init__(
        self,
        topology: Topology,
        trace: LackeyTrace,
        *,
        home: str = "device",
        caches: str = "cpu",
        stay: int = 4096,
        limit: int | None = None,
        seed: int = 0,
    ) -> None:
        check(topology, home, caches)
        epoch = epochs(seed)
        self._host = Host(topology, epoch)
        self.trace = trace
        self.seed = seed
        below = (self._host, NodeDevice(topology.gpu_node(epoch)))
        self.devices = [_Device(each, self._next) for each in below]
        self.wires = wires(topology)
        self._region = region = topology.regions()[HOMES[home]]
        self.homes = {nid: HomeCounts() for nid in region.homes}
        size = region.last + 1 - region.base
        self.flat = FlatMemory(region.base, size, random.Random(f"pages {seed}"), self._load)
        agents = (topology.cpu_cores[1], topology.gpu_agents(0)[0])  # not the core that has booted the GPU
        used = (0, 1) if caches == "both" else (CACHES.index(caches),)
        self.agents = {device: agents[device] for device in used}
        self._places = cycle(map(Place, used))
        self._place = next(self._places)
        self._accesses: Iterator[LackeyAccess] = iter(trace)
        self._limit = limit
        self._stay = self._left = stay
        self.kinds: Counter[str] = Counter()
        self.done = 0  # accesses of the trace
        self.wrong = ""
        self._sent = Tally()
        self.progress: Callable[[int], None] = lambda done: None  # told the accesses done, after each batch

    # ---- the run

    def run(self, observe: Callable[[Place, Event], None] | None = None, tap: Tap | None = None) -> None:
        """Run to the end of the trace or to the first wrong byte, which `wrong` tells.

        ConfigError for a bad trace or a program that is too large.
        """
        self.loopback = Loopback(
            self.devices, self.wires, seed=self.seed, observe=observe, tap=self._sent.tap(tap)
        )
        self.loopback.run(max_time=MAX_VIRTUAL_NS, until=lambda: self._host.master.complete)
        self.began = self.loopback.now
        self._sent.clear()
        self._booted = [sum(device.node.ports[0].messages_sent.values()) for device in self.devices]
        self.loopback.call(self.began, self._place, self._begin)
        try:
            self.loopback.run(max_time=MAX_VIRTUAL_NS)
            self._compare()
        except _WrongData as error:
            self.wrong = str(error)

    def _begin(self) -> None:
        """Submit a batch at the present cache; a hit ends at once."""
        now = self.loopback.now
        device = self.devices[self._place.device]
        agent = device.node.agents[self.agents[self._place.device]]
        device.busy = True
        before, parts = self.done, 0
        for cause in self._batch():
            self.done += 1
            for access, page, right in self._parts(cause):
                parts += 1
                ticket = agent.submit(access, now, collected=False)
                page.counts.accesses += 1
                if ticket.finished is None:
                    page.counts.misses += 1
                    device.waiting.append(_Part(ticket, page, right, cause))
                elif ticket.err or ticket.poison or (right is not None and ticket.data != right):
                    judge(_Part(ticket, page, right, cause))
            if parts >= BATCH:  # the agent takes no more than so many, however long an access is
                break
        self._resume = now + max(parts, 1) * ISSUE_NS
        self._left -= self.done - before
        if self.done == before:
            device.busy = False
            for each in self.devices:
                each.finished = each.quiescing = True

    def _batch(self) -> Iterator[LackeyAccess]:
        """The next accesses of the trace: at most BATCH, what is left of the stay, and of the limit."""
        most = min(BATCH, self._left)
        if self._limit is not None:
            most = min(most, self._limit - self.done)
        for _ in range(most):
            access = next(self._accesses, None)
            if access is None:
                return
            yield access

    def _next(self, now: int) -> None:
        """A batch has ended: go on, at the next cache when the stay is over."""
        if not self._left:
            self._left = self._stay
            self._place = next(self._places)
        self.progress(self.done)
        self.loopback.call(max(now, self._resume), self._place, self._begin)

    def _parts(self, cause: LackeyAccess) -> Iterator[tuple[Access, Page, bytes | None]]:
        """Return the part of an access in each line, and the bytes that a load must return."""
        kind = cause.kind
        self.kinds[kind] += 1
        for page, offset, size in self.flat.pieces(cause.addr, cause.size):
            if kind in LOADS:
                yield Access("load", page.base + offset, size), page, bytes(page.data[offset : offset + size])
            if kind in STORES:
                word = ((cause.line * MIX + cause.addr) & WORD).to_bytes(8, "little")
                data = (word * (LINE_BYTES // len(word)))[:size]
                page.data[offset : offset + size] = data
                name = "store_line" if size == LINE_BYTES else "store"
                yield Access(name, page.base + offset, size, data), page, None

    # ---- memory

    def _memory(self, addr: int) -> Memory:
        """The memory that serves an address, wherever it is."""
        home = self._region.home_of(addr)
        for node in (device.node for device in self.devices):
            if self._region.mt and (target := node.targets.get(self._region.mt)) is not None:
                return target.memory
            if not self._region.mt and (agent := node.homes.get(home)) is not None:
                return agent.memory
        raise AssertionError(f"home {home} is in no node")

    def _load(self, addr: int, data: bytes) -> HomeCounts:
        self._memory(addr).write(addr, data)
        return self.homes[self._region.home_of(addr)]

    def _compare(self) -> None:
        """At rest: memory, with the lines that a cache holds dirty, is the flat memory."""
        dirty = {
            line.addr: bytes(line.data)
            for device in self.devices
            for agent in device.node.agents.values()
            for line in agent.cache.lines.values()
            if line.state == "M"
        }
        for number, page in self.flat.pages.items():
            memory = self._memory(page.base)
            for offset in range(0, PAGE_BYTES, LINE_BYTES):
                line = page.base + offset
                held = dirty.get(line) or memory.read(line, LINE_BYTES)
                if held != (right := bytes(page.data[offset : offset + LINE_BYTES])):
                    at = number * PAGE_BYTES + offset
                    raise _WrongData(
                        f"at the end the line at {at:#x} of the program holds {held.hex()}, not {right.hex()}"
                    )

    # ---- the report

    def report(self) -> dict[str, Any]:
        """Return the report as plain data (part of schema hsl.program/1)."""
        nodes = [device.node for device in self.devices]
        agents = {nid: nodes[device].agents[nid] for device, nid in self.agents.items()}
        parts = sum(counts.accesses for counts in self.homes.values())
        misses = sum(counts.misses for counts in self.homes.values())
        return {
            "verified": not self.wrong and self.done > 0,
            "wrong": self.wrong,
            "accesses": self.done,
            "kinds": {name: self.kinds[kind] for kind, name in KINDS.items()},
            "lines": self.trace.lines,
            "skipped_lines": self.trace.skipped,
            "line_accesses": parts,
            "hit_rate": round(1 - misses / parts, 6) if parts else 0.0,
            "pages": len(self.flat.pages),
            "modelled_ns": self.loopback.now - self.began,
            "caches": [
                {"node": nodes[device].name, "nid": nid} | agents[nid].counters.as_dict()
                for device, nid in self.agents.items()
            ],
            "homes": [self._home(nid, counts) for nid, counts in self.homes.items()],
            "wire": [
                {
                    "from": node.name,
                    "flits": self._sent.flits[index],
                    "bytes": self._sent.bytes[index],
                    "messages": sum(node.ports[0].messages_sent.values()) - self._booted[index],
                }
                for index, node in enumerate(nodes)
            ],
        }

    def _home(self, nid: int, counts: HomeCounts) -> dict[str, Any]:
        """Report the accesses that a home served."""
        node = next(device.node for device in self.devices if nid in device.node.homes)
        home = node.homes[nid]
        return {
            "node": node.name,
            "nid": nid,
            "pages": counts.pages,
            "accesses": counts.accesses,
            "misses": counts.misses,
            "hit_rate": round(1 - counts.misses / counts.accesses, 6) if counts.accesses else 0.0,
            "modelled_mean_miss_ns": round(counts.waited / counts.misses, 1) if counts.misses else 0.0,
            "snoops_sent": sum(home.counters[name] for name in SNOOPS),
        }


def check(topology: Topology, home: str, caches: str) -> None:
    """ConfigError for what a run cannot be."""
    for what, given, legal in (("home", home, tuple(HOMES)), ("cache", caches, CACHES)):
        if given not in legal:
            raise ConfigError(f"unknown {what} {given!r}; {expected(legal, given)}")
    if topology.gpus > 1 or topology.memory_nodes:
        raise ConfigError("a program runs on one CPU and one GPU: gpus = 1 and memory_nodes = 0")


def judge(part: _Part) -> None:
    """Compare what an access gave with what is right; _WrongData names both."""
    ticket, cause, access = part.ticket, part.cause, part.ticket.access
    assert ticket.finished is not None
    part.page.counts.waited += ticket.finished - ticket.issued
    what = f"line {cause.line}: {KINDS[cause.kind]} of {cause.size} bytes at {cause.addr:#x}"
    where = f"{access.kind} at {access.addr:#x} by node {ticket.agent}"
    if ticket.err or ticket.poison:
        raise _WrongData(f"{what}: {where} ended with {ticket.err.name}{', poisoned' * ticket.poison}")
    if part.right is not None and ticket.data != part.right:
        raise _WrongData(f"{what}: {where} gave {ticket.data.hex()}, {part.right.hex()} is right")
