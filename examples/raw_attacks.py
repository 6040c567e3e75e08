"""Attacks for the raw peer: the table, those below the messages, and the command line of raw_peer.py.

To start fuzzing, write a function that takes a `Target` and put it into the table:

    @attack()
    def my_attack(target: Target) -> None:
        'Read every line, in order.'
        peer = target.up()  # HELLO, CAPS, INITFC, ACTIVE: a well-behaved link
        for n in target.turns():  # bounded by --count and --seconds
            peer.send(Message(OPS["ReadOnce"], txn=n % 64, len=3, addr=64 * n))
            peer.step()  # receive, answer, acknowledge, transmit

and run it: `python examples/raw_peer.py tcp://127.0.0.1:7410 --attack my-attack --count 1000 --seed 7`. It
draws from `target.rng` only, so that its seed repeats it. It ends when its turns are done, or with Gone when
the other side ends the link. The caller checks what must hold of the device afterwards; tests/attacks does so
for `hsl node`.
"""

from __future__ import annotations

import random
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any, NamedTuple

from examples.raw_flits import (
    B256,
    CAPS,
    HELLO,
    INITFC,
    LINE,
    NAK,
    OPS,
    PM_REQ,
    PROT,
    RECORD_FIELDS,
    RESYNC,
    RESYNC_ACK,
    RETRAIN_REQ,
    Flit,
    Gone,
    Message,
    Wire,
    pack_record,
)
from examples.raw_peer import Peer

HOST = 0x100000  # memory of `hsl node cpu` that its program does not use, if its input has at most 960 KB
LOCAL = ("127.0.0.1", "localhost")
LEAST_TEXT = 20  # columns of a text of --list


class Target:
    """The device under attack, and the bounds of the attack: `count` turns, `seconds`, a seed."""

    def __init__(
        self, uri: str, count: int = 1000, seconds: float = 10.0, seed: int = 0, **options: int
    ) -> None:
        self.uri, self.count, self.seed, self.options = uri, count, seed, options
        self.end = time.monotonic() + seconds
        self.rng = random.Random(seed)
        self.peers: list[Peer] = []
        self.done = 0  # turns begun
        self.abrupt = False  # the carrier is closed without DISABLE
        self.unreachable = False  # the attack ended because nobody accepts connections
        self.greets = False  # the other side has a program that rings, as `hsl node cpu` does
        self.seen: dict[str, int] = {}  # what an attack wants to tell

    def peer(self, **options: int) -> Peer:
        """Return a new connected peer, closed after the attack; options as for Peer, besides the target's."""
        self.peers.append(
            Peer(self.uri, **{"epoch": self.rng.randrange(1, 1 << 32)} | self.options | options)
        )
        return self.peers[-1]

    def up(self, **options: int) -> Peer:
        """Return a new peer that is READY, or that has booted the target; if it `greets`, after it rang."""
        from examples.raw_boots import boot

        peer = self.peer(**options).up()
        if peer.host:
            boot(peer)
        rung = lambda each: each.name == "NcWrite" and each.addr & 0xFFF == 0  # noqa: E731 - NOTIFY comes first
        peer.run(lambda: not self.greets or any(map(rung, peer.inbox)), 5.0)
        return peer

    def turns(self, count: int | None = None) -> Iterator[int]:
        """Count to `count` (default: that of the target) or until the time is over."""
        for n in range(self.count if count is None else count):
            if time.monotonic() > self.end:
                return
            self.done += 1
            yield n

    def fill(self, peer: Peer, make: Callable[[int], Message]) -> None:
        """Send the message of each turn within credits, and take the answers; wait for the last of them."""
        for n in self.turns():
            peer.send(make(n))
            if n % 8 == 7:
                peer.step()
            while sum(map(len, peer.waiting.values())) > 32 and time.monotonic() < self.end:
                peer.step(0.002)
        peer.run(lambda: not any(peer.waiting.values()), 1.0)
        peer.run(seconds=0.2)

    def close(self) -> None:
        """Close what is open, with DISABLE where there is a session, so that the other side need not wait."""
        for peer in self.peers:
            with suppress(Gone, OSError):
                peer.close(disable=peer.state == "ACTIVE" and not self.abrupt)
            peer.close()


class Attack(NamedTuple):
    """An attack, one line about it, and the carriers that it is for."""

    run: Callable[[Target], None]
    text: str
    schemes: str = "tcp unix udp"


ATTACKS: dict[str, Attack] = {}


def attack(schemes: str = "tcp unix udp") -> Callable[[Callable[[Target], None]], Callable[[Target], None]]:
    """Put a function into the table: its name with dashes, its docstring, the carriers that it is for."""

    def enter(function: Callable[[Target], None]) -> Callable[[Target], None]:
        ATTACKS[function.__name__.replace("_", "-")] = Attack(function, function.__doc__ or "", schemes)
        return function

    return enter


def table() -> dict[str, Attack]:
    """Return all attacks by name, those of raw_messages.py and raw_boots.py too."""
    from examples.raw_boots import entered as boots
    from examples.raw_messages import entered

    return entered() | boots()


NOBODY = (ConnectionRefusedError, FileNotFoundError)  # accepts a connection at the URI


def run(name: str, target: Target) -> str:
    """Run an attack to its end; return how it ended."""
    try:
        table()[name].run(target)
        return "all sent"
    except Gone as gone:
        target.unreachable = isinstance(gone.__cause__, NOBODY)
        return str(gone)
    finally:
        target.close()


# ---- before there is a session


@attack()
def strangers(target: Target) -> None:
    """Connect, write noise, close, each turn anew; on udp send datagrams of noise."""
    for n in target.turns():
        noise = target.rng.randbytes(1 + target.rng.randrange(1 if n % 4 == 0 else 1400))
        with suppress(Gone), closing((wire := Wire(target.uri)).socket):  # a unix backlog may be full
            wire.write(noise)


@attack()
def frames_of_noise(target: Target) -> None:
    """Send frames of the right length with noise in them."""
    wire = Wire(target.uri)
    for n in target.turns():
        wire.send(target.rng.randbytes(64 if n % 2 else 256))
    wire.socket.close()


@attack("tcp unix")
def connections(target: Target) -> None:
    """Hold connections open at the same time and write nothing."""
    wires: list[Wire] = []
    with suppress(Gone, OSError):
        wires.extend(Wire(target.uri) for _ in target.turns())
    time.sleep(0.2)
    for wire in wires:
        wire.socket.close()
    target.seen["open"] = len(wires)


@attack()
def new_epochs(target: Target) -> None:
    """Send HELLO of a new EPOCH and CAPS again and again on one connection."""
    peer = target.peer()
    peer.run(lambda: peer.peer, 2.0)
    for n in target.turns():
        peer.epoch = target.rng.randrange(1, 1 << 32)
        peer.ctl(HELLO, seen=1, magic=b"HSL1", guid=peer.guid, links=1, min_major=1, max_major=1)
        peer.ctl(CAPS, record=pack_record(peer.caps))
        if n % 16 == 15:
            list(peer.wire.frames(0))


@attack()
def endless_caps(target: Target) -> None:
    """Send CAPS without SEEN, so that CONFIG never ends."""
    peer = target.peer()
    peer.run(lambda: peer.state == "CONFIG", 2.0)
    for n in target.turns():
        peer.ctl(CAPS, record=pack_record(peer.caps | {"window": 1 + n % 64}))
        if n % 16 == 15:
            list(peer.wire.frames(0))


@attack("tcp unix")
def fuzz_hello(target: Target) -> None:
    """Send HELLO with random fields, each turn on a new connection."""
    for n in target.turns():
        peer = target.peer()
        fields = {name: target.rng.randrange(256) for name in ("link", "links", "min_major", "max_major")}
        magic = b"HSL1" if n % 2 else target.rng.randbytes(4)
        with suppress(Gone):
            peer.ctl(HELLO, magic=magic, guid=target.rng.getrandbits(64), **fields)
            peer.run(seconds=0.005)
        peer.close()


@attack("tcp unix")
def fuzz_caps(target: Target) -> None:
    """Offer CAPS with random fields, each turn on a new connection."""
    for _ in target.turns():
        peer = target.peer(nid_base=target.rng.randrange(100, 400))
        chosen = [name for name in RECORD_FIELDS if name != "nid_base" and target.rng.randrange(4) == 0]
        peer.caps |= {name: target.rng.randrange(256) for name in chosen}
        with suppress(Gone):
            peer.run(lambda peer=peer: peer.state in ("INIT", "ACTIVE"), 0.05)  # type: ignore[misc]
        peer.close()


@attack()
def stolen_nids(target: Target) -> None:
    """Bring up a session that claims the NIDs of the CPU, each turn on a new connection."""
    for _ in target.turns():
        peer = target.peer(nid_base=0)
        with suppress(Gone):
            peer.up(0.3)
            peer.run(seconds=0.05)
        peer.close()


@attack()
def tu_255(target: Target) -> None:
    """Offer TU_EXP = 255, a TU of 2^255 ns."""
    target.peer(tu_exp=255).up(2.0).run(seconds=0.2)


@attack("udp")
def last_incarnation(target: Target) -> None:
    """Send one datagram with the greatest INCARNATION and COUNTER, and noise in it."""
    wire = Wire(target.uri)
    wire.incarnation = wire.counter = (1 << 64) - 1
    wire.send(target.rng.randbytes(64))
    wire.socket.close()


# ---- the link of a session


@attack()
def silence(target: Target) -> None:
    """Bring the link up and send nothing more."""
    peer, target.abrupt = target.up(), True
    while time.monotonic() < target.end:
        list(peer.wire.frames(0.05))


@attack()
def link_only(target: Target) -> None:
    """Keep the link alive, answer reads and writes, never interrupt."""
    peer = target.up()
    peer.run(seconds=max(0.0, target.end - time.monotonic()))


@attack()
def no_ack(target: Target) -> None:
    """Acknowledge nothing; all else is well-behaved."""
    peer = target.up()
    peer.acknowledges = False
    peer.run(seconds=max(0.0, target.end - time.monotonic()))


@attack()
def future_ack(target: Target) -> None:
    """Acknowledge flits that were never sent."""
    peer = target.up()
    for n in target.turns():
        peer.flit(ack=target.rng.randrange(1024))
        peer.step(0.001 if n % 16 == 0 else 0)


@attack()
def wrong_crc(target: Target) -> None:
    """Send flits with a bit flipped."""
    peer = target.up()
    for _ in target.turns():
        good = bytearray(Flit(PROT, seq=peer.next, ack=peer.ack).pack(peer.form))
        good[target.rng.randrange(len(good))] ^= 1 << target.rng.randrange(8)
        peer.raw(bytes(good))
        peer.step()


@attack()
def seq_jump(target: Target) -> None:
    """Send PROT flits with any SEQ."""
    peer = target.up()
    for _ in target.turns():
        peer.flit(ft=PROT, seq=target.rng.randrange(1024))
        peer.step()


@attack()
def wrap(target: Target) -> None:
    """Send empty PROT flits over the wrap of SEQ, within the window."""
    peer = target.up()
    for _ in target.turns():
        peer.run(lambda: (peer.next - peer.base) % 1024 < 32, 1.0)
        peer.prot()


@attack()
def no_credit(target: Target) -> None:
    """Send requests without a credit (code 5)."""
    peer = target.up()
    for n in target.turns():
        peer.push(Message(OPS["ReadOnce"], txn=n % 256, len=3, addr=HOST + LINE * n))


@attack()
def false_credits(target: Target) -> None:
    """Return credits that are not there (code 6)."""
    peer = target.up()
    for n in target.turns():
        peer.prot(cvc=1 + n % 7, ccnt=31)
        peer.step()


@attack()
def wrong_som(target: Target) -> None:
    """Send B256 flits whose SOM is not where messages begin (code 7)."""
    peer = target.up(flit_sizes=3)
    for n in target.turns():
        message = Message(OPS["ReadOnce"], peer.nid, txn=n % 256, len=3, addr=HOST)
        peer.prot(message.pack(), som=target.rng.getrandbits(30) & ~1)
        peer.step()


@attack()
def b256(target: Target) -> None:
    """Read over B256, then send noise in PROT flits of that size."""
    peer = target.up(flit_sizes=3)
    assert peer.form is B256 or target.seen.update(l64=1) is None
    target.fill(peer, lambda n: Message(OPS["ReadOnce"], txn=n % 256, len=3, addr=HOST + LINE * n))
    peer.prot(target.rng.randbytes(peer.form.room), som=target.rng.getrandbits(30))
    peer.run(seconds=0.2)


@attack()
def old_epochs(target: Target) -> None:
    """Repeat CTL flits of a former session in a new one; all are stale."""
    first = target.peer()
    first.run(lambda: first.peer and first.state != "DETECT", 2.0)
    old = first.epoch, first.peer
    first.close()
    peer = target.up()
    for n in target.turns():
        op = (CAPS, INITFC, NAK, RESYNC, RESYNC_ACK, RETRAIN_REQ, PM_REQ, 0x40, 0x41)[n % 9]
        body = target.rng.randbytes(44)
        peer.ctl(op, epoch=old[0], peer=old[1], body=body, ack=target.rng.randrange(1024))
        peer.step()
    target.seen["read"] = len(peer.request("ReadOnce", HOST, len=3).data)


@attack()
def old_hello(target: Target) -> None:
    """Send the HELLO of a former EPOCH in a session, which ends it (3.2.3 row 33)."""
    first = target.peer()
    first.run(lambda: first.peer, 2.0)
    first.close()
    peer = target.up()
    peer.ctl(
        HELLO, epoch=first.epoch, peer=0, magic=b"HSL1", guid=peer.guid, links=1, min_major=1, max_major=1
    )
    peer.run(seconds=0.5)


def storm(op: int, **fields: Any) -> Callable[[Target], None]:
    """Return an attack of one CTL, again and again."""

    def send(target: Target) -> None:
        peer = target.up()
        for n in target.turns():
            peer.ctl(op, **({"exp": peer.exp} if op in (NAK, RESYNC) else {}), **fields)
            peer.step(0.0005 if n % 8 == 0 else 0)
        peer.run(seconds=0.2)

    return send


ATTACKS["storm-nak"] = Attack(storm(NAK), "NAKs that find nothing to repeat")
ATTACKS["storm-retrain"] = Attack(storm(RETRAIN_REQ), "RETRAIN_REQ without end")
ATTACKS["storm-resync"] = Attack(storm(RESYNC, rn=7), "RESYNC without end")
ATTACKS["storm-pm"] = Attack(storm(PM_REQ, level=1, tag=3), "PM_REQ where L1 was not agreed")
ATTACKS["unknown-ctl"] = Attack(storm(0x23), "a CTL_OP that is in no table")


def listing(width: int | None) -> Iterator[str]:
    """Yield the lines of --list, with texts that are wrapped for a terminal of `width` columns."""
    for name, each in table().items():
        lead = f"{name:22} {each.schemes:13} "
        room = len(each.text) if width is None else max(width - len(lead), LEAST_TEXT)
        yield lead + f"\n{'':{len(lead)}}".join(textwrap.wrap(each.text, room, break_on_hyphens=False))
