"""The system a litmus test runs on: the states of its parts, by number, are its state.

Its events are the moves of its parts: a thread begins an access, or a message arrives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from hsl._generated.constants import GRANULE_BYTES, LINE_BYTES, Op
from hsl._generated.layouts import INTR_D0
from hsl._generated.tables import VC_HEADER
from hsl.agents.access import Access
from hsl.agents.address_map import PAGE_BYTES
from hsl.verify.automaton import Begin
from hsl.verify.litmus_agents import MMIO, Agents, Fault
from hsl.verify.litmus_model import CELL, Outcome, operand, outcome, rules
from hsl.verify.litmus_part import MASK, Move, Part, Program, Taken, Taking, Thread, Waits
from hsl.verify.litmus_text import READS, WRITES, Instruction, LitmusTest

__all__ = ["Case", "State", "System", "cases"]

SETUP = 1 << 20  # the index of accesses before the test, above those of any thread
# The accesses of a test with caches, and those that allocate nothing.
UNCACHED = {"load": "read_once", "store": "write_full"}

State = int  # WIDTH bits for each part, the homes first


class Case(NamedTuple):
    """The case of a test: accesses "cached", "evicting" (a cache has room for one line) or "uncached".

    And the state of the caches before: I, S in all, E in that of a thread ("E0"), or S in all of one location
    only ("Sx").
    """

    access: str
    caches: str

    def __str__(self) -> str:
        """As reports name it."""
        return f"{self.access}, {self.caches}"


def cases(test: LitmusTest) -> list[Case]:
    """All cases of 5.9: both kinds of access, initial states {I, all S, E at each thread}.

    And one location in S while others are in I: only so is a copy seen that should have gone. And agents with
    room for one line, from which each access to another location evicts it, and for one NCR at a time.
    """
    caches = ["I", "S", *(f"E{p}" for p in range(len(test.threads)))]
    caches += [f"S{place}" for place in test.lines if len(test.lines) > 1]
    found = [Case(access, state) for access in ("cached", "uncached") for state in caches]
    if not test.lines:  # no line, so no cache
        found = found[:1]
    return [*found, Case("evicting", "I")] if len(test.locations) > 1 else found


Link = tuple[int, list[dict[int, Taken]], Callable[[int, int], Taken]]


class _Links(dict[int, Link]):
    """By the number of a message, where it goes: what a part has of use for that."""

    def __init__(self, parts: list[Part], agents: Agents) -> None:
        super().__init__()
        self._parts = parts
        self._target = agents.target

    def __missing__(self, number: int) -> Link:
        part = self._parts[self._target[number]]
        self[number] = part.shift, part.takes, part.take
        return self[number]


class System:
    """A test with one kind of access on agents. Raises Fault when an agent does what no conforming one does.

    `reduce`: what only completes something arrives at once, which loses no outcome.
    """

    def __init__(
        self, test: LitmusTest, access: str, agents: Agents, *, in_order: bool = False, reduce: bool = True
    ) -> None:
        self.test = test
        self.agents = agents
        # A line in a page of its own, and in a set of its own if a cache has several.
        self._address = {place: index * (PAGE_BYTES + LINE_BYTES) for index, place in enumerate(test.lines)}
        used = {each.location for thread in test.threads for each in thread if each.kind == "intr"}
        self._vector = {place: vector for vector, place in enumerate(sorted(used))}
        self._address |= {
            place: MMIO + p * PAGE_BYTES + index * GRANULE_BYTES
            for index, (place, p) in enumerate(sorted(test.registers.items()))
            if place not in used
        }
        programs: list[Program | Taking | None] = [None] * len(agents.homes)
        for thread in test.threads:
            begins = [
                None if each.kind in ("dep", "wait") else Begin(i, self._access(each, access))
                for i, each in enumerate(thread)
            ]
            programs.append(Program(begins, rules(thread, in_order), self._waits(thread)))
        programs += [
            Taking(device, requester.agent.nid)
            for device, requester in zip(agents.devices, agents.requesters, strict=False)
        ]
        self._parts = [Part(agents, at, program, reduce) for at, program in enumerate(programs)]
        self._known = [(part.shift, part.known, part.moves) for part in self._parts]
        self._links = _Links(self._parts, agents)

    def _waits(self, thread: tuple[Instruction, ...]) -> Waits:
        """Return the events that a thread waits for from its device, with the place of the instruction."""
        return {
            (Op.NcWrite, self._address[each.location])
            if each.location in self._address
            else (Op.Intr, self._vector[each.location]): index
            for index, each in enumerate(thread)
            if each.kind == "wait"
        }

    def _access(self, each: Instruction, access: str) -> Access:
        kind = UNCACHED.get(each.kind, each.kind) if access == "uncached" else each.kind
        if kind == "fence":
            return Access(kind, order=each.order)
        data = operand(each) if each.kind in WRITES else b""
        dst = self.agents.devices[each.dst].io.nid if each.ncr else 0
        if kind == "intr":
            datum = INTR_D0.build({"vector": self._vector[each.location], "data": each.value})
            return Access(kind, data=datum, dst=dst, stream=each.stream)
        addr = self._address[each.location]
        if each.ncr:
            return Access(kind, addr, CELL, data, dst=dst, stream=each.stream)
        if kind == "write_full":
            return Access(kind, addr, LINE_BYTES, data.ljust(LINE_BYTES, b"\0"))
        return Access(kind, addr, CELL, data, aop=each.aop)

    # ---- the beginning
    def initial(self, caches: str) -> State:
        """Values in memory, and caches in the states of a case, reached by loads."""
        agents, homes = self.agents, len(self.agents.homes)
        for automaton, place in zip(agents.homes, self.test.lines, strict=True):
            automaton.restore(automaton.initial)
            value = self.test.initial[place].to_bytes(CELL, "little")
            automaton.home.memory.write(self._address[place], value)
        inner = [automaton.present() for automaton in agents.homes]
        inner += [each.initial for each in agents.requesters]
        inner += [self._registers(p) for p in range(len(agents.devices))]
        state = self._idle(inner)
        for p, place in self._loads(caches):
            begin = Begin(SETUP, Access("load", self._address[place], CELL))
            part = self._parts[homes + p]
            step, sent = part.begin(state >> part.shift & MASK, begin)
            state = self._sent(state + step, sent)
            while move := next((each for each in self.events(state) if each.arrival), None):
                state = self.follow(state, move)
        return self._idle([agent for agent, _, _ in self._inner(state)])

    def _registers(self, p: int) -> int:
        """The state of a device with the initial values of the test in its registers."""
        device = self.agents.devices[p]
        device.restore(device.initial)
        for place, node in self.test.registers.items():
            if node == p and place not in self._vector:
                device.io.write_register(self._address[place], self.test.initial[place])
        return device.present()

    def _idle(self, agents: list[int]) -> State:
        """Agents in these states; no thread has begun."""
        return sum(part.number(agent) << part.shift for part, agent in zip(self._parts, agents, strict=True))

    def _inner(self, state: State) -> list[tuple[int, Thread, tuple[int, ...]]]:
        return [part.states[state >> part.shift & MASK] for part in self._parts]

    def _loads(self, caches: str) -> Iterator[tuple[int, str]]:
        """(thread, location) of the loads that put the caches into the states of a case."""
        who, which = caches[0], caches[1:]
        if who == "E":
            return ((int(which), place) for place in self.test.lines)
        places = [place for place in self.test.lines if who == "S" and which in ("", place)]
        return ((p, place) for p in range(len(self.test.threads)) for place in places)

    # ---- events
    def events(self, state: State) -> list[Move]:
        """All that may happen next."""
        return [move for part in self._parts for move in part.moves(state >> part.shift & MASK)]

    def follow(self, state: State, move: Move) -> State:
        """The state after an event."""
        return self._sent(state + move.step, move.sent)

    def _sent(self, state: State, sent: tuple[int, ...]) -> State:
        """Messages have been sent: they wait at their targets, or arrive there."""
        for number in sent:
            shift, takes, take = self._links[number]
            now = state >> shift & MASK
            step, more = takes[now].get(number) or take(now, number)
            state += step
            if more:
                state = self._sent(state, more)
        return state

    def following(self, state: State) -> list[State]:
        """The states after each of the events: the inner loop of a run over all schedules."""
        found = []
        links = self._links
        for shift, known, moves in self._known:
            now = state >> shift & MASK
            for _, _, _, step, sent in known[now] or moves(now):
                after = state + step
                for number in sent:
                    to, takes, take = links[number]
                    there = after >> to & MASK
                    step, more = takes[there].get(number) or take(there, number)
                    after += step
                    if more:
                        after = self._sent(after, more)
                found.append(after)
        return found

    def describe(self, move: Move) -> str:
        """An event in words."""
        if not move.arrival:
            p = move.at - len(self.agents.homes)
            if p >= len(self.test.threads):
                return f"P{p - len(self.test.threads)} takes {'doorbells' if move.what else 'interrupts'}"
            each = self.test.threads[p][move.what]
            return f"P{p} begins {each.kind} {each.location}".rstrip()
        m = self.agents.messages[move.what]
        places = {addr: place for place, addr in self._address.items()}
        place = places.get(m.addr, "") if VC_HEADER[m.vc] == "A" and m.op != Op.Intr else ""
        return f"{Op(m.op).name} {m.src} -> {m.dst} {place}".rstrip()

    # ---- the end
    def outcome(self, state: State) -> Outcome:
        """Registers and final memory of a state without events. Raises Fault when something still waits."""
        registers: dict[str, int] = {}
        inner = self._inner(state)
        homes = len(self.agents.homes)
        threads = [thread for _, thread, _ in inner[homes : homes + len(self.test.threads)]]
        for p, (thread, (_, ended)) in enumerate(zip(self.test.threads, threads, strict=True)):
            values = dict(ended)
            waiting = [i for i, each in enumerate(thread) if each.kind != "dep" and i not in values]
            if waiting:
                raise Fault(f"deadlock: P{p} waits for ever in {thread[waiting[0]].kind}")
            registers |= {
                f"{p}:{each.register}": values[i] for i, each in enumerate(thread) if each.kind in READS
            }
        return outcome(self.test, registers, self._memory([agent for agent, _, _ in inner]))

    def _memory(self, agents: list[int]) -> dict[str, int]:
        memory = {}
        homes = self.agents.homes
        requesters, devices = self.agents.requesters, self.agents.devices
        first = len(homes) + len(requesters)
        for at, place in enumerate(self.test.lines):
            addr = self._address[place]
            data = homes[at].line(agents[at], addr)
            for requester, number in zip(requesters, agents[len(homes) : first], strict=True):
                data = requester.modified(number, addr) or data
            memory[place] = int.from_bytes(data[:CELL], "little")
        for place, p in self.test.registers.items():
            device, number, vector = devices[p], agents[first + p], self._vector.get(place)
            if vector is None:
                memory[place] = device.register(number, self._address[place])
            else:
                memory[place] = device.datum(number, vector)
        return memory
