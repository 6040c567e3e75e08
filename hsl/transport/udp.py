"""`udp:` on asyncio: one datagram a flit, with incarnation and counter (HSL 3.9 udp).

Loss, repeats and disorder are real here. A datagram is taken only when its (incarnation, counter) is greater
than that of the last one: what is late is given up for lost, which the link repairs.
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

from hsl._generated.layouts import UDP_FRAME, UDP_MAGIC, UDP_VERSION
from hsl.codec.flit import FORMATS
from hsl.errors import ConfigError
from hsl.files import read_file
from hsl.transport.base import Address
from hsl.transport.faults import FaultInjector
from hsl.transport.stream import Connection, StreamLink

__all__ = ["Datagram", "Drop", "UdpConnection", "UdpLink", "next_incarnation", "pack", "unpack"]

SIZES = frozenset(form.bytes for form in FORMATS.values())
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
    """Why a datagram was not delivered."""

    HEADER = "header"  # too short for one, or wrong magic, version or link
    SOURCE = "source"  # from somebody else
    LATE = "late"  # its pair is not greater than the last one
    CUT = "cut"  # came while the PAL was down


class Datagram(NamedTuple):
    """A datagram with a good header; `flit` is b"" for one that is damaged otherwise (err = 1)."""

    incarnation: int
    counter: int
    flit: bytes

    @property
    def pair(self) -> tuple[int, int]:
        """What orders datagrams, also over a restart of their sender."""
        return self.incarnation, self.counter


def pack(link: int, incarnation: int, counter: int, flit: bytes) -> bytes:
    """The datagram of a flit. HSL 3.9 udp."""
    fields = {"magic": UDP_MAGIC, "version": UDP_VERSION, "link": link, "length": len(flit)}
    head: bytes = UDP_FRAME.build(fields | {"incarnation": incarnation, "counter": counter})
    return head + flit


def unpack(data: bytes, link: int, truncated: bool = False) -> Datagram | None:
    """Read a datagram of `link`; None when its header is none of ours. Never raises."""
    if len(data) < HEADER:
        return None
    head = UDP_FRAME.parse(data[:HEADER])
    if (head.magic, head.version, head.link) != (UDP_MAGIC, UDP_VERSION, link):
        return None
    flit = data[HEADER:]
    good = not truncated and head.length == len(flit) and head.length in SIZES  # HSL 3.9 [HSL-PAL-001]
    return Datagram(head.incarnation, head.counter, flit if good else b"")


def next_incarnation(clock_ns: int, path: Path | None = None) -> int:
    """An incarnation greater than all before: the clock, or one more than the file has, which then keeps it.

    Raises ConfigError when the file cannot be read or written or has no number.
    """
    if path is None:
        return clock_ns
    raw = read_file(path, MAX_INCARNATION_BYTES) if path.exists() else b"0"
    if not raw.strip().isdigit() or int(raw) >= MAX_U64:
        raise ConfigError(f"{path}: {raw!r} is no incarnation; expected a number of 0 to {MAX_U64 - 1}")
    chosen = max(clock_ns, int(raw) + 1)
    try:
        beside = path.with_name(f"{path.name}.new")
        with beside.open("w") as file:
            file.write(f"{chosen}\n")
            file.flush()
            os.fsync(file.fileno())  # a crash must not bring the old number back
        beside.replace(path)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error
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
        """Who is at the other end, for a log."""
        source = self.link.peer
        return f"{source[0]}:{source[1]}" if source else "nobody yet"

    def frames(self, limit: int, now: int) -> Iterator[bytes]:
        """Up to `limit` flits of the socket; b"" is a datagram that is damaged (err = 1)."""
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

    The side that listens answers whom its first good datagram came from. Another source takes that place when
    the peer has been silent for PAL_FRAME_TIMEOUT_TU, as one that has died and starts behind another port.
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
    ) -> None:
        super().__init__(address, injector, wake)
        self.listens = listen
        self.wait = wait
        self.wake = wake
        self.index = link
        self.incarnation = 0
        self.peer: Any = None  # the address of the other end, as the socket says it
        self.last: tuple[int, int] | None = None  # of the last datagram that was accepted
        self.silence_ns = 0  # set by the session from the TU; 0: the first peer stays
        self.unsent: deque[bytes] = deque()  # bounded by ready()
        self.sent = self.accepted = self.lost = 0
        self.dropped: Counter[Drop] = Counter()
        self._file = incarnation_file
        self._socket: socket.socket | None = None
        self._buffer = bytearray(BUFFER_BYTES)
        self._counter = 0
        self._heard = 0  # when the last accepted datagram came
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
            raise ConfigError(f"cannot {verb} {self.address}: {error.strerror or error}") from error
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
        """Send what was taken and close: nobody is told, the peer has DISABLE or its timers."""
        if self.connection is not None:
            self.connection.finish()
        await self.stop()
        self.drop()

    # ---- up and down

    def adopt(self, now: int = 0) -> bool:
        """PAL_UP: at first, and when a fault no longer holds the PAL down."""
        if self._down_until is not None and now >= self._down_until and self._socket is not None:
            self._down_until = None
            self._forget()
            self._next = UdpConnection(self)
        return super().adopt(now)

    def _forget(self) -> None:
        """Throw away what came while the PAL was down; at most what the socket keeps."""
        for _ in range(RECEIVE_BUFFER // HEADER):
            waited, found = self.receive(0)
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
        """When a delayed flit is due or the PAL comes up again, in ns."""
        times = (super().deadline(frame_timeout), self._down_until)
        return min((at for at in times if at is not None), default=None)

    def check(self, now: int, frame_timeout: int) -> None:
        """No datagram is ever unfinished; the same time tells when a silent peer may be replaced."""
        self.silence_ns = frame_timeout

    def drop(self) -> Connection | None:
        """PAL_DOWN. The PAL comes up again at once, for whoever calls then, unless a fault holds it down."""
        connection = super().drop()
        self.unsent.clear()
        if self.listens:
            self.peer = None
        if self._socket is not None and self._down_until is None:
            self._next = UdpConnection(self)
        return connection

    # ---- datagrams

    def receive(self, now: int) -> tuple[bool, Datagram | None]:
        """Whether a datagram waited, and what was in it if it came from the peer. Counts what it drops."""
        if self._socket is None:
            return False, None
        try:
            size, _, flags, source = self._socket.recvmsg_into([self._buffer])
        except (BlockingIOError, InterruptedError):
            return False, None
        except OSError:  # what ICMP said of an earlier one: HSL 3.9, the link has timers of its own
            return True, None
        found = unpack(bytes(self._buffer[:size]), self.index, bool(flags & socket.MSG_TRUNC))
        if found is None:
            self.dropped[Drop.HEADER] += 1
        elif not self._from_peer(source, found, now):
            self.dropped[Drop.SOURCE] += 1
        elif self.last is not None and found.pair <= self.last:
            self.dropped[Drop.LATE] += 1  # HSL 3.9 [HSL-PAL-004] [HSL-PAL-003]
        else:
            return True, found
        return True, None

    def accept(self, found: Datagram, now: int) -> bytes:
        """Its flit, and the gap before it counted."""
        incarnation, counter = self.last or (found.incarnation, -1)
        self.lost += found.counter - (counter + 1 if incarnation == found.incarnation else 0)
        self.last = found.pair
        self.accepted += 1
        self.framing_errors += not found.flit
        self._heard = now
        return found.flit

    def _from_peer(self, source: Any, found: Datagram, now: int) -> bool:
        """Whether this is the peer, or becomes it."""
        if not self.listens or source == self.peer:
            return True  # a connected socket hears nobody else
        silent = bool(self.silence_ns) and now >= self._heard + self.silence_ns
        if self.peer is None or (silent and (self.last is None or found.pair > self.last)):
            self.peer = source
            return True
        return False

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
