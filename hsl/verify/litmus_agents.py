"""The agents a litmus test runs on, and their messages by number: homes, request agents, and devices.

Each location has a home of its own: different lines are independent (HSL 5.4 T5). The device of a thread's
node has room for one doorbell, so that requests wait there too.
"""

from __future__ import annotations

from collections.abc import Sequence

from hsl._generated.constants import Feature, SamType, Vc
from hsl._generated.tables import OPCODES
from hsl.agents.access import STREAMS
from hsl.agents.address_map import PAGE_BYTES, AddressMap, SamEntry
from hsl.agents.home import HomeAgent, HomeConfig
from hsl.agents.io import IoAgent, IoConfig
from hsl.agents.memory import Memory
from hsl.agents.peers import LOCAL
from hsl.agents.request import RequestAgent
from hsl.agents.request_config import RequestConfig
from hsl.codec.message import Message
from hsl.verify.automaton import Automaton, DeviceAutomaton, Given, HomeAutomaton, RequestAutomaton
from hsl.verify.litmus_text import MAX_LOCATIONS

__all__ = ["MMIO", "Agents", "Answer", "Fault", "Stream"]

# NIDs: the homes, caches of the CPU, nodes behind ports of their own, devices.
FIRST_HOME, FIRST, FIRST_DEVICE = 0, {"cpu": MAX_LOCATIONS, "gpu": 16}, 32
MMIO = 1 << 40  # where the device registers of the first thread begin, a page for each thread
NEVER = 1 << 62  # ns: no timer of the transaction layer may help a run along

Stream = tuple[int, int, int, int]  # -1, source, target, stream: what sorts before all numbers of messages
Answer = tuple[int, tuple[int, ...], tuple[tuple[int, bytes], ...]]  # state, messages sent, accesses ended


class Fault(Exception):
    """An agent has done what no conforming one does."""


class Agents:
    """Agents for all tests of one placement and number of locations, which share their states and steps.

    `sets`: lines that a cache has room for, and NCR that may be outstanding. `automata`: the homes in the
    order of the locations, then the request agents and, if asked for, the devices in that of the threads.
    `hand_over`: homes give dirty lines by CmpData(M) (HSL 5.6).
    """

    def __init__(
        self,
        placement: Sequence[str],
        locations: int,
        sets: int = MAX_LOCATIONS,
        devices: bool = False,
        hand_over: bool = True,
    ) -> None:
        ranges = [
            SamEntry(at, at + PAGE_BYTES - 1, home=FIRST_HOME + index)
            for index, at in enumerate(range(0, locations * PAGE_BYTES, PAGE_BYTES))
        ]
        nids = [FIRST[place] + p for p, place in enumerate(placement)]
        self.homes = [HomeAutomaton(_home(entry, ranges, hand_over)) for entry in ranges]
        self.requesters = [RequestAutomaton(_requester(nid, ranges, sets)) for nid in nids]
        self.devices = [DeviceAutomaton(_device(p)) for p in range(len(placement) if devices else 0)]
        self.automata: list[Automaton] = [*self.homes, *self.requesters, *self.devices]
        self.messages: list[Message] = []  # by number
        self.target: list[int] = []  # of each message, by the place of its automaton
        homes, programs = [entry.home for entry in ranges], [each.io.nid for each in self.devices]
        self.stream: list[Stream | None] = []  # of each message, None where none is kept in order
        self._place = {nid: at for at, nid in enumerate([*homes, *nids, *programs])}
        self._numbers: dict[Message, int] = {}

    def _number(self, message: Message) -> int:
        """The number of a message; equal ones have the same."""
        found = self._numbers.get(message)
        if found is None:
            found = self._numbers[message] = len(self.messages)
            self.messages.append(message)
            self.target.append(self._place[message.dst])
            # Intr have a queue of their own: their sender keeps the order of their stream [HSL-NCR-006].
            way = message.aop + (STREAMS if OPCODES[message.op].sinks else 0)
            self.stream.append((-1, message.src, message.dst, way) if message.vc == Vc.NCR else None)
        return found

    def answer(self, at: int, state: int, given: int | Given) -> Answer:
        """Return what an agent in `state` does with a message, by number, with an access, or with a Take.

        Raises Fault for what no conforming agent reports.
        """
        step = self.automata[at].step(state, self.messages[given] if isinstance(given, int) else given)
        if step.errors:
            raise Fault(step.errors[0])
        return step.state, tuple(map(self._number, step.sent)), step.ended


def _home(entry: SamEntry, ranges: list[SamEntry], hand_over: bool) -> HomeAgent:
    timers = dict.fromkeys(("T_SNP", "T_CACK"), NEVER)
    features = LOCAL.features if hand_over else LOCAL.features & ~Feature.HandOver
    agreed = LOCAL._replace(features=features)
    config = HomeConfig(nid=entry.home, address_map=AddressMap(ranges), timers=timers, negotiated=agreed)
    return HomeAgent(config, Memory(entry.base, PAGE_BYTES))


def _requester(nid: int, ranges: list[SamEntry], sets: int) -> RequestAgent:
    return RequestAgent(
        RequestConfig(nid=nid, address_map=AddressMap(ranges), sets=sets, ways=1, ncrs=sets, t_req=NEVER)
    )


def _device(thread: int) -> IoAgent:
    base, nid = MMIO + thread * PAGE_BYTES, FIRST_DEVICE + thread
    page = SamEntry(base, base + PAGE_BYTES - 1, home=nid, type=SamType.MMIO)
    return IoAgent(IoConfig(nid=nid, address_map=AddressMap([page]), doorbells=1))
