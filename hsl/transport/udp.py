"""`udp:` on asyncio: one datagram a flit, with incarnation and counter (HSL 3.9 udp).

Loss, repeats and disorder are real here. A datagram of the peer is taken only when its (incarnation, counter)
is greater than that of the last one: what is late is given up for lost, which the link repairs.

Nothing on this wire proves who sent a datagram, so the place of the peer is taken and given up by rules. A
source takes it with a HELLO whose CRC is good: in DETECT, or in any state but L1 after T_DEADKA of silence
[HSL-PAL-005]. Pairs are compared within one source only [HSL-PAL-006]. The place is given up when the link is
not ACTIVE within T_STATE, and after T_STATE of silence [HSL-PAL-007].
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NamedTuple

from hsl._generated.constants import TIMERS, CtlOp, FlitType, LinkState
from hsl._generated.layouts import UDP_FRAME, UDP_MAGIC, UDP_VERSION
from hsl.codec.ctl import decode_ctl
from hsl.codec.flit import FORMATS
from hsl.codec.reference import decode_flit
from hsl.errors import CodecError, ConfigError, reason
from hsl.files import exists, read_file
from hsl.transport.base import Address
from hsl.transport.faults import FaultInjector
from hsl.transport.stream import Connection, StreamLink

__all__ = ["Datagram", "Drop", "UdpConnection", "UdpLink", "next_incarnation", "pack", "unpack"]

FORMAT_OF_SIZE = {form.bytes: form.name for form in FORMATS.values()}
SIZES = frozenset(FORMAT_OF_SIZE)
# The link serves its peer in these states, so the place is not counted as unused.
SERVED = frozenset({LinkState.ACTIVE, LinkState.L1})
HEADER: Final[int] = UDP_FRAME.sizeof()
# One byte more than the longest datagram: a longer one is truncated by the socket, and seen to be too long.
BUFFER_BYTES = HEADER + max(SIZES) + 1
# Datagrams that one turn reads at most, of which it delivers fewer: a flood must not starve the timers.
DATAGRAMS_PER_TURN = 16
MAX_U64 = (1 << 64) - 1
# A file that holds an incarnation is one decimal number.
MAX_INCARNATION_BYTES = 32
# What the socket keeps while the pump is busy: as many flits as a stream's inbox, with the kernel's overhead.
RECEIVE_BUFFER = 1 << 20
# Linux: never fragment; refuse what would have to be (man 7 ip). Python has no names for these.
IP_MTU_DISCOVER, IP_PMTUDISC_DO = 10, 2


class Drop(StrEnum):
    """Reasons why a datagram was not delivered."""

    HEADER = "header"  # too short for one, or wrong magic, version or link
    SOURCE = "source"  # not from the peer, and no HELLO that makes its source the peer
    LATE = "late"  # its pair is not greater than the last one of the peer
    CUT = "cut"  # came while the PAL was down


class Datagram(NamedTuple):
    """A datagram with a good header; `flit` is b"" for one that is damaged otherwise (err = 1)."""

    incarnation: int
    counter: int
    flit: bytes

    @property
    def pair(self) -> tuple[int, int]:
        """The key that orders datagrams, also over a restart of their sender."""
        return self.incarnation, self.counter


def pack(link: int, incarnation: int, counter: int, flit: bytes) -> bytes:
    """The datagram of a flit. HSL 3.9 udp."""
    fields = {"magic": UDP_MAGIC, "version": UDP_VERSION, "link": link, "length": len(flit)}
    head: bytes = UDP_FRAME.build(fields | {"incarnation": incarnation, "counter": counter})
    return head + flit


def unpack(data: bytes, link: int, truncated: bool = False) -> Datagram | None:
    """Read a datagram of `link`; None if its header is not ours. Never raises."""
    if len(data) < HEADER:
        return None
    head = UDP_FRAME.parse(data[:HEADER])
    if (head.magic, head.version, head.link) != (UDP_MAGIC, UDP_VERSION, link):
        return None
    flit = data[HEADER:]
    good = not truncated and head.length == len(flit) and head.length in SIZES  # HSL 3.9 [HSL-PAL-001]
    return Datagram(head.incarnation, head.counter, flit if good else b"")


def is_hello(flit: bytes) -> bool:
    """True for a HELLO of either size with a good CRC; its content is judged by row 30 of the link table."""
    if len(flit) not in SIZES:
        return False
    try:
        found = decode_flit(flit, FORMAT_OF_SIZE[len(flit)])
        return found.ft == FlitType.CTL and decode_ctl(found.payload).op == CtlOp.HELLO
    except CodecError:
        return False


def detecting() -> tuple[LinkState, int]:
    """Return the state and the slow TU of a link without a session: it waits for a HELLO."""
    return LinkState.DETECT, 1


def next_incarnation(clock_ns: int, path: Path | None = None) -> int:
    """An incarnation greater than all before: the clock, or one more than the file has, which then keeps it.

    Raises ConfigError when the file cannot be read or written or has no number.
    """
    if path is None:
        return clock_ns
    raw = read_file(path, MAX_INCARNATION_BYTES) if exists(path) else b"0"
    if not raw.strip().isdigit() or int(raw) >= MAX_U64:
        raise ConfigError(f"{path}: {raw!r}; expected an incarnation, a number of 0 to {MAX_U64 - 1}")
    chosen = max(clock_ns, int(raw) + 1)
    try:
        beside = path.with_name(f"{path.name}.new")
        with beside.open("w") as file:
            file.write(f"{chosen}\n")
            file.flush()
            os.fsync(file.fileno())  # a crash must not bring the old number back
        beside.replace(path)
    except OSError as error:
        raise ConfigError(f"{path}: {reason(error)}") from error
    return chosen


class UdpConnection(Connection):
    """The PAL of one link while it is up: datagrams of its socket to flits, and flits to datagrams."""

    def __init__(self, link: UdpLink) -> None:
        super().__init__(link.wake)
        self.link = link

    @property
    def made(self) -> bool:
        """The socket is there."""
        return True

    @property
    def peer(self) -> str:
        """The address of the other end, for a log."""
        source = self.link.peer
        return f"{source[0]}:{source[1]}" if source else "nobody yet"

    def frames(self, limit: int, now: int) -> Iterator[bytes]:
        """Up to `limit` flits of the socket; b"" is a datagram that is damaged (err = 1)."""
        self.link.mark(now)
        for _ in range(DATAGRAMS_PER_TURN):
            if not limit or self.ended:
                return
            waited, found = self.link.receive(now)
            if not waited:
                return
            if found is not None:
                limit -= 1
                yield self.link.accept(found, now)

    def queued(self) -> int:
        """Flits taken and not yet in the hands of the kernel."""
        return len(self.link.unsent)

    def write(self, flit: bytes) -> None:
        """Take one flit, or what a fault left of it."""
        self.link.post(flit)

    def flush(self) -> None:
        """Hand all taken flits to the kernel."""
        self.link.drain()

    def abort(self) -> None:
        """Nothing more is delivered or sent over it."""
        self._end("cut")
        self.closed.set()

    def finish(self, reason: str = "closed here") -> None:
        """Send what was taken; nobody has to close what was never open."""
        self.flush()
        self._end(reason)
        self.closed.set()


class UdpLink(StreamLink):
    """One link of a port over one socket; the PAL is up from bind or connect on, and cut only by faults.

    `above()` gives the state of the link and the slow TU in force (3.1), in ns: they decide which source is
    the peer.
    The side that connects talks to one address only, which takes the place by the same rules.
    `dropped[why]`, `sent`, `accepted` and `lost` (gaps of the counter) count datagrams.
    """

    def __init__(
        self,
        address: Address,
        injector: FaultInjector,
        wake: Callable[[], None],
        wait: float = 0.0,
        *,
        listen: bool,
        link: int = 0,
        incarnation_file: Path | None = None,
        above: Callable[[], tuple[LinkState, int]] = detecting,
    ) -> None:
        super().__init__(address, injector, wake)
        self.above = above
        self.listens = listen
        self.wait = wait
        self.wake = wake
        self.index = link
        self.incarnation = 0
        self.peer: Any = None  # the address of the other end, as the socket says it
        # The pair of the last datagram of the peer that was accepted; None while nobody has the place.
        self.last: tuple[int, int] | None = None
        self.unsent: deque[bytes] = deque()  # bounded by ready()
        self.sent = self.accepted = self.lost = 0
        self.dropped: Counter[Drop] = Counter()
        self._file = incarnation_file
        self._socket: socket.socket | None = None
        self._buffer = bytearray(BUFFER_BYTES)
        self._counter = 0
        self._heard = 0  # when the last accepted datagram came
        self._empty = 0  # when the socket was last seen empty: what waits in it is no silence
        self._served = 0  # when the peer took the place, or the link was last ACTIVE or in L1
        self._down_until: int | None = None  # a fault holds the PAL down

    # ---- opening and closing

    async def open(self) -> None:
        """Bind or connect; `address` then has the port that was chosen. Raises ConfigError."""
        self.incarnation = next_incarnation(time.time_ns(), self._file)
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self.address.host, self.address.port, type=socket.SOCK_DGRAM)
            family, kind, protocol, _, target = found[0]
            self._socket = socket.socket(family, kind, protocol)
            self._prepare(self._socket)
            if self.listens:
                self._socket.bind(target)
                self.address = self.address._replace(port=self._socket.getsockname()[1])
            else:
                self._socket.connect(target)
                self.peer = self._socket.getpeername()
        except OSError as error:
            await self.stop()
            verb = "listen at" if self.listens else "send to"
            raise ConfigError(f"cannot {verb} {self.address}: {reason(error)}") from error
        self._next = UdpConnection(self)  # PAL_UP
        loop.add_reader(self._socket.fileno(), self.wake)
        self.wake()

    @staticmethod
    def _prepare(sock: socket.socket) -> None:
        """Never wait, never fragment. HSL 3.9 udp: the longest datagram has 280 bytes."""
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        if sys.platform == "linux":
            with suppress(OSError):
                if sock.family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DONTFRAG, 1)
                else:
                    sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)

    async def stop(self) -> None:
        """Close the socket, after what was taken."""
        sock, self._socket = self._socket, None
        if sock is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(sock.fileno())
            loop.remove_writer(sock.fileno())
            sock.close()

    async def close(self, linger: float) -> None:
        """Send the flits taken and close; the peer has DISABLE or its timers."""
        if self.connection is not None:
            self.connection.finish()
        await self.stop()
        self.drop()

    # ---- up and down

    def adopt(self, now: int = 0) -> bool:
        """PAL_UP: at first, and when a fault no longer holds the PAL down."""
        if self._down_until is not None and now >= self._down_until and self._socket is not None:
            self._down_until = None
            self._forget(now)
            self._next = UdpConnection(self)
        return super().adopt(now)

    def _forget(self, now: int) -> None:
        """Throw away what came while the PAL was down; at most what the socket keeps."""
        for _ in range(RECEIVE_BUFFER // HEADER):
            waited, found = self.receive(now)
            if not waited:
                return
            if found is not None:
                self.last = found.pair
                self.dropped[Drop.CUT] += 1

    def _cut(self, until: int) -> None:
        """A fault cuts the link: PAL_DOWN until then."""
        if self.connection is not None:
            self.connection.abort()
            self.unsent.clear()
            self._down_until = max(until, self._down_until or 0)

    def deadline(self, frame_timeout: int) -> int | None:
        """The time at which a delayed flit is due or the PAL comes up again, in ns."""
        times = (super().deadline(frame_timeout), self._down_until)
        return min((at for at in times if at is not None), default=None)

    def drop(self) -> Connection | None:
        """PAL_DOWN. The PAL comes up again at once, for the next caller, unless a fault holds it down.

        A fault that cuts the link leaves the peer its place: the session may go on.
        """
        connection = super().drop()
        self.unsent.clear()
        if self._down_until is None:
            self._vacate()
            if self._socket is not None:
                self._next = UdpConnection(self)
        return connection

    # ---- the place of the peer

    def mark(self, now: int) -> None:
        """Note that the link serves its peer now. In L1 neither side sends; that is not silence."""
        state, _ = self.above()
        if state in SERVED:
            self._served = now
        if state is LinkState.L1:
            self._heard = now

    def check(self, now: int, frame_timeout: int) -> None:
        """Give up the place of a peer that is silent, or with which the link does not become ACTIVE.

        No datagram is ever unfinished, so there is no frame to time out. HSL 3.9 [HSL-PAL-007].
        """
        state, tu = self.above()
        limit = TIMERS["T_STATE"].tu * tu
        unused = state not in SERVED and now - self._served >= limit
        if self.last is not None and (unused or self._silent(limit)):
            self._vacate()

    def _silent(self, limit: int) -> bool:
        """True if nothing was accepted for `limit` ns, up to when the socket was last seen empty."""
        return self._empty - self._heard >= limit

    def _vacate(self) -> None:
        """Nobody has the place; what was taken for the peer is lost."""
        self.last = None
        self.unsent.clear()
        if self.listens:
            self.peer = None

    def _admits(self, source: Any, flit: bytes, now: int) -> bool:
        """True if `source` has the place of the peer, or takes it now with `flit`. HSL 3.9 [HSL-PAL-005]."""
        if self.last is not None and source == self.peer:
            return True
        state, tu = self.above()
        silent = self.last is None or self._silent(TIMERS["T_DEADKA"].tu * tu)
        if not ((silent or state is LinkState.DETECT) and is_hello(flit)):
            return False
        self._vacate()
        self.peer = source
        self._heard = self._served = now
        return True

    # ---- datagrams

    def receive(self, now: int) -> tuple[bool, Datagram | None]:
        """True if a datagram waited, and what was in it if it came from the peer. Counts what it drops."""
        if self._socket is None:
            return False, None
        try:
            size, _, flags, source = self._socket.recvmsg_into([self._buffer])
        except (BlockingIOError, InterruptedError):
            self._empty = now
            return False, None
        except OSError:  # what ICMP said of an earlier one: HSL 3.9, the link has timers of its own
            return True, None
        found = unpack(bytes(self._buffer[:size]), self.index, bool(flags & socket.MSG_TRUNC))
        if found is None:
            self.dropped[Drop.HEADER] += 1
        elif not self._admits(source if self.listens else self.peer, found.flit, now):
            self.dropped[Drop.SOURCE] += 1
        elif self.last is not None and found.pair <= self.last:
            self.dropped[Drop.LATE] += 1  # HSL 3.9 [HSL-PAL-003] [HSL-PAL-004] [HSL-PAL-006]
        else:
            return True, found
        return True, None

    def accept(self, found: Datagram, now: int) -> bytes:
        """Return the flit, and count datagrams lost before it since this source became the peer."""
        incarnation, counter = self.last or (found.incarnation, found.counter - 1)
        self.lost += found.counter - (counter + 1 if incarnation == found.incarnation else 0)
        self.last = found.pair
        self.accepted += 1
        self.framing_errors += not found.flit
        self._heard = now
        return found.flit

    def post(self, flit: bytes) -> None:
        """Put a flit into the next datagram; while nobody is there it is lost (B4)."""
        if self.peer is not None:
            self.unsent.append(pack(self.index, self.incarnation, self._counter, flit))
            self._counter += 1

    def drain(self) -> None:
        """Hand datagrams to the kernel; what it refuses for another reason than a full buffer is lost."""
        while self.unsent and self._socket is not None:
            try:
                if self.listens:
                    self._socket.sendto(self.unsent[0], self.peer)
                else:
                    self._socket.send(self.unsent[0])
            except (BlockingIOError, InterruptedError):
                asyncio.get_running_loop().add_writer(self._socket.fileno(), self._writable)
                return
            except OSError:  # ICMP again, or no way there now
                pass
            self.unsent.popleft()
            self.sent += 1

    def _writable(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_writer(self._socket.fileno())
        self.drain()
        self.wake()

    def as_dict(self) -> dict[str, Any]:
        """The counters for a report."""
        return {
            "sent": self.sent,
            "accepted": self.accepted,
            "lost": self.lost,
            "damaged": self.framing_errors,
            "dropped": {str(why): self.dropped[why] for why in Drop},
        }
