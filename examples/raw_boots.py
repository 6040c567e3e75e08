"""Boot (chapter 18, annex A): a boot master for attacks on a device, and devices that lie to theirs.

Each lie is told by a well-behaved link in all else. A boot master ends the port with code 10, and goes on to
listen (5.15.5); the attacks count how often it does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from examples.raw_agents import (
    AGENT,
    AGENTS,
    CFGMASTER,
    DECODE,
    GUID,
    HA,
    HDM_D,
    HDM_H,
    HOSTMEM,
    ID,
    MMIO,
    MT,
    PROTO,
    RA,
    RANGE,
    RANGES,
    READY,
    SAM,
    UNREACH,
    Entry,
    Range,
)
from examples.raw_attacks import ATTACKS, HOST, Attack, Target, attack
from examples.raw_flits import EXCLUSIVE, LINE, MEM, OPS, Gone, Message, reply
from examples.raw_peer import Peer

VECTORS, PRODUCT, STREAMS = 0x60, 0x68, 0x70
HOME, IO, MASTER, SHARED_HOME, FIRST_DEVICE = 0, 1, 2, 15, 16  # NIDs of A.1
WINDOW_BITS, FIRST_RANGE, NOTIFY = 36, 2, 24
HOST_BYTES, CPU_PAGE = 1 << 26, 1 << 40


# ---- a boot master
class Booted(NamedTuple):
    """A device that `boot` has made READY: role by NID, ranges, entries of the map; its IOA and its page."""

    agents: dict[int, int]
    ranges: list[Range]
    entries: dict[int, Entry]
    io: int
    page: int


def boot(peer: Peer, port: int = 0) -> Booted:
    """Boot the device at the other end of the link by the list of A.3. Raises Gone when that fails."""
    if _read(peer, ID, 8) & 0xFFFFFFFF != int.from_bytes(b"HSL1", "little"):
        raise Gone("CFG: the MAGIC is another one")
    _read(peer, GUID, 8)
    for register in (PRODUCT, VECTORS, STREAMS):
        _read(peer, register, 8, missing=0)
    first, agents, ranges = peer.theirs[0], dict[int, int](), list[Range]()
    while len(agents) < 32 and (word := _read(peer, AGENT + 8 * len(agents), 8)) & 1:
        agents[first + (word >> 16 & 1023)] = word >> 4 & 31
    while len(ranges) < 7 and (word := _read(peer, RANGE + 16 * len(ranges), 16)) & 1:
        home, mt, size = word >> 16 & 1023, word >> 32 & 1023, word >> 64
        ranges.append(Range(word >> 4 & 15, size, home, mt, word >> 8 & 7))
    entries = {
        0: Entry(1, HOSTMEM, 0, 0, HOST_BYTES - 1, HOME),
        1: Entry(1, MMIO, 0, CPU_PAGE, CPU_PAGE + 0xFFF, IO),
    } | place(ranges, first, port)
    _write(peer, CFGMASTER, (MASTER | 1 << 10).to_bytes(8, "little"))
    for index, entry in entries.items():
        _write(peer, SAM + 32 * index, entry.pack())
    _write(peer, READY, (1).to_bytes(8, "little"))
    for entry in entries.values():
        _last_line(peer, entry, first)
    pages = [entry for index, entry in entries.items() if index > 1 and entry.type == MMIO]
    io, page = (pages[0].home, pages[0].base) if pages else (first, 0)
    vector = (IO << 32 | 4 * port).to_bytes(8, "little")
    peer.request("NcWrite", page + NOTIFY, dst=io, data=vector)  # DECODE: the same for port 0
    return Booted(agents, ranges, entries, io, page)


def place(ranges: list[Range], first: int, port: int) -> dict[int, Entry]:
    """Return the entries of the map for the ranges of a device with these NIDs (A.2)."""
    entries, at = dict[int, Entry](), (1 + port) << WINDOW_BITS
    for j, each in enumerate(ranges):
        kind = next(kind for kind in (HDM_D, HDM_H, MMIO) if each.types >> kind & 1)
        home = HOME if kind == HDM_H else first + each.home
        if each.ways and home != FIRST_DEVICE:
            continue
        turn = 1 << (each.size - 1).bit_length()
        at = -(-at // turn) * turn
        place = (1, kind, 0, at, at + each.size - 1, SHARED_HOME if each.ways else home)
        entries[FIRST_RANGE + 7 * port + j] = Entry(
            *place, mt=first + each.mt if kind == HDM_H else 0, ways=int(each.ways > 0)
        )
        at += each.size
    return entries


def _read(peer: Peer, addr: int, size: int, missing: int | None = None) -> int:
    answer = peer.request("CfgRead", addr, dst=peer.theirs[0], len=size.bit_length() - 4)
    if answer.err == DECODE and missing is not None:
        return missing
    if answer.err:
        raise Gone(f"CFG: register {addr:#x} is read with ERR {answer.err}")
    return int.from_bytes(answer.data, "little")


def _write(peer: Peer, addr: int, data: bytes) -> None:
    answer = peer.request("CfgWrite", addr, dst=peer.theirs[0], len=len(data).bit_length() - 4, data=data)
    if answer.err:
        raise Gone(f"CFG: register {addr:#x} is written with ERR {answer.err}")


def _last_line(peer: Peer, entry: Entry, first: int) -> None:
    lines = range(entry.last + 1 - LINE, entry.base - LINE, -LINE)
    if entry.type == HDM_H:
        for _ in range(4):  # UNREACH until it has said that its content is lost (M5)
            answer = peer.request("MemRd", lines[0], src=HOME, dst=entry.mt, len=3)
            if answer.err != UNREACH:
                break
            peer.run(seconds=16 * peer.slow)
    elif entry.type == HDM_D:
        addr = next(addr for addr in lines if entry.at(addr) >= first)
        answer = peer.request("ReadOnce", addr, dst=entry.at(addr), len=3)
    else:
        return
    if answer.err == DECODE:
        raise Gone(f"CFG: the last line of {entry.base:#x} is not there")


# ---- devices that lie
Lie = Callable[[Peer, int], None]


def liar(name: str, text: str, stays: float = 5.0, then: str = "turned_away") -> Callable[[Lie], Lie]:
    """Enter an attack whose peers, a new one each turn, change something before their link comes up.

    They stay until they are turned away or admitted, at most so many seconds; `then` names which of the two
    is expected. The seed is the number of the first lie.
    """

    def enter(lie: Lie) -> Lie:
        def send(target: Target) -> None:
            target.seen[then] = 0  # also where nothing of that kind is seen
            for n in target.turns():
                peer = target.peer()
                try:
                    lie(peer, target.seed + n)
                    found = admitted(peer.up(boot=False), min(stays, target.end - time.monotonic()))
                    count(target, "admitted" if found else "ignored")
                except Gone as gone:
                    count(target, "turned_away" if str(gone) == "ERR_FATAL 10" else str(gone))
                with suppress(Gone):
                    peer.close(disable=True)

        ATTACKS[name] = Attack(send, text)
        return lie

    return enter


@liar("lying-roles", "agents of other roles than those in CAPS, in ID or in AGENT")
def lying_roles(peer: Peer, n: int) -> None:
    """Change a role in ID, add an agent to AGENT, or leave some out."""
    if n % 3 == 0:
        peer.registers.words[ID] ^= HA << 48
    else:
        peer.registers.describe([*AGENTS, (4, HA)] if n % 3 == 1 else AGENTS[:2], RANGES)


@liar("lying-id", "another MAGIC or another major version in ID")
def lying_id(peer: Peer, n: int) -> None:
    """Change a byte of ID."""
    peer.registers.words[ID] ^= 1 << (0, 8, 24, 32)[n % 4]


@liar("lying-agents", "an agent outside the NIDs, twice, with no role, with two roles")
def lying_agents(peer: Peer, n: int) -> None:
    """Spoil one agent of four."""
    wrong = ((8, RA), (2, RA), (3, 0), (3, RA | MT), (1023, RA))[n % 5]
    peer.registers.describe([*AGENTS[:3], wrong], RANGES)


@liar(
    "lying-range",
    "a range of size 0, without a type, of HOSTMEM, at an agent that is none or of another role",
)
def lying_range(peer: Peer, n: int) -> None:
    """Spoil the first range or the second."""
    memory, page = RANGES
    wrong = (
        (memory._replace(size=0), page),
        (memory._replace(types=0), page),
        (memory._replace(types=1 << HOSTMEM), page),
        (memory._replace(mt=5), page),
        (memory._replace(mt=2), page),
        (memory, page._replace(home=1)),
        (memory._replace(types=1 << HDM_D, home=0), page),
    )[n % 7]
    peer.registers.describe(AGENTS, wrong)


@liar("too-large", "a range larger than its window of 2^36")
def too_large(peer: Peer, n: int) -> None:
    """Make one range too large, or two of them together."""
    large = RANGES[0]._replace(size=(1 << WINDOW_BITS) + (4096 if n % 2 == 0 else 0))
    peer.registers.describe(AGENTS, (large, *RANGES[1:]))


@liar("refuses-its-map", "PROTO for an entry of the map that fits a range")
def refuses_its_map(peer: Peer, n: int) -> None:
    """Refuse the entries that name an agent of the device."""
    honest = peer.configure

    def configure(message: Message) -> Message | None:
        entry = message.name == "CfgWrite" and message.addr >= SAM
        if entry and Entry.unpack(message.data).named() & set(peer.own):
            return reply(message, "Cmp", err=PROTO)
        return honest(message)

    peer.answers["CfgWrite"] = configure


@liar("short-memory", "a range of 3 MiB whose last line is not there")
def short_memory(peer: Peer, n: int) -> None:
    """Answer DECODE for the last line, or for more of the end."""
    honest = peer.target

    def target(message: Message) -> Message:
        base, size = peer.registers.place(HDM_H)
        short = message.addr >= base + size - (LINE << n % 12)
        return reply(message, "Cmp", err=DECODE) if short else honest(message)

    peer.answers["MemRd"] = target


@liar("overlapping-nids", "NIDs of the CPU, or some of them")
def overlapping_nids(peer: Peer, n: int) -> None:
    """Claim NIDs that are taken."""
    first, count = ((8, 8), (15, 2), (1, 1), (2, 300), (7, 8))[n % 5]
    peer.caps |= {"nid_base": first, "nid_count": count}


@liar("silent-at-boot", "no answer to CfgRead, or to CfgWrite: T_REQ must end it", stays=3600.0)
def silent_at_boot(peer: Peer, n: int) -> None:
    """Leave one of them unanswered."""
    peer.answers[("CfgRead", "CfgWrite")[n % 2]] = None


@liar("untold-content", "new memory without CONTENT_LOST: UNREACH for ever, or zeros", then="admitted")
def untold_content(peer: Peer, n: int) -> None:
    """Say nothing of the content, or have none lost."""
    peer.tells, peer.blank = False, n % 2 == 0


@attack()
def request_before_ready(target: Target) -> None:
    """Send a REQ, an RWD, an NCR, or a MEM where there is credit, before READY; one each turn."""
    target.seen |= {"turned_away": 0, "sent": 0}
    for n in target.turns():
        peer = target.peer()
        peer.answers["CfgRead"] = None  # so that READY does not come first
        try:
            peer.up(boot=False)
            op = ("ReadOnce", "WriteFull", "Intr", "MemRd")[(target.seed + n) % 4]
            if OPS[op] >> 5 != MEM or peer.credits[MEM]:
                target.seen["sent"] += 1
                peer.push(Message(OPS[op], dst=IO if op == "Intr" else HOME, len=3 * (op != "Intr"), addr=0))
            peer.run(seconds=2.0)
        except Gone as gone:
            target.seen["turned_away"] += str(gone) == "ERR_FATAL 10"
        peer.close()


def admitted(peer: Peer, seconds: float = 10.0) -> bool:
    """Wait until the boot master has written NOTIFY, the last thing that it does before it admits (A.3)."""
    told = lambda each: each.name == "NcWrite" and each.addr & 0xFFF == NOTIFY  # noqa: E731
    return peer.run(lambda: any(map(told, peer.inbox)), seconds)


def count(target: Target, what: str) -> None:
    """Count what a peer has seen."""
    target.seen[what] = target.seen.get(what, 0) + 1


PAST_LOSS = 20.0  # seconds: a new GUID is no proof that the old copies are gone, T_LOSS is (6.2 F4)


@attack()
def comes_back_changed(target: Target) -> None:
    """Be booted, own lines, leave, and come back with another range, agent or NID; a GUID in four is new."""
    target.seen["admitted"] = 0
    for n in target.turns():
        peer = target.peer(nid_base=(200, 208, 300)[n % 3], guid=0x7261775F70656572 + n // 4)
        sizes = (3 << 20, 4 << 20, 1 << 20, 3 << 20)
        ranges = (RANGES[0]._replace(size=sizes[n % 4]), RANGES[1])
        peer.registers.describe(AGENTS if n % 2 else AGENTS[:3], ranges[n % 5 == 4 :])
        try:
            target.seen["admitted"] += admitted(peer.up(PAST_LOSS))
            for addr in (HOST, peer.registers.place(HDM_H)[0] or HOST + LINE):
                peer.load(addr, EXCLUSIVE)  # what it owns is lost with it
        except Gone as gone:
            count(target, str(gone))
        with suppress(Gone):
            peer.close(disable=True)


def entered() -> dict[str, Attack]:
    """Return the table, which has the attacks of this file by now."""
    return ATTACKS
