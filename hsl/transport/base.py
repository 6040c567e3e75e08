"""Interfaces of a transport: addresses, the device above, the PAL below (HSL 3.9)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol
from urllib.parse import SplitResult, urlsplit

from hsl._generated.constants import LinkState
from hsl.errors import ConfigError
from hsl.link.config import CapsResult, PortConfig
from hsl.link.events import Event
from hsl.nearest import nearest
from hsl.transport.faults import Arrival

__all__ = [
    "SCHEMES",
    "Address",
    "Core",
    "Device",
    "Pal",
    "Place",
    "PortLike",
    "Tap",
    "link_addresses",
    "parse_uri",
]

INTERNET = ("tcp", "udp")  # schemes with host and port
# The bindings that are built, with what an address of each looks like.
SCHEMES = {
    "loopback": "loopback:",
    "tcp": "tcp://host:port",
    "unix": "unix:///path",
    "udp": "udp://host:port",
}
LOCALHOST = (
    "127.0.0.1"  # the host of tcp://:port and udp://:port: nothing listens on all interfaces unless told to
)
MAX_TCP_PORT = 65535
# sun_path of Linux, one byte kept for its terminating zero.
MAX_UNIX_PATH = 107


class Address(NamedTuple):
    """One address of a binding; `port` only in tcp, udp (0: the system chooses), `path` only in unix."""

    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        """The URI that parse_uri reads back as this address."""
        if self.scheme in INTERNET:
            host = f"[{self.host}]" if ":" in self.host else self.host
            return f"{self.scheme}://{host}:{self.port}"
        return f"unix://{self.path}" if self.scheme == "unix" else f"{self.scheme}:"


def parse_uri(text: str) -> Address:
    """Read the address of a link, on this host if none is named. Raises ConfigError for an invalid one."""
    scheme = text.partition(":")[0]
    if ":" not in text or scheme not in SCHEMES or not text.isprintable():
        known = ", ".join(SCHEMES.values())
        near = nearest(scheme, SCHEMES)
        hint = f"; did you mean {SCHEMES[near]}?" if near else ""
        raise ConfigError(f"{text!r} is not the address of a link; expected one of {known}{hint}")
    try:
        parts = urlsplit(text)
        (parts.hostname or "").encode("idna")  # as the resolver does: what it raises is not an OSError
    except ValueError:  # brackets, or a label that is empty or too long
        raise _invalid(text, scheme, "invalid host") from None
    if problem := _problem(text, scheme, parts):
        raise _invalid(text, scheme, problem)
    if scheme in INTERNET:
        return Address(scheme, parts.hostname or LOCALHOST, parts.port or 0)
    return Address(scheme, path=parts.path)


def _invalid(text: str, scheme: str, problem: str) -> ConfigError:
    return ConfigError(f"{text!r}: {problem}; expected {SCHEMES[scheme]}")


def _problem(text: str, scheme: str, parts: SplitResult) -> str:
    """Return what is wrong with an address whose scheme is known, or ""."""
    rest = "@" in parts.netloc or any((parts.query, parts.fragment))
    if scheme == "loopback":
        return "" if text == "loopback:" else "unexpected text after the colon"
    if scheme == "unix":
        size = len(parts.path.encode(errors="surrogateescape"))
        if size > MAX_UNIX_PATH:
            return f"the path has {size} bytes, the system takes at most {MAX_UNIX_PATH}"
        return "" if text.startswith("unix:///") and not rest else "not an absolute path"
    if rest or parts.path not in ("", "/"):
        return "unexpected text beside host and port"
    host, colon, port = parts.netloc.rpartition(":")
    if not colon or not port or port.endswith("]"):
        return "the port is missing"
    if ":" in host and not host.endswith("]"):
        return "invalid host"
    valid = port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= MAX_TCP_PORT
    return "" if valid else f"the port must be a number from 0 to {MAX_TCP_PORT}"


def link_addresses(text: str, links: int, *, listen: bool) -> list[str]:
    """The address of each of `links` links of a port, from a list with commas or from the one of link 0.

    From one address the others follow: unix:///path.1 and so on, the next ports of tcp or udp; port 0, where
    it is listened at, stays 0. ConfigError for a list of another length, and for what cannot be counted on.
    """
    given = text.split(",")
    if len(given) == links:
        return given
    if len(given) != 1:
        raise ConfigError(f"{len(given)} addresses for {links} links: give one for each, or that of link 0")
    first = parse_uri(text)
    if first.scheme == "unix":
        return [text, *(str(first._replace(path=f"{first.path}.{link}")) for link in range(1, links))]
    if first.scheme not in INTERNET or first.port + links - 1 > MAX_TCP_PORT or not (first.port or listen):
        raise ConfigError(f"{text!r} does not name {links} links: give an address for each, with commas")
    ports = [first.port + link if first.port else 0 for link in range(links)]
    return [str(first._replace(port=port)) for port in ports]


class Place(NamedTuple):
    """One end of a wire: device (index in the transport's list), port of the device, link of the port."""

    device: int
    port: int = 0
    link: int = 0


# Sees flits: (now, place, flit, what arrives of it) when one is sent, (now, place, frame, None) at reception.
Tap = Callable[[int, Place, bytes, list[Arrival] | None], None]


class PortLike(Protocol):
    """The part of hsl.link.Port that transports look at."""

    @property
    def up(self) -> bool:
        """LINK_UP was told and LINK_DOWN was not."""
        ...

    @property
    def dead(self) -> bool:
        """Every link is DEAD."""
        ...

    @property
    def alive(self) -> int:
        """The links that carry the session, bit i for link i; 0 without one."""
        ...

    @property
    def config(self) -> PortConfig:
        """The offer of the port; `handshake_tu` is the TU exponent until CONFIG is left."""
        ...

    @property
    def result(self) -> CapsResult | None:
        """The result of negotiation."""
        ...

    def state(self, link: int) -> LinkState:
        """The state of a link."""
        ...

    def heard(self, link: int) -> bool:
        """True if a link knows the EPOCH of its peer. HSL 3.2.1."""
        ...

    def exponents(self, link: int) -> tuple[int, int]:
        """The exponents of TU and of slow TU in force at a link. HSL 3.1."""
        ...

    def framing_lost(self, link: int, now: int) -> None:
        """The binding has lost its frames on that link; PAL_DOWN follows."""
        ...

    def enable(self, now: int) -> None:
        """Row 1 of 3.2.3."""
        ...


class Core(Protocol):
    """The state machine that transports feed and drain, such as hsl.engine.Node. All times in ns."""

    @property
    def ports(self) -> Sequence[PortLike]:
        """The ports, by index."""
        ...

    @property
    def quiesced(self) -> bool:
        """Nothing to send, nothing expected, all own credits home, no ACK due."""
        ...

    def start(self, now: int) -> None:
        """Enable all ports."""
        ...

    def stop(self, now: int) -> None:
        """Disable all ports: DISABLE is due on links that were up."""
        ...

    def pal_up(self, port: int, link: int, now: int) -> None:
        """PAL_UP, row 9."""
        ...

    def pal_down(self, port: int, link: int, now: int) -> None:
        """PAL_DOWN, row 10."""
        ...

    def receive(self, port: int, link: int, data: bytes, now: int, error: bool = False) -> None:
        """One frame of the PAL; `error` when the binding knows that it is damaged."""
        ...

    def tick(self, now: int) -> None:
        """Run the timers that are due."""
        ...

    def transmit(self, now: int, ready: Callable[[int, int], bool]) -> Iterator[tuple[int, int, bytes]]:
        """Build (port, link, flit) lazily while ready(port, link)."""
        ...

    def events(self) -> list[tuple[int, Event]]:
        """(port, event) since the last call."""
        ...


class Device(Protocol):
    """The state machine at one end of links, such as a Node, and the programs above it."""

    @property
    def node(self) -> Core:
        """The state machine at the end of the links."""
        ...

    @property
    def started(self) -> bool:
        """True if the programs have begun to work with the peer, so that its loss is an error."""
        ...

    @property
    def quiescing(self) -> bool:
        """True if the programs are done but for their farewell; then no more faults are injected."""
        ...

    @property
    def finished(self) -> bool:
        """The programs have ended."""
        ...

    def advance(self, now: int) -> None:
        """Move messages and programs until nothing moves."""
        ...

    def next_deadline(self) -> int | None:
        """The next time at which a timer or a pause of a program ends."""
        ...


class Pal(Protocol):
    """The way out of one link, as every binding offers it (HSL 3.9 B1 to B4)."""

    def ready(self) -> bool:
        """A whole flit can be taken now (B3)."""
        ...

    def send(self, flit: bytes) -> None:
        """Take one flit of 64 or 256 bytes; dropped while the PAL is down (B4)."""
        ...
