"""The agents a litmus test runs on: homes, and a request agent for each thread; their messages by number.

Each location has a home of its own: different lines are independent (HSL 5.4 T5).
"""

from __future__ import annotations

from collections.abc import Sequence

from hsl.agents.address_map import PAGE_BYTES, AddressMap, SamEntry
from hsl.agents.home import HomeAgent, HomeConfig
from hsl.agents.memory import Memory
from hsl.agents.request import RequestAgent, RequestConfig
from hsl.codec.message import Message
from hsl.verify.automaton import Automaton, Begin, HomeAutomaton, RequestAutomaton
from hsl.verify.litmus_text import MAX_LOCATIONS

__all__ = ["Agents", "Answer", "Fault"]

# NIDs: the homes, caches of the CPU, nodes behind ports of their own.
FIRST_HOME, FIRST = 0, {"cpu": MAX_LOCATIONS, "gpu": 16}
NEVER = 1 << 62  # ns: no timer of the transaction layer may help a run along

Answer = tuple[int, tuple[int, ...], tuple[tuple[int, bytes], ...]]  # state, messages sent, accesses ended


class Fault(Exception):
    """An agent has done what no conforming one does."""


class Agents:
    """Agents for all tests of one placement and number of locations, which share their states and steps.

    `sets`: lines that a cache has room for. `automata`: the homes in the order of the locations, then the
    request agents in the order of the threads.
    """

    def __init__(self, placement: Sequence[str], locations: int, sets: int = MAX_LOCATIONS) -> None:
        ranges = [
            SamEntry(at, at + PAGE_BYTES - 1, home=FIRST_HOME + index)
            for index, at in enumerate(range(0, locations * PAGE_BYTES, PAGE_BYTES))
        ]
        nids = [FIRST[place] + p for p, place in enumerate(placement)]
        self.homes = [HomeAutomaton(_home(entry, ranges)) for entry in ranges]
        self.requesters = [RequestAutomaton(_requester(nid, ranges, sets)) for nid in nids]
        self.automata: list[Automaton] = [*self.homes, *self.requesters]
        self.messages: list[Message] = []  # by number
        self.target: list[int] = []  # of each message, by the place of its automaton
        self._place = {nid: at for at, nid in enumerate([*(entry.home for entry in ranges), *nids])}
        self._numbers: dict[Message, int] = {}

    def _number(self, message: Message) -> int:
        """The number of a message; equal ones have the same."""
        found = self._numbers.get(message)
        if found is None:
            found = self._numbers[message] = len(self.messages)
            self.messages.append(message)
            self.target.append(self._place[message.dst])
        return found

    def answer(self, at: int, state: int, given: int | Begin) -> Answer:
        """What an agent in `state` does with a message, by number, or with an access.

        Raises Fault for what no conforming agent reports.
        """
        step = self.automata[at].step(state, self.messages[given] if isinstance(given, int) else given)
        if step.errors:
            raise Fault(step.errors[0])
        return step.state, tuple(map(self._number, step.sent)), step.ended


def _home(entry: SamEntry, ranges: list[SamEntry]) -> HomeAgent:
    timers = dict.fromkeys(("T_SNP", "T_CACK"), NEVER)
    config = HomeConfig(nid=entry.home, address_map=AddressMap(ranges), timers=timers)
    return HomeAgent(config, Memory(entry.base, PAGE_BYTES))


def _requester(nid: int, ranges: list[SamEntry], sets: int) -> RequestAgent:
    return RequestAgent(
        RequestConfig(nid=nid, address_map=AddressMap(ranges), sets=sets, ways=1, t_req=NEVER)
    )
