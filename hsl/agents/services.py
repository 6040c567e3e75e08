"""Services of the node to its I/O agent: register effects, the error log, caches for the upper tester."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from hsl._generated.constants import Err
from hsl._generated.layouts import LOG_ENTRY_BYTES
from hsl.agents.address_map import SamEntry
from hsl.agents.request import RequestAgent
from hsl.codec.message import Message

__all__ = ["Alone", "Later", "Services"]


class Later(NamedTuple):
    """A request that was taken and is completed later: `poll(now)` gives the completion when there is one."""

    poll: Callable[[int], Message | None]


class Services(Protocol):
    """A node as its I/O agent sees it. `now` in ns; an Err of OK is success."""

    has_home: bool

    def status(self) -> int:
        """The STATUS register."""
        ...

    def fence(self, nid: int, now: int) -> Err:
        """Declare a node lost (6.2 F1)."""
        ...

    def readmit(self, nid: int, now: int) -> Err:
        """Admit a node again (6.2 F5)."""
        ...

    def lift(self, nid: int, now: int) -> Err:
        """Lift the fence of a memory target (M5)."""
        ...

    def recall(self, first: int, last: int, now: int) -> Err:
        """Begin to take all lines of a range back; BUSY if too many recalls are open."""
        ...

    def recalling(self) -> int:
        """Lines that open recalls have still to take."""
        ...

    def in_use(self, first: int, last: int) -> bool:
        """True if a line of a byte range is in use at a home of the node, or held by one of its agents."""
        ...

    def outdated(self, first: int, last: int) -> bool:
        """True if a request or a copy of the node is of another home than the map says, in a byte range."""
        ...

    def can_serve(self, entry: SamEntry) -> bool:
        """True if the node has the memory or the MMIO that an entry of the map says."""
        ...

    def take(self, entry: SamEntry) -> None:
        """Note that an entry stands in the map: a range of the node may have got its place (5.15.2)."""
        ...

    def ready(self, on: bool) -> None:
        """READY has this value now: the node may send requests, or may not any more (5.15.3)."""
        ...

    def set_rate(self, messages: int, bucket: int, now: int) -> None:
        """The token bucket of 6.3: messages per 1024 TU, 0 = off."""
        ...

    def content_lost(self, nid: int, first: int, last: int, now: int) -> Err:
        """Note that memory target `nid` lost a range (M5)."""
        ...

    def log_entry(self, src: int, index: int) -> bytes:
        """Entry of the error log that `src` is shown: 64 bytes, 0 = oldest, zeros where there is none."""
        ...

    def clear_log(self, src: int) -> None:
        """Forget entries, first flags and counters."""
        ...

    def counter(self, src: int, code: int) -> int:
        """Return the number of errors logged with a code, a u32."""
        ...

    def cache(self, nid: int) -> RequestAgent | None:
        """The request agent `nid`, or the first one for another NID of the node."""
        ...

    def together(self, one: int, other: int) -> bool:
        """True if two nodes are behind one port, or both local, so that one may speak for the other."""
        ...


class Alone:
    """The services of an I/O agent without a node around it."""

    has_home = False

    def status(self) -> int:
        """Nothing to tell."""
        return 0

    def fence(self, nid: int, now: int) -> Err:
        """There is no home."""
        return Err.UNSUP

    readmit = lift = fence

    def recall(self, first: int, last: int, now: int) -> Err:
        """There is no home."""
        return Err.UNSUP

    def recalling(self) -> int:
        """There is no home."""
        return 0

    def in_use(self, first: int, last: int) -> bool:
        """There is no home."""
        return False

    def outdated(self, first: int, last: int) -> bool:
        """There is no request agent."""
        return False

    def can_serve(self, entry: SamEntry) -> bool:
        """There is no home that could not."""
        return True

    def take(self, entry: SamEntry) -> None:
        """There is no range."""

    def ready(self, on: bool) -> None:
        """Nothing has waited for it."""

    def set_rate(self, messages: int, bucket: int, now: int) -> None:
        """There is no port."""

    def content_lost(self, nid: int, first: int, last: int, now: int) -> Err:
        """There is no home."""
        return Err.UNSUP

    def log_entry(self, src: int, index: int) -> bytes:
        """There is no log."""
        return bytes(LOG_ENTRY_BYTES)

    def clear_log(self, src: int) -> None:
        """There is no log."""

    def counter(self, src: int, code: int) -> int:
        """There is no log."""
        return 0

    def cache(self, nid: int) -> RequestAgent | None:
        """There is none."""
        return None

    def together(self, one: int, other: int) -> bool:
        """There is one world."""
        return True
