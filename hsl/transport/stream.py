"""`tcp:` and `unix:` on asyncio: a u16 length, then the flit (HSL 3.9 tcp, unix)."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import stat
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from hsl._generated.constants import PAL_QUEUE_FLITS
from hsl.codec.flit import FORMATS
from hsl.errors import ConfigError, PeerUnreachable, reason
from hsl.transport.base import Address
from hsl.transport.faults import Arrival, FaultInjector

__all__ = ["Connection", "Connector", "Listener", "StreamLink"]

SIZES = frozenset(form.bytes for form in FORMATS.values())
LENGTH_BYTES = 2
# Bytes of a socket that may wait for the pump; with more the socket is not read. 1024 frames of L64.
INBOX_BYTES = 1024 * (LENGTH_BYTES + min(SIZES))
RETRY_SECONDS = 0.05  # between two attempts to connect: a peer that has just started is found soon
CONNECT_SECONDS = 5.0  # for one attempt: a host that swallows the SYN must not look like a hang


class Connection(asyncio.Protocol):
    """One socket: bytes in to frames, flits out to at most four unsent ones.

    `wake()` is called when there is something for the pump to do. `ended` is "" while the socket lives, then
    why it ended; complete frames that came before are still delivered.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self.ended = ""
        self.framing_error = False
        self.closed = asyncio.Event()
        self.partial_since: int | None = None  # when the first byte of an unfinished frame was seen
        self._wake = wake
        self._inbox = bytearray()
        self._batch: list[bytes] = []
        self._written = 0
        self._unsent: deque[int] = deque()  # where each unsent frame ends in the stream; bounded by ready()
        self._transport: asyncio.Transport | None = None

    # ---- called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Turn Nagle off, and ask to be told as soon as the buffer is empty."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        sock = transport.get_extra_info("socket")
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.set_write_buffer_limits(high=0)
        if self.ended:  # replaced before it began
            transport.abort()
        self._wake()

    def data_received(self, data: bytes) -> None:
        """Keep the bytes; stop reading when the pump is behind."""
        if self.ended:
            return
        self._inbox += data
        if len(self._inbox) > INBOX_BYTES and self._transport is not None:
            self._transport.pause_reading()
        self._wake()

    def resume_writing(self) -> None:
        """The buffer is empty: flits can be taken again."""
        self._wake()

    def eof_received(self) -> None:
        """The peer closed its side: asyncio closes ours."""
        self._end("closed by the peer")

    def connection_lost(self, error: Exception | None) -> None:
        """The socket is gone."""
        self._end(f"lost: {reason(error) if isinstance(error, OSError) else error}" if error else "closed")
        self.closed.set()

    # ---- called by the pump

    @property
    def made(self) -> bool:
        """True if it can send: asyncio makes the socket's protocol a step before the socket is there."""
        return self._transport is not None

    @property
    def peer(self) -> str:
        """The address of the other end, for a log."""
        name = self._transport.get_extra_info("peername") if self._transport else None
        return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else "a local process"

    def frames(self, limit: int, now: int) -> Iterator[bytes]:
        """Up to `limit` complete flits; `partial_since` is `now` when an unfinished frame begins to wait."""
        at = 0
        try:
            while limit and len(self._inbox) - at >= LENGTH_BYTES:
                size = int.from_bytes(self._inbox[at : at + LENGTH_BYTES], "little")
                if size not in SIZES:  # the border of the next frame is lost: HSL 3.9 [HSL-PAL-001]
                    self.fail(f"frame of {size} bytes; expected {sorted(SIZES)}")
                    return
                end = at + LENGTH_BYTES + size
                if len(self._inbox) < end:
                    break  # never a part of a flit: HSL 3.9 B2 [HSL-PAL-002]
                flit = bytes(self._inbox[at + LENGTH_BYTES : end])
                at, limit = end, limit - 1
                self.partial_since = None
                yield flit
        finally:
            del self._inbox[:at]
        if limit and self._inbox and self.partial_since is None:
            self.partial_since = now
        if len(self._inbox) <= INBOX_BYTES and self._transport is not None and not self.ended:
            self._transport.resume_reading()

    @property
    def backlog(self) -> int:
        """Bytes that wait for the pump."""
        return len(self._inbox)

    def fail(self, reason: str) -> None:
        """The stream has lost its frames: throw away what is left, and cut it."""
        self.framing_error = True
        self._end(reason)
        self.abort()

    def abort(self) -> None:
        """Cut the socket; nothing more is delivered."""
        self._inbox.clear()
        self._end("cut")
        if self._transport is not None:
            self._transport.abort()

    def queued(self) -> int:
        """Flits taken and not yet in the hands of the kernel."""
        if self._transport is None:
            return PAL_QUEUE_FLITS
        sent = self._written - self._transport.get_write_buffer_size()
        while self._unsent and self._unsent[0] <= sent:
            self._unsent.popleft()
        return len(self._unsent) + len(self._batch)

    def write(self, flit: bytes) -> None:
        """Take one flit, or what a fault left of it."""
        self._batch.append(len(flit).to_bytes(LENGTH_BYTES, "little") + flit)
        if len(self._batch) == PAL_QUEUE_FLITS:
            self.flush()

    def flush(self) -> None:
        """Hand all taken flits to the kernel in one write."""
        if not self._batch or self._transport is None or self._transport.is_closing():
            self._batch.clear()
            return
        for frame in self._batch:
            self._written += len(frame)
            self._unsent.append(self._written)
        self._transport.write(b"".join(self._batch))
        self._batch.clear()

    def finish(self, reason: str = "closed here") -> None:
        """Send what was taken, then say that no more comes; the socket closes when the peer closes it."""
        self.flush()
        self._inbox.clear()
        self._end(reason)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()  # the peer's close must be seen
            with contextlib.suppress(OSError):  # reset by the peer, which asyncio has not seen yet
                self._transport.write_eof()

    async def gone(self, seconds: float) -> None:
        """Wait until the socket is closed, but no longer than that."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.closed.wait(), seconds)

    def _end(self, reason: str) -> None:
        if not self.ended:
            self.ended = reason
            self._wake()


class StreamLink:
    """One link of a port over one connection at a time; a new connection replaces the old one [HSL-PAL-003].

    PAL_UP and PAL_DOWN are what `adopt` and `connection` say; the pump tells them to the node.
    """

    def __init__(self, address: Address, injector: FaultInjector, wake: Callable[[], None]) -> None:
        self.address = address
        self.injector = injector
        self.connection: Connection | None = None
        self.framing_errors = 0  # code 18
        self.connections = 0
        self._next: Connection | None = None
        self._wake = wake
        self._held: deque[tuple[int, bytes]] = deque()  # delayed flits; ready() counts them
        self._late: list[tuple[int, bytes]] = []  # flits that later ones overtake; ready() counts them

    def _connected(self) -> Connection:
        """Make the protocol of a new connection; of several new ones the last wins."""
        if self._next is not None:
            self._next.abort()
        self._next = Connection(self._wake)
        return self._next

    def adopt(self, now: int = 0) -> bool:
        """Take the newest connection, if there is one and the old one is gone: PAL_UP at `now`."""
        if self.connection is not None or self._next is None or not self._next.made:
            return False
        self.connection, self._next = self._next, None
        self.connections += 1
        return True

    @property
    def replaced(self) -> bool:
        """A newer connection waits for the place of this one."""
        return self._next is not None

    def drop(self) -> Connection | None:
        """Forget the connection, cut it if it lives: PAL_DOWN."""
        connection, self.connection = self.connection, None
        self._held.clear()
        self._late.clear()
        if connection is not None:
            torn = bool(connection.ended) and connection.backlog > 0  # EOF inside a frame
            self.framing_errors += connection.framing_error or torn
            connection.abort()
        return connection

    def ready(self) -> bool:
        """A whole flit can be taken now (B3)."""
        if self.connection is None or self.connection.ended:
            return False
        return self.connection.queued() + len(self._held) + len(self._late) < PAL_QUEUE_FLITS

    def send(self, flit: bytes, now: int) -> list[Arrival]:
        """Take one flit and do to it what the fault plan says; what arrives of it."""
        arrivals = self.injector.apply(flit)
        for arrival in arrivals:
            due = now + arrival.delay_ns
            if arrival.overtaken:
                self._late.append((due, arrival.data))
            elif self._held or arrival.delay_ns:
                self._held.append((max(due, self._held[-1][0] if self._held else 0), arrival.data))
            elif self.connection is not None:
                self.connection.write(arrival.data)
        cut_ns = self.injector.take_cut()
        if cut_ns is not None:
            self._cut(now + cut_ns)
        return arrivals

    def _cut(self, until: int) -> None:
        """A fault cuts the link: on a stream the connection is closed, and made again by who calls."""
        if self.connection is not None:
            self.connection.abort()

    def flush(self, now: int) -> None:
        """Write what was taken and is not delayed."""
        if self.connection is None:
            return
        while self._held and self._held[0][0] <= now:
            self.connection.write(self._held.popleft()[1])
        for item in [item for item in self._late if item[0] <= now]:
            self._late.remove(item)
            self.connection.write(item[1])
        self.connection.flush()

    def deadline(self, frame_timeout: int) -> int | None:
        """The time at which a delayed flit is due or the wait for an unfinished frame ends, in ns."""
        times = [due for due, _ in self._late]
        times += [self._held[0][0]] if self._held else []
        if self.connection is not None and self.connection.partial_since is not None:
            times.append(self.connection.partial_since + frame_timeout)
        return min(times, default=None)

    def check(self, now: int, frame_timeout: int) -> None:
        """Give up a frame that was not completed within `frame_timeout` ns of its first byte."""
        connection = self.connection
        if connection is None or connection.partial_since is None:
            return
        if now >= connection.partial_since + frame_timeout:
            connection.fail(f"a frame was not completed within {frame_timeout / 1e9:.3g} s")

    async def open(self) -> None:
        """Begin to accept or to connect. Raises ConfigError for an address that cannot be used."""
        raise NotImplementedError

    async def close(self, linger: float) -> None:
        """Stop, send what was taken, give the peer `linger` s to close too: unread data reset a socket."""
        await self.stop()
        last, late = self.connection, self._next
        if last is not None:
            last.finish()
            await last.gone(linger)
        self.drop()
        for connection in (last, late):
            if connection is not None:
                connection.abort()
                await connection.gone(linger)

    async def stop(self) -> None:
        """Accept or call no more."""
        raise NotImplementedError

    def failure(self) -> PeerUnreachable | None:
        """The reason why there will be no connection, or None."""
        return None


class Listener(StreamLink):
    """The side that waits; a new connection replaces the old one."""

    _server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen; `address` then has the port that was chosen. Raises ConfigError."""
        loop = asyncio.get_running_loop()
        try:
            if self.address.scheme == "unix":
                sock = _bind_unix(Path(self.address.path))
                self._server = await loop.create_unix_server(self._connected, sock=sock)
            else:
                self._server = await loop.create_server(self._connected, self.address.host, self.address.port)
                self.address = self.address._replace(port=self._server.sockets[0].getsockname()[1])
        except OSError as error:
            raise ConfigError(f"cannot listen at {self.address}: {reason(error)}") from error

    async def stop(self) -> None:
        """Stop listening and remove the socket file."""
        if self._server is not None:
            for sock in self._server.sockets:
                asyncio.get_running_loop().remove_reader(sock.fileno())
            # asyncio loses a connection that it has accepted and not yet made when its server is closed.
            await asyncio.sleep(0)
            self._server.close()
            if self.address.scheme == "unix":
                Path(self.address.path).unlink(missing_ok=True)


def _bind_unix(path: Path) -> socket.socket:
    """Bind a stream socket; a socket file that nobody listens at any more is removed first."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode) and not _alive(path):
            path.unlink()
        sock.bind(str(path))
    except OSError:
        sock.close()
        raise
    return sock


def _alive(path: Path) -> bool:
    """Somebody listens: a socket of another type is refused with EPROTOTYPE, which disturbs nobody."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        return probe.connect_ex(str(path)) != errno.ECONNREFUSED


class Connector(StreamLink):
    """The side that calls, for up to `wait` seconds at first; after a loss it calls until it is closed."""

    def __init__(
        self, address: Address, injector: FaultInjector, wake: Callable[[], None], wait: float = 0.0
    ) -> None:
        super().__init__(address, injector, wake)
        self.wait = wait
        self._task: asyncio.Task[None] | None = None
        self._failure: PeerUnreachable | None = None

    async def open(self) -> None:
        """Begin to connect."""
        self._task = asyncio.get_running_loop().create_task(self._call())

    async def stop(self) -> None:
        """Stop connecting."""
        # A cancellation that meets the end of the inner call is lost in wait_for: one is not always enough.
        while self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task], timeout=RETRY_SECONDS)

    def failure(self) -> PeerUnreachable | None:
        """Nobody answered in time."""
        return self._failure

    async def _call(self) -> None:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self.wait
        ever = False
        while True:
            try:
                connection = await asyncio.wait_for(self._connect(), CONNECT_SECONDS)
            except (OSError, TimeoutError) as error:
                if not ever and loop.time() + RETRY_SECONDS > give_up:
                    self._failure = PeerUnreachable(f"nobody answers at {self.address}: {reason(error)}")
                    self._wake()
                    return
            else:
                ever = True
                await connection.closed.wait()
            await asyncio.sleep(RETRY_SECONDS)

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        if self.address.scheme == "unix":
            _, connection = await loop.create_unix_connection(self._connected, self.address.path)
        else:
            _, connection = await loop.create_connection(
                self._connected, self.address.host, self.address.port
            )
        return connection
