"""The accesses that a node takes from its owner, each as one call."""

from __future__ import annotations

from hsl.agents.access import Access, Ticket

__all__ = ["Accesses"]


class Accesses:
    """Calls that build an Access for the agent `nid` and hand it to `submit`, at `now` in ns."""

    def submit(self, nid: int, access: Access, now: int) -> Ticket:
        """Hand an access to the agent `nid`."""
        raise NotImplementedError

    def load(self, nid: int, addr: int, size: int, now: int) -> Ticket:
        """Submit a coherent load."""
        return self.submit(nid, Access("load", addr, size), now)

    def store(self, nid: int, addr: int, data: bytes, now: int) -> Ticket:
        """Submit a coherent store inside a line."""
        return self.submit(nid, Access("store", addr, len(data), data), now)

    def atomic(self, nid: int, aop: int, addr: int, size: int, data: bytes, now: int) -> Ticket:
        """Submit an atomic operation of `size` bytes; the ticket's data are the old value."""
        return self.submit(nid, Access("atomic_load", addr, size, data, aop=aop), now)

    def flush(self, nid: int, addr: int, now: int) -> Ticket:
        """Submit a flush: the line is written to memory, and no cache keeps it."""
        return self.submit(nid, Access("flush", addr), now)

    def fence(self, nid: int, now: int) -> Ticket:
        """Submit a fence, which ends when all earlier accesses of the agent are complete (5.9 F1)."""
        return self.submit(nid, Access("fence"), now)

    def ncread(self, nid: int, addr: int, size: int, now: int) -> Ticket:
        """Submit an uncached read (NcRead)."""
        return self.submit(nid, Access("ncread", addr, size), now)

    def ncwrite(self, nid: int, addr: int, data: bytes, now: int) -> Ticket:
        """Submit an uncached write (NcWrite); 8 bytes ring a doorbell."""
        return self.submit(nid, Access("ncwrite", addr, len(data), data), now)

    def intr(self, nid: int, dst: int, vector: int, data: int, now: int) -> Ticket:
        """Submit an interrupt to the I/O agent `dst`."""
        body = vector.to_bytes(4, "little") + data.to_bytes(4, "little")
        return self.submit(nid, Access("intr", size=len(body), data=body, dst=dst), now)
