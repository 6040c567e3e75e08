"""Attacks by messages under a good link: random ones, floods, forgeries, and a GPU whose CPU is the raw peer.

The addresses and NIDs are those of `hsl node`.
"""

from __future__ import annotations

import struct
import time
from typing import Any

from examples.raw_agents import HDM_H, RANGES
from examples.raw_attacks import ATTACKS, HOST, Attack, Target, attack
from examples.raw_boots import PRODUCT, Booted, boot
from examples.raw_flits import EXCLUSIVE, HELLO, LINE, OPS, SNP, Message, reply
from examples.raw_peer import Peer

CPU_HOME, CPU_IO, CPU_CORE = 0, 1, 2  # NIDs
KIND_MEMORY, MEMORY_TARGET = 3, 144  # 5.15.2 KIND; NID of the memory node
SCRATCH = 0x2000  # lines that cores write
DONE, BYE = 1, 2  # vectors
NOWHERE = (1 << 52) - LINE  # an address that nobody serves


@attack()
def fuzz_flits(target: Target) -> None:
    """Send flits of random H0 and payload with a good CRC; one in 16 has the right SEQ."""
    peer = target.up()
    for n in target.turns():
        bits = {"ft": 3, "viral": 1, "seq": 10, "cvc": 3, "ccnt": 5}
        head = {name: target.rng.getrandbits(size) for name, size in bits.items()}
        if n % 16 == 0:
            head["seq"] = peer.next
        peer.flit(**head, payload=target.rng.randbytes(peer.form.room))
        peer.step()


@attack()
def fuzz_ctl(target: Target) -> None:
    """Send control flits of the session with random bodies."""
    peer = target.up()
    ops = [op for op in range(256) if op not in (HELLO, 0x40, 0x41)]
    for _ in target.turns():
        peer.ctl(target.rng.choice(ops), seen=target.rng.getrandbits(1), body=target.rng.randbytes(44))
        peer.step()


@attack()
def fuzz_messages(target: Target) -> None:
    """Send well-formed messages with random fields, within credits."""
    peer = target.up()
    rng = target.rng
    ops = [op for op in range(0x20, 0x100) if peer.credits[op >> 5] and op >> 5 not in (SNP, 4, 5)]

    far = apart(peer)

    def make(n: int) -> Message:
        op = rng.choice(list(OPS.values()) if rng.randrange(4) else ops)
        op = op if op in ops else rng.choice(ops)
        addr = rng.choice((HOST, SCRATCH, NOWHERE, far, 1 << 40)) + rng.choice((0, 0, LINE, 8, 1))
        code = 3 if rng.randrange(2) else rng.randrange(4)
        message = Message(op, dst=rng.choice((CPU_HOME, CPU_IO, CPU_CORE)), txn=rng.randrange(300), len=code)
        bits = {"aop": 5, "x": 4, "dom": 12, "poison": 1}
        extra = {name: rng.getrandbits(size) for name, size in bits.items()}
        enables = rng.getrandbits(64) if rng.randrange(3) == 0 else None
        return message._replace(addr=addr % (1 << 52), be=enables, data=rng.randbytes(8 << code), **extra)

    target.fill(peer, make)


@attack()
def fuzz_granules(target: Target) -> None:
    """Send PROT flits in sequence whose payload is random (code 8)."""
    peer = target.up()
    for _ in target.turns():
        peer.prot(target.rng.randbytes(peer.form.room))
        peer.step()


def entered() -> dict[str, Attack]:
    """Return the table, which has the attacks of this file by now."""
    return ATTACKS


# ---- floods of good messages


def flood(op: str, text: str, dst: int = CPU_HOME, addr: int = HOST, step: int = LINE, **fields: Any) -> None:
    """Enter the attack `flood-OP`."""

    def send(target: Target) -> None:
        peer = target.up()
        size = 8 << fields.get("len", 0)

        def make(n: int) -> Message:
            data = (n & 0xFFFFFFFF).to_bytes(size, "little")
            return Message(OPS[op], dst=dst, txn=n % 256, addr=addr + step * (n % 1024), data=data, **fields)

        target.fill(peer, make)

    ATTACKS[f"flood-{op}"] = Attack(send, text)


flood("CfgRead", "reads of configuration registers, most of which do not exist", CPU_IO, 0, 8)
flood("CfgWrite", "writes of configuration registers by a node that is not the master", CPU_IO, 0, 8)
flood("NcRead", "reads of the CPU's I/O page", CPU_IO, 1 << 40, 0)
flood("NcWrite", "writes to the CPU's I/O page", CPU_IO, 1 << 40, 0)
flood("NcEnq", "commands for a queue that was not agreed", CPU_IO, 1 << 40, 0, len=3)
flood("Intr", "interrupts of vectors that nobody waits for", CPU_IO, 0, 0)
flood("TransReq", "translation requests that were not agreed", CPU_IO, 0x1000, 0, len=1)
flood("TransInv", "invalidations by a node that has no IOMMU", CPU_IO, 0x1000, 0)
flood("PageReq", "page requests that were not agreed", CPU_IO, 0x1000, 0)
flood("MgmtMsg", "management records of unknown type", CPU_IO, 0, 0, len=3)
flood("ErrMsg", "posted error reports", CPU_IO, 0, 0, len=1)
flood("AtomicLoad", "atomic additions", aop=0, x=1)
flood("Evict", "Evict of lines that it does not hold", len=3)
flood("WbFull", "WbFull of lines that it does not hold", len=3)
flood("WriteFull", "writes of whole lines", len=3)
flood("ReadShared", "shared copies of 1,024 lines, all acknowledged", len=3)


def for_nothing(op: str, text: str, **fields: Any) -> None:
    """Enter the attack `OP-for-nothing`: answers to what was never asked."""

    def send(target: Target) -> None:
        peer = target.up()
        target.fill(peer, lambda n: Message(OPS[op], dst=CPU_HOME, txn=n % 256, **fields))

    ATTACKS[f"{op}-for-nothing"] = Attack(send, text)


for_nothing("CmpAck", "acknowledgements of grants that were never made")
for_nothing("Cmp", "completions of requests that were never made")
for_nothing("CmpData", "data that nobody asked for", len=3, data=b"\xee" * LINE)
for_nothing("SnpRsp", "answers to snoops that were never sent")
for_nothing("SnpRspData", "dirty data that nobody asked for", len=3, data=b"\xee" * LINE)


@attack()
def snoops(target: Target) -> None:
    """Send snoops from a node that is no home."""
    peer = target.up()
    ops = [OPS["SnpShared"], OPS["SnpInv"], OPS["SnpCur"]]
    target.fill(
        peer, lambda n: Message(ops[n % 3], dst=CPU_CORE, txn=n % 256, len=3, addr=SCRATCH + LINE * (n % 4))
    )


@attack()
def unknown_op(target: Target) -> None:
    """Send requests of operations that are in no table."""
    peer = target.up()
    ops = [op for op in range(0x20, 0x100) if op not in OPS.values() and op >> 5 in (1, 2, 7)]
    target.fill(peer, lambda n: Message(ops[n % len(ops)], dst=CPU_HOME, txn=n % 256, addr=HOST))


@attack()
def forged_src(target: Target) -> None:
    """Send requests with the SRC of nodes that are not behind the link."""
    peer = target.up()

    def make(n: int) -> Message:
        src = target.rng.choice((1, CPU_CORE, MEMORY_TARGET, 40, 1023))
        return Message(OPS["WriteFull"], src, CPU_HOME, n % 256, 3, HOST, b"\xee" * LINE)

    target.fill(peer, make)


@attack()
def forged_memory(target: Target) -> None:
    """Send completions in the name of the memory node."""
    peer = target.up()
    data = b"\xee" * LINE
    target.fill(peer, lambda n: Message(OPS["CmpData"], MEMORY_TARGET, CPU_HOME, n % 64, 3, data=data))


@attack()
def claims(target: Target) -> None:
    """Claim lines by MakeUnique for all NIDs of the device and give none back."""
    peer = target.up()

    def make(n: int) -> Message:
        return Message(OPS["MakeUnique"], peer.own[n % len(peer.own)], 0, n % 256, 3, HOST + LINE * n)

    target.fill(peer, make)


@attack()
def held_grants(target: Target) -> None:
    """Take grants and acknowledge none, so that each holds a TSHR of the home."""
    peer = target.up()
    peer.holds = True
    for n in target.turns():
        peer.send(Message(OPS["ReadUnique"], txn=n % 256, len=3, addr=HOST + LINE * n))
        peer.step()
    peer.run(seconds=0.5)


@attack()
def held_lines(target: Target) -> None:
    """Own the lines that the CPU's cores write and answer no snoop."""
    peer = target.up()
    peer.answers |= dict.fromkeys(("SnpShared", "SnpInv", "SnpCur"))
    for n in target.turns(8):
        peer.load(SCRATCH + LINE * n, EXCLUSIVE)
    peer.run(seconds=max(0.0, target.end - time.monotonic()))


@attack()
def hoard(target: Target) -> None:
    """Return no credits."""
    peer = target.up()
    peer.hoards = True
    target.fill(peer, lambda n: Message(OPS["ReadOnce"], txn=n % 256, len=3, addr=HOST + LINE * n))


@attack()
def poison(target: Target) -> None:
    """Give lines that the CPU reads back poisoned."""
    peer = target.up()
    rung = lambda each: each.name == "NcWrite" and each.addr & 0xFFF == 0  # noqa: E731 - DOORBELL
    peer.run(lambda: any(map(rung, peer.inbox)), 10.0)
    for n in target.turns(16):
        addr = SCRATCH + LINE * n
        if peer.load(addr, EXCLUSIVE):
            peer.request("WbFull", addr, len=3, data=b"\xee" * LINE, poison=1)
            peer.caches[0].lines.pop(addr, None)
    interrupt(peer)
    peer.run(seconds=10.0)  # ends with the CPU, whose check has read what is poisoned


@attack()
def open_reads(target: Target) -> None:
    """Keep 64 reads of the memory node's lines open; every one of them is allowed."""
    peer = target.up()
    free, sent, got, worst, far = list(range(64)), 0, 0, 0.0, apart(peer)
    asked: dict[int, float] = {}
    while got < target.count and time.monotonic() < target.end:
        while free and sent < target.count:
            txn = free.pop()
            peer.send(Message(OPS["ReadOnce"], dst=CPU_HOME, txn=txn, len=3, addr=far + LINE * (sent % 4096)))
            asked[txn], sent = time.monotonic(), sent + 1
        peer.step(0.01)
        while peer.inbox:
            message = peer.inbox.popleft()
            if message.name in ("Cmp", "CmpData") and message.txn in asked:
                worst = max(worst, time.monotonic() - asked.pop(message.txn))
                free.append(message.txn)
                got += 1
    target.seen |= {"completions": got, "worst_ms": int(1000 * worst), "answered": int(got == target.count)}


def apart(peer: Peer) -> int:
    """Return where the memory of another node begins; without one an address that nobody serves."""
    found = (entry for entry in peer.registers.map.values() if entry.type == HDM_H)
    return next((entry.base for entry in found if entry.mt not in peer.own), NOWHERE & -(1 << 20))


# ---- a GPU under attack: the peer is its CPU


def cpu_peer(target: Target) -> tuple[Peer, Booted]:
    """Return a peer with the NIDs of the CPU, whose GPU is booted."""
    peer = target.peer(nid_base=0).up()
    return peer, boot(peer)


def serve(peer: Peer, memory: dict[int, bytes], seconds: float) -> bool:
    """Answer the requests of a GPU as a home without a directory does; True if it has said good-bye."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        message = peer.recv(max(0.0, end - time.monotonic()))
        if message is not None and message.name == "Intr" and message.data[:4] == struct.pack("<I", BYE):
            peer.step()  # its completion
            return True
        if message is None or message.vc not in (1, 2):
            continue
        if message.name in ("ReadShared", "ReadUnique", "ReadOnce", "AtomicLoad"):
            state = 0 if message.name in ("ReadOnce", "AtomicLoad") else 2
            at = message.addr % LINE & -8
            data = memory.get(message.addr & -LINE, bytes(LINE))[at : at + (8 << message.len)]
            peer.send(reply(message, "CmpData", len=message.len, st=state, htxn=message.txn, data=data))
        else:
            state = 3 if message.name == "MakeUnique" else 2 if message.name == "Upgrade" else 0
            memory[message.addr] = message.data or memory.get(message.addr, bytes(LINE))
            peer.send(reply(message, "Cmp", st=state, htxn=message.txn if state else 0))
    return False


def ring(peer: Peer, gpu: Booted, descriptor: int, n: int = 0, register: int = 0) -> None:
    """Ring the doorbell of the GPU."""
    data = struct.pack("<Q", descriptor)
    peer.send(Message(OPS["NcWrite"], CPU_CORE, gpu.io, n % 256, 0, gpu.page + register, data))


def interrupt(peer: Peer, vector: int = DONE) -> None:
    """Tell the CPU that the job is done."""
    peer.send(Message(OPS["Intr"], dst=CPU_IO, txn=255, data=struct.pack("<Q", vector)))


@attack()
def gpu_doorbells(target: Target) -> None:
    """Ring doorbells whose descriptors are at addresses that nobody serves, then the exit doorbell."""
    peer, gpu = cpu_peer(target)
    places = (NOWHERE, 1 << 40, gpu.page, (1 << 63) - LINE, (1 << 64) - 1, 3)
    for n in target.turns():
        ring(peer, gpu, places[n % len(places)], n)
        serve(peer, {}, 0.01)
    finish(target, peer, gpu, 10.0)


def finish(target: Target, peer: Peer, gpu: Booted, seconds: float = 2.0) -> None:
    """Ring the exit doorbell, wait so long for the GPU's good-bye, end the link; count what it has sent."""
    ring(peer, gpu, 0, 255, register=8)
    kept: dict[int, bytes] = {}
    serve(peer, kept, seconds)
    target.seen["pending"] = len(peer.inbox)
    peer.close(disable=True)


@attack()
def gpu_jobs(target: Target) -> None:
    """Ring for jobs with random descriptors."""
    peer, gpu = cpu_peer(target)
    for n in target.turns():
        numbers = [
            target.rng.randrange(8),
            *(target.rng.choice((0, 64, NOWHERE, 1 << 40, n)) for _ in range(7)),
        ]
        ring(peer, gpu, LINE * n, n)
        serve(peer, {LINE * n: struct.pack("<8Q", *numbers)}, 0.02)
    finish(target, peer, gpu)


@attack()
def gpu_completions(target: Target) -> None:
    """Answer the reads of a job with completions that are wrong in one field."""
    peer, gpu = cpu_peer(target)
    ring(peer, gpu, 0)
    for n in target.turns():
        if (message := peer.recv(0.2)) is None:
            break
        fields = {
            name: target.rng.getrandbits(bits)
            for name, bits in (("txn", 12), ("st", 2), ("err", 3), ("len", 2))
        }
        keep = target.rng.choice(list(fields))
        peer.send(reply(message, ("Cmp", "CmpData", "CmpData")[n % 3], **{keep: fields[keep]}))


@attack()
def wrong_memory(target: Target) -> None:
    """Be the memory node: keep what is written, answer reads with a bit flipped."""
    peer = target.peer(nid_base=MEMORY_TARGET, roles=0b10100)
    peer.registers.describe(peer.registers.agents, RANGES[:1])  # with MMIO it would be asked to run jobs
    peer.registers.words[PRODUCT] = KIND_MEMORY << 40
    peer.up().answers["MemRd"] = None
    while time.monotonic() < target.end:
        if (message := peer.recv(0.1)) is not None and message.name == "MemRd":
            data = bytearray(peer.memory.get(message.addr, (bytes(LINE), 0))[0])
            data[target.rng.randrange(LINE)] ^= 1
            peer.send(reply(message, "CmpData", len=3, data=bytes(data)))
