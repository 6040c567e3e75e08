"""The loss of the nodes behind a port, and the lease of copies in L1 (HSL 6.2, 3.7.5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hsl.agents.home import HomeAgent
from hsl.agents.request import RequestAgent
from hsl.engine.config import Boot
from hsl.engine.gate import Gate

if TYPE_CHECKING:
    from hsl.engine.node import Node

__all__ = ["Losses"]


class Losses:
    """The reaction of a node to losses; `gate_of` finds the port of a NID, `free` returns credits.

    `forget` drops the messages between two agents of the node; `scale` sets the unit of its timers.
    """

    def __init__(
        self,
        node: Node,
        gate_of: Callable[[int], Gate | None],
        free: Callable[[], None],
        forget: Callable[[int, int], None],
        scale: Callable[[], None],
    ) -> None:
        self._node = node
        self._gate_of = gate_of
        self._free = free
        self._forget = forget
        self._scale = scale

    def down(self, gate: Gate, now: int) -> None:
        """LINK_DOWN: the nodes behind the port are lost. HSL 6.2 F1, F6, F7 [HSL-RAS-003, HSL-RAS-004]."""
        node = self._node
        self._free()
        gate.lost = gate.nids
        gate.close()
        if node.config.boot is Boot.DEVICE and node.io is not None:
            node.io.registers.port_down(gate.lost, only=len(node.ports) == 1)
        waits = False
        for nid in gate.lost:
            for home in node.homes.values():
                waits = home.isolate(nid, now) or waits
            for served in (node.io, node.atc):
                if served is not None:
                    served.lost(nid)
            for agent in node.agents.values():
                agent.home_lost(nid, now)
        self._free()  # of the lost nodes; their gate is closed, so no credit is returned
        if not waits:
            self.gone(gate, now)

    def gone(self, gate: Gate, now: int) -> None:
        """Walk the lines: those behind the port can no longer use their copies. HSL 6.2 F2, F4."""
        if not gate.port.hold:
            return
        for nid in gate.lost:
            for home in self._node.homes.values():
                home.fence(nid, now)
        self._free()
        gate.port.link_down_done(now)
        self._scale()

    def lease(self, nid: int, now: int) -> bool:
        """True if a copy of a line of home `nid` may be used; else its port wakes from L1. HSL 3.7.5."""
        gate = self._gate_of(nid)
        if gate is None or gate.port.loss.leased(now):
            return True
        gate.sleeper = gate.port.woken = True
        return False

    def fence(self, agent: HomeAgent | RequestAgent, now: int) -> None:
        """Make the nodes know that a timer of an agent declared lost. HSL 6.2 F4, F6 [HSL-RAS-017]."""
        lost, agent.fences = agent.fences, []
        for nid in lost:
            if (gate := self._gate_of(nid)) is not None:
                gate.port.down(now)
            elif isinstance(agent, HomeAgent):
                self._part(agent, self._node.agents.get(nid), now)
            else:
                self._part(self._node.homes.get(nid), agent, now)

    def _part(self, home: HomeAgent | None, agent: RequestAgent | None, now: int) -> None:
        """A home and an agent of this node begin anew."""
        if home is None or agent is None:
            return
        agent.home_lost(home.nid, now)
        self._forget(agent.nid, home.nid)
        home.isolate(agent.nid, now)
        home.fence(agent.nid, now)
        agent.readmit(home.nid)
        home.readmit(agent.nid)
