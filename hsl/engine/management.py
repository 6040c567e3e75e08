"""Management of a node: fences, recalls, its error logs, the rate of ports (5.14, 6.2, 6.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hsl._generated.constants import Err, ErrorCode, SamType
from hsl._generated.layouts import LOG_ENTRY_BYTES, STATUS_D0
from hsl.agents.address_map import SamEntry
from hsl.agents.home import HomeAgent
from hsl.agents.mmio import Mmio
from hsl.agents.ranges import Ranges
from hsl.agents.request import RequestAgent
from hsl.agents.target import MemoryTarget
from hsl.engine.boot import Readiness
from hsl.engine.error_log import ErrorLog
from hsl.engine.gate import Gate

__all__ = ["NodeServices"]


class NodeServices:
    """A node as its I/O agent sees it (hsl.agents.services.Services)."""

    def __init__(
        self,
        agents: Mapping[int, RequestAgent],
        homes: Mapping[int, HomeAgent],
        gates: Sequence[Gate],
        own_log: ErrorLog,
        *,
        targets: Mapping[int, MemoryTarget] | None = None,
        ranges: Ranges | None = None,
        boots: bool = False,
    ) -> None:
        self.has_home = bool(homes)
        self.viral = False
        self.mmio: Mmio | None = None  # of the I/O agent
        self.readiness: Readiness | None = None
        self._agents = agents
        self._homes = homes
        self._targets = targets or {}
        self._gates = gates
        self._own_log = own_log
        self._ranges = ranges or Ranges(())
        self._boots = boots

    def _gate(self, nid: int) -> Gate | None:
        return next((gate for gate in self._gates if nid in gate.nids), None)

    def _log(self, src: int) -> ErrorLog:
        """The log of the port behind which `src` is; what concerns no port is in that of port 0."""
        gate = self._gate(src) or next(iter(self._gates), None)
        return self._own_log if gate is None else gate.log

    def status(self) -> int:
        """The STATUS register."""
        logged = any(len(log) for log in [gate.log for gate in self._gates] or [self._own_log])
        lost = any(home.overflow for home in self._homes.values())
        fields = {"viral": int(self.viral), "lost": int(lost), "log": int(logged)}
        return int.from_bytes(STATUS_D0.build(fields), "little")

    # ---- fences
    def fence(self, nid: int, now: int) -> Err:
        """Declare a node lost at every home; who is a neighbour sees its port go down. HSL 6.2 F1, F4."""
        for home in self._homes.values():
            if not home.fenced(nid):
                home.isolate(nid, now)
                home.fences.append(nid)
        self._log(nid).add(now, ErrorCode.FENCED, f"node {nid} is declared lost by management")
        return Err.OK

    def readmit(self, nid: int, now: int) -> Err:
        """A new session admits by itself (F5); UNREACH without one: old messages may be left."""
        here = nid in self._agents or self._gate(nid) is not None
        fenced = any(home.fenced(nid) for home in self._homes.values())
        lost = any(nid in agent.lost for agent in self._agents.values())
        return Err.OK if here and not fenced and not lost else Err.UNREACH

    def lift(self, nid: int, now: int) -> Err:
        """Lift the fence of a memory target; UNSUP for a node that is none. HSL 5.6 M5."""
        lifted = [home.lift(nid) for home in self._homes.values()]
        return Err.OK if any(lifted) else Err.UNSUP

    def content_lost(self, nid: int, first: int, last: int, now: int) -> Err:
        """Note that memory target `nid` lost a range; PROTO if it is not a target of this node. HSL 5.6 M5.

        The target says so itself, in a new session; any other agent of its device may, too.
        """
        if not self._homes:
            return Err.UNSUP
        gate = self._gate(nid)
        device = (nid,) if gate is None else gate.nids
        known = [home.content_lost(each, first, last) for each in device for home in self._homes.values()]
        return Err.OK if any(known) else Err.PROTO

    def together(self, one: int, other: int) -> bool:
        """True if two nodes are behind one port, or both local."""
        return self._gate(one) is self._gate(other)

    def recall(self, first: int, last: int, now: int) -> Err:
        """Begin to take all lines of a range back, at every home of the node or at none. HSL 5.1.4."""
        if not all(home.recalls for home in self._homes.values()):
            return Err.BUSY
        for home in self._homes.values():
            home.recall(first, last, now)
        return Err.OK

    def recalling(self) -> int:
        """Lines that open recalls have still to take."""
        return sum(home.recalling for home in self._homes.values())

    def in_use(self, first: int, last: int) -> bool:
        """True if a home has a line of a byte range listed, busy or waited for, or an agent a copy of one.

        HSL 5.1.4.
        """
        held = any(agent.cache.copies(first, last) for agent in self._agents.values())
        return held or any(home.in_use(first, last) for home in self._homes.values())

    def outdated(self, first: int, last: int) -> bool:
        """True if an agent has a request for a byte range under way to another home than its map says.

        Or a copy that such a home granted.
        """
        return any(agent.outdated(first, last) for agent in self._agents.values())

    def can_serve(self, entry: SamEntry) -> bool:
        """True if the node has the memory or the MMIO that an entry of the map says.

        The homes of a boot master take any memory target; it has read the identity of each. HSL 5.15.4.
        """
        if not self._ranges.can_take(entry) or not all(t.can_serve(entry) for t in self._targets.values()):
            return False
        if self._ranges.has(entry) or (entry.type == SamType.HDM_H and self._boots):
            return True
        return all(home.can_serve(entry) for home in self._homes.values())

    def take(self, entry: SamEntry) -> None:
        """An entry stands in the map: a range gets its place, a home learns of a target. HSL 5.15.2.

        A memory target of a node that is READY reports what it has lost there (5.6 M5).
        """
        if self._ranges.take(entry) and entry.type == SamType.MMIO and self.mmio is not None:
            self.mmio.place(entry.base, entry.last + 1 - entry.base)
        for home in self._homes.values():
            home.learn(entry)
        self.report_losses()

    def ready(self, on: bool) -> None:
        """READY has this value now; memory targets report what they have lost. HSL 5.15.3."""
        if self.readiness is not None:
            self.readiness.change(on)
        self.report_losses()

    def report_losses(self) -> None:
        """Let memory targets of a node that is READY report what they have lost. HSL 5.6 M5."""
        ready = self.readiness is None or self.readiness.ready
        for target in self._targets.values() if ready else ():
            target.begin()

    # ---- ports and logs
    def set_rate(self, messages: int, bucket: int, now: int) -> None:
        """The token bucket of every port. HSL 6.3."""
        for gate in self._gates:
            gate.bucket.set(messages, bucket, now)

    def log_entry(self, src: int, index: int) -> bytes:
        """An entry as 64 bytes. HSL 6.5."""
        entries = self._log(src).entries
        return entries[index].encode() if index < len(entries) else bytes(LOG_ENTRY_BYTES)

    def clear_log(self, src: int) -> None:
        """Forget entries, first flags and counters."""
        self._log(src).clear()

    def counter(self, src: int, code: int) -> int:
        """Return the number of errors logged with a code."""
        return {int(known): count for known, count in self._log(src).counters.items()}.get(code, 0)

    # ---- upper tester
    def cache(self, nid: int) -> RequestAgent | None:
        """The request agent `nid`, or the first one."""
        return self._agents.get(nid) or next(iter(self._agents.values()), None)
