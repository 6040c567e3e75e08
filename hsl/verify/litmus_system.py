"""The system a litmus test runs on: request agents, homes, and the messages between them, as one value.

Each location has a home of its own: different lines are independent (HSL 5.4 T5).
A state is a tuple: the state of each home, agent and thread, by number, and the messages in flight. Its
events are: a thread begins an access, or a message arrives; messages keep no order (HSL 3.6 O3).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from hsl._generated.constants import LINE_BYTES, Op, Vc
from hsl.agents.access import Access
from hsl.agents.address_map import PAGE_BYTES, AddressMap, SamEntry
from hsl.agents.home import HomeAgent, HomeConfig
from hsl.agents.memory import Memory
from hsl.agents.request import RequestAgent, RequestConfig
from hsl.codec.message import Message
from hsl.verify.automaton import Automaton, Begin, HomeAutomaton, RequestAutomaton
from hsl.verify.litmus_model import CELL, Outcome, Rule, outcome, rules
from hsl.verify.litmus_text import MAX_LOCATIONS, READS, Instruction, LitmusTest

__all__ = ["Agents", "Case", "Fault", "State", "System", "cases"]

# NIDs: the homes, caches of the CPU, nodes behind ports of their own.
FIRST_HOME, FIRST = 0, {"cpu": MAX_LOCATIONS, "gpu": 16}
NEVER = 1 << 62  # ns: no timer of the transaction layer may help a run along
SETUP = 1 << 20  # the index of accesses before the test, above those of any thread
# The accesses of a test with caches, and those that allocate nothing.
UNCACHED = {"load": "read_once", "store": "write_full"}
# What only completes something. Each is taken the moment it is sent: nothing that may happen before it comes
# can change what it does, nor be changed by it. A line is busy from a request to its end, so at the home it
# meets only requests that wait, whatever it does; at the cache no snoop of that line is under way.
EAGER = frozenset({Vc.RSP, Vc.DAT})

State = tuple[int | tuple[int, ...], ...]


class Fault(Exception):
    """An agent has done what no conforming one does."""


class Case(NamedTuple):
    """How a test is run: accesses "cached" or "uncached"; the state of the caches before.

    That is I, S in all, E in that of a thread ("E0"), or S in all of one location only ("Sx").
    """

    access: str
    caches: str

    def __str__(self) -> str:
        """As reports name it."""
        return f"{self.access}, {self.caches}"


def cases(test: LitmusTest) -> list[Case]:
    """All cases of 5.9: both kinds of access, initial states {I, all S, E at each thread}.

    And one location in S while others are in I: only so is a copy seen that should have gone.
    """
    caches = ["I", "S", *(f"E{p}" for p in range(len(test.threads)))]
    caches += [f"S{place}" for place in test.locations if len(test.locations) > 1]
    return [Case(access, state) for access in ("cached", "uncached") for state in caches]


class Agents:
    """Agents for all tests of one placement and number of locations, which share their states and steps."""

    def __init__(self, placement: Sequence[str], locations: int) -> None:
        ranges = [
            SamEntry(at, at + PAGE_BYTES - 1, home=FIRST_HOME + index)
            for index, at in enumerate(range(0, locations * PAGE_BYTES, PAGE_BYTES))
        ]
        timers = dict.fromkeys(("T_SNP", "T_CACK"), NEVER)
        self.homes = [
            HomeAutomaton(
                HomeAgent(
                    HomeConfig(nid=entry.home, address_map=AddressMap(ranges), timers=timers),
                    Memory(entry.base, PAGE_BYTES),
                )
            )
            for entry in ranges
        ]
        nids = [FIRST[place] + p for p, place in enumerate(placement)]
        self.requesters = [
            RequestAutomaton(
                RequestAgent(
                    RequestConfig(
                        nid=nid, address_map=AddressMap(ranges), sets=MAX_LOCATIONS, ways=1, t_req=NEVER
                    )
                )
            )
            for nid in nids
        ]
        self.automata: list[Automaton] = [*self.homes, *self.requesters]
        self.place = {nid: at for at, nid in enumerate([*(entry.home for entry in ranges), *nids])}
        self.messages: list[Message] = []  # by number
        self.eager: list[bool] = []
        self.target: list[int] = []
        self._numbers: dict[Message, int] = {}
        self._arrivals: list[
            dict[tuple[int, int], tuple[int, tuple[int, ...], tuple[tuple[int, bytes], ...]]]
        ]
        self._arrivals = [{} for _ in self.automata]

    def number(self, message: Message) -> int:
        """The number of a message; equal ones have the same."""
        found = self._numbers.get(message)
        if found is None:
            found = self._numbers[message] = len(self.messages)
            self.messages.append(message)
            self.eager.append(message.vc in EAGER)
            self.target.append(self.place[message.dst])
        return found

    def begin(
        self, at: int, state: int, given: Begin
    ) -> tuple[int, tuple[int, ...], tuple[tuple[int, bytes], ...]]:
        """An agent takes an access: its state after that, messages sent, accesses ended."""
        return self._step(at, state, given)

    def arrive(self, state: int, number: int) -> tuple[int, tuple[int, ...], tuple[tuple[int, bytes], ...]]:
        """A message arrives at its target, which is in `state`."""
        at = self.target[number]
        known = self._arrivals[at]
        found = known.get((state, number))
        if found is None:
            found = known[state, number] = self._step(at, state, self.messages[number])
        return found

    def _step(
        self, at: int, state: int, given: Message | Begin
    ) -> tuple[int, tuple[int, ...], tuple[tuple[int, bytes], ...]]:
        step = self.automata[at].step(state, given)
        if step.errors:
            raise Fault(step.errors[0])
        return step.state, tuple(map(self.number, step.sent)), step.ended


Thread = tuple[int, tuple[tuple[int, int], ...]]  # bits of what has begun; (index, value) of what has ended


class System:
    """A test in one case on agents. Raises Fault when an agent does what no conforming one does."""

    def __init__(self, test: LitmusTest, case: Case, agents: Agents, in_order: bool = False) -> None:
        self.test = test
        self.agents = agents
        # A line in a page of its own, and in a set of its own: caches do not couple lines that no one evicts.
        self._address = {
            place: index * (PAGE_BYTES + LINE_BYTES) for index, place in enumerate(test.locations)
        }
        self._rules = [rules(thread, in_order) for thread in test.threads]
        self._begins = [
            [
                None if each.kind == "dep" else Begin(i, self._access(each, case))
                for i, each in enumerate(thread)
            ]
            for thread in test.threads
        ]
        self._threads: list[Thread] = []
        self._thread_numbers: dict[Thread, int] = {}
        self._ready: dict[tuple[int, int], tuple[int, ...]] = {}
        self._count = len(test.threads)
        self._homes = len(
            test.locations
        )  # the first thread's agent comes after these, its thread after all agents
        self._first = self._homes + self._count
        self.initial = self._prepare(case)

    def _access(self, each: Instruction, case: Case) -> Access:
        kind = UNCACHED.get(each.kind, each.kind) if case.access == "uncached" else each.kind
        if kind == "fence":
            return Access(kind)
        data = each.value.to_bytes(CELL, "little") if each.kind not in ("load", "read_once") else b""
        if kind == "write_full":
            return Access(kind, self._address[each.location], LINE_BYTES, data.ljust(LINE_BYTES, b"\0"))
        return Access(kind, self._address[each.location], CELL, data, aop=each.aop)

    def _prepare(self, case: Case) -> State:
        """Values in memory, and caches in the states of the case, reached by loads."""
        agents = self.agents
        for automaton, place in zip(agents.homes, self.test.locations, strict=True):
            automaton.restore(automaton.initial)
            value = self.test.initial[place].to_bytes(CELL, "little")
            automaton.home.memory.write(self._address[place], value)
        homes = [automaton.present() for automaton in agents.homes]
        idle = self._thread((0, ()))
        state: State = (*homes, *(each.initial for each in agents.requesters), *[idle] * self._count, ())
        for p, place in self._loads(case):
            begin = Begin(SETUP, Access("load", self._address[place], CELL))
            at = self._homes + p
            state = self._apply(state, at, agents.begin(at, self._of(state, at), begin))
            while flight := self._flight(state):
                state = self._arrive(state, flight[0])
        return (*state[: self._first], *[idle] * self._count, ())

    def _loads(self, case: Case) -> Iterator[tuple[int, str]]:
        """(thread, location) of the loads that put the caches into the states of a case."""
        who, which = case.caches[0], case.caches[1:]
        if who == "E":
            return ((int(which), place) for place in self.test.locations)
        places = [place for place in self.test.locations if who == "S" and which in ("", place)]
        return ((p, place) for p in range(self._count) for place in places)

    # ---- parts of a state
    @staticmethod
    def _of(state: State, at: int) -> int:
        number = state[at]
        assert isinstance(number, int)
        return number

    @staticmethod
    def _flight(state: State) -> tuple[int, ...]:
        flight = state[-1]
        assert isinstance(flight, tuple)
        return flight

    def _thread(self, thread: Thread) -> int:
        number = self._thread_numbers.setdefault(thread, len(self._threads))
        if number == len(self._threads):
            self._threads.append(thread)
        return number

    # ---- events
    def successors(self, state: State, reduce: bool = True) -> Iterator[State]:
        """The states that one event leads to; `reduce`: what only completes something arrives at once."""
        for event in self.events(state):
            yield self.follow(state, event, reduce)

    def events(self, state: State) -> list[tuple[int, int]]:
        """(thread, index) of accesses that may begin, (-1, message) of messages in flight."""
        found = [(-1, number) for number in dict.fromkeys(self._flight(state))]
        for p in range(self._count):
            number = self._of(state, self._first + p)
            ready = self._ready.get((p, number))
            if ready is None:
                ready = self._ready[p, number] = tuple(self._issuable(p, *self._threads[number]))
            found += [(p, index) for index in ready]
        return found

    def _issuable(self, p: int, begun: int, ended: tuple[tuple[int, int], ...]) -> Iterator[int]:
        done = {index for index, _ in ended}
        for index, begin in enumerate(self._begins[p]):
            rule: Rule = self._rules[p][index]
            waits = begin is None or begun >> index & 1
            if not waits and rule.completed <= done and all(begun >> each & 1 for each in rule.issued):
                yield index

    def follow(self, state: State, event: tuple[int, int], reduce: bool = True) -> State:
        """The state after an event."""
        p, what = event
        if p < 0:
            state = self._arrive(state, what)
        else:
            begin = self._begins[p][what]
            assert begin is not None
            at = self._first + p
            begun, ended = self._threads[self._of(state, at)]
            state = (*state[:at], self._thread((begun | 1 << what, ended)), *state[at + 1 :])
            at = self._homes + p
            state = self._apply(state, at, self.agents.begin(at, self._of(state, at), begin))
        eager = self.agents.eager
        while reduce:
            number = next((each for each in self._flight(state) if eager[each]), None)
            if number is None:
                break
            state = self._arrive(state, number)
        return state

    def _arrive(self, state: State, number: int) -> State:
        flight = list(self._flight(state))
        flight.remove(number)
        at = self.agents.target[number]
        step = self.agents.arrive(self._of(state, at), number)
        return self._apply((*state[:-1], tuple(flight)), at, step)

    def _apply(
        self, state: State, at: int, step: tuple[int, tuple[int, ...], tuple[tuple[int, bytes], ...]]
    ) -> State:
        after, sent, ended = step
        parts = list(state)
        parts[at] = after
        if sent:
            parts[-1] = tuple(sorted((*self._flight(state), *sent)))
        if ended:
            thread = at + self._count
            begun, had = self._threads[self._of(state, thread)]
            now = {index: int.from_bytes(data, "little") for index, data in ended}
            parts[thread] = self._thread((begun, tuple(sorted({**dict(had), **now}.items()))))
        return tuple(parts)

    def describe(self, event: tuple[int, int]) -> str:
        """An event in words."""
        p, what = event
        if p >= 0:
            each = self.test.threads[p][what]
            return f"P{p} begins {each.kind} {each.location}".rstrip()
        m = self.agents.messages[what]
        places = {addr: place for place, addr in self._address.items()}
        return (
            f"{Op(m.op).name} {m.src} -> {m.dst} {places.get(m.addr, '') if m.vc != Vc.RSP else ''}".rstrip()
        )

    # ---- the end
    def outcome(self, state: State) -> Outcome:
        """Registers and final memory of a state without events. Raises Fault when something still waits."""
        registers: dict[str, int] = {}
        for p, thread in enumerate(self.test.threads):
            values = dict(self._threads[self._of(state, self._first + p)][1])
            waiting = [i for i, each in enumerate(thread) if each.kind != "dep" and i not in values]
            if waiting:
                raise Fault(f"deadlock: P{p} waits for ever in {thread[waiting[0]].kind}")
            registers |= {
                f"{p}:{each.register}": values[i] for i, each in enumerate(thread) if each.kind in READS
            }
        return outcome(self.test, registers, self._memory(state))

    def _memory(self, state: State) -> dict[str, int]:
        memory = {}
        for at, (place, addr) in enumerate(self._address.items()):
            data = self.agents.homes[at].line(self._of(state, at), addr)
            for p, requester in enumerate(self.agents.requesters):
                data = requester.modified(self._of(state, self._homes + p), addr) or data
            memory[place] = int.from_bytes(data[:CELL], "little")
        return memory
