"""The services of a node to its registers, on a network without links: recalls and requests (HSL 5.14)."""

from __future__ import annotations

from collections.abc import Sequence

from hsl._generated.constants import Err
from hsl.agents.address_map import SamEntry
from hsl.agents.home import HomeAgent
from hsl.agents.request import RequestAgent
from hsl.agents.services import Alone

__all__ = ["NodeServices"]


class NodeServices(Alone):
    """Answers of the `homes` and `agents` of a node to registers, about the address map and recalls."""

    def __init__(self, homes: Sequence[HomeAgent], agents: Sequence[RequestAgent]) -> None:
        self.has_home = bool(homes)
        self._homes = homes
        self._agents = agents

    def recall(self, first: int, last: int, now: int) -> Err:
        """Begin to take all lines of a range back, at every home of the node or at none."""
        if not all(home.recalls for home in self._homes):
            return Err.BUSY
        for home in self._homes:
            home.recall(first, last, now)
        return Err.OK

    def recalling(self) -> int:
        """Lines that open recalls have still to take."""
        return sum(home.recalling for home in self._homes)

    def in_use(self, first: int, last: int) -> bool:
        """True if a home has a line of a byte range that is listed, busy or waited for."""
        return any(home.in_use(first, last) for home in self._homes)

    def outdated(self, first: int, last: int) -> bool:
        """True if an agent has a request for a byte range under way to another home than its map says."""
        return any(agent.outdated(first, last) for agent in self._agents)

    def can_serve(self, entry: SamEntry) -> bool:
        """True if the homes have the memory that an entry of the map says."""
        return all(home.can_serve(entry) for home in self._homes)
