"""One part of the system a litmus test runs on: a home, a request agent with its thread, or a device.

A part's state is that of its agent, what its thread has begun and ended, and the messages on their way to it.
These keep no order (HSL 3.6 O2, O3), but for NCR of one stream between two nodes, which come in the order in
which they were sent (O4). A state is known by its number. What may happen in a state, and what an arrival
does to it, is worked out once: a run over all interleavings then only looks up. The state of a system is one
integer that holds those of its parts side by side, so that a step is the difference it makes to that integer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from hsl._generated.constants import Vc
from hsl.codec.message import Message
from hsl.errors import ConfigError
from hsl.verify.automaton import Begin, DeviceAutomaton, Given, Take
from hsl.verify.litmus_agents import Agents, Answer, Stream
from hsl.verify.litmus_model import Rule

__all__ = ["IDLE", "MASK", "WIDTH", "Move", "Part", "Program", "Taken", "Taking", "Thread", "Waits"]

WIDTH = 20  # bits of a part's state: a hundred times what the largest test needs
MASK = (1 << WIDTH) - 1

# What only completes something. Each is taken the moment it is sent: nothing that may happen before it comes
# can change what it does, nor be changed by it. A line is busy from a request to its end, so at the home it
# meets only requests that wait, whatever it does; at the cache no snoop of that line is under way.
EAGER = frozenset({Vc.RSP, Vc.DAT})

Waits = dict[tuple[int, int], int]
Thread = tuple[int, tuple[tuple[int, int], ...]]  # bits of what has begun; (index, value) of what has ended
IDLE: Thread = (0, ())
Taken = tuple[int, tuple[int, ...]]  # the difference to the state of the system, messages sent


class Move(NamedTuple):
    """Return the next steps: an access begins, a program takes what its device has, or a message arrives."""

    at: int  # the part
    what: int  # of the access in its thread, or of what is taken, or the number of the message
    arrival: bool
    step: int  # the difference to the state of the system
    sent: tuple[int, ...]


class Program:
    """A thread for one agent: its accesses, and the conditions for the issue of each.

    `waits`: OP and address of what a device tells its program, with the instruction that waits for it.
    """

    def __init__(self, begins: list[Begin | None], rules: list[Rule], waits: Waits) -> None:
        self._begins = begins
        self._rules = rules
        self._waits = waits

    def told(self, message: Message) -> tuple[tuple[int, bytes], ...]:
        """Return the instruction that a device's message ends, and its datum."""
        index = self._waits.get((message.op, message.addr))
        return () if index is None else ((index, message.data),)

    def ready(self, agent: int, thread: Thread) -> Iterator[tuple[int, Given]]:
        """The accesses that may begin."""
        begun, ended = thread
        done = {index for index, _ in ended}
        for index, (begin, rule) in enumerate(zip(self._begins, self._rules, strict=True)):
            waits = begin is not None and not begun >> index & 1 and rule.completed <= done
            if begin is not None and waits and all(begun >> each & 1 for each in rule.issued):
                yield index, begin


class Taking:
    """The step of a device's program: take the messages that arrived, as `nid`."""

    def __init__(self, device: DeviceAutomaton, nid: int) -> None:
        self._device = device
        self._nid = nid

    def told(self, message: Message) -> tuple[tuple[int, bytes], ...] | None:
        """Return None: the message is for the device."""
        return None

    def ready(self, agent: int, thread: Thread) -> Iterator[tuple[int, Given]]:
        """Return the messages that may be taken."""
        return ((int(bells), Take(bells, self._nid)) for bells in self._device.news(agent))


class Part:
    """The states of one part by number. `eager`: completions do not wait, they arrive when they are sent."""

    def __init__(self, agents: Agents, at: int, program: Program | Taking | None, eager: bool) -> None:
        self.states: list[tuple[int, Thread, tuple[int, ...]]] = []  # agent, thread, messages on their way
        self.takes: list[dict[int, Taken]] = []  # by state: what was taken in it already
        self.known: list[list[Move] | None] = []  # by state: its moves, once they were asked for
        self.shift = at * WIDTH  # where the state of the system has that of this part
        self._agents = agents
        self._at = at
        self._program = program
        self._eager = EAGER if eager else frozenset()
        self._numbers: dict[tuple[int, Thread, tuple[int, ...]], int] = {}

    def number(self, agent: int, thread: Thread = IDLE, waiting: tuple[int, ...] = ()) -> int:
        """The number of a state."""
        state = (agent, thread, waiting)
        found = self._numbers.setdefault(state, len(self.states))
        if found == len(self.states):
            if found > MASK:
                raise ConfigError(f"more than {MASK + 1} states of one agent")
            self.states.append(state)
            self.takes.append({})
            self.known.append(None)
        return found

    def take(self, state: int, message: int) -> Taken:
        """A message is sent to this part: it waits, or arrives at once. Remembered in `takes`."""
        agent, thread, waiting = self.states[state]
        found: Taken
        if self._agents.messages[message].vc in self._eager:
            found = self._answered(state, thread, waiting, message)
        else:
            found = self._step(state, self.number(agent, thread, self._queued(waiting, message))), ()
        self.takes[state][message] = found
        return found

    def _queued(self, waiting: tuple[int, ...], message: int) -> tuple[int, ...]:
        """With one message more. Those of a stream stay in order; of all others the order means nothing."""
        streams = self._agents.stream
        return tuple(sorted((*waiting, message), key=lambda each: streams[each] or (each,)))

    def moves(self, state: int) -> list[Move]:
        """All that may happen in a state. Raises Fault when an agent errs in one of them."""
        found = self.known[state]
        if found is None:
            found = self.known[state] = [*self._arrivals(state), *self._beginnings(state)]
        return found

    def _arrivals(self, state: int) -> Iterator[Move]:
        _, thread, waiting = self.states[state]
        streams = set[Stream]()
        for message in dict.fromkeys(waiting):
            stream = self._agents.stream[message]
            if stream in streams:
                continue
            if stream is not None:
                streams.add(stream)
            at = waiting.index(message)
            left = waiting[:at] + waiting[at + 1 :]
            yield Move(self._at, message, True, *self._answered(state, thread, left, message))

    def _beginnings(self, state: int) -> Iterator[Move]:
        agent, thread, waiting = self.states[state]
        for index, begin in self._program.ready(agent, thread) if self._program else ():
            begun = (thread[0] | 1 << index, thread[1]) if isinstance(begin, Begin) else thread
            yield Move(self._at, index, False, *self._answered(state, begun, waiting, begin))

    def begin(self, state: int, begin: Begin) -> Taken:
        """Return the answer to an access before the test, which no instruction of the thread makes."""
        _, thread, waiting = self.states[state]
        return self._answered(state, thread, waiting, begin)

    def _answered(self, state: int, thread: Thread, waiting: tuple[int, ...], given: int | Given) -> Taken:
        after, sent, ended = self._given(self.states[state][0], given)
        if ended:
            now = {index: int.from_bytes(data, "little") for index, data in ended}
            thread = (thread[0], tuple(sorted({**dict(thread[1]), **now}.items())))
        return self._step(state, self.number(after, thread, waiting)), sent

    def _given(self, agent: int, given: int | Given) -> Answer:
        """Return the agent's answer; a report of a device is given to the thread alone."""
        if isinstance(given, int) and self._agents.stream[given] is not None and self._program is not None:
            told = self._program.told(self._agents.messages[given])
            if told is not None:
                return agent, (), told
        return self._agents.answer(self._at, agent, given)

    def _step(self, before: int, after: int) -> int:
        return (after - before) << self.shift
