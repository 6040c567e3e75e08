"""An agent as an automaton: the states it was seen in by number, and each step of the real agent done once.

A run over all interleavings meets the same agent in the same state with the same input many times. An agent
has no clock and no randomness, so its answer depends on its state and its input alone and can be looked up.
The first time, the agent is put back into that state and answers itself. Two states count as one if they
differ only in parts that no answer depends on (see hsl.verify.freeze).
"""

from __future__ import annotations

import pickle
from io import BytesIO
from typing import Any, NamedTuple

from hsl._generated.constants import GRANULE_BYTES, Op
from hsl.agents.access import Access
from hsl.agents.home import HomeAgent
from hsl.agents.io import IoAgent
from hsl.agents.request import RequestAgent
from hsl.codec.message import Message
from hsl.verify.freeze import freeze

__all__ = [
    "Automaton",
    "Begin",
    "DeviceAutomaton",
    "Given",
    "HomeAutomaton",
    "RequestAutomaton",
    "Step",
    "Take",
]

# What an agent is built of once, or only adds to: not put back.
CONSTANT = frozenset({
    "counters", "coverage", "config", "_interpreter", "_table", "_sends", "_peers", "_map", "registers",
    "_management", "_services", "_handlers",
})  # fmt: skip


class Begin(NamedTuple):
    """The input of a request agent that is an access: the `order`-th of its program."""

    order: int
    access: Access


class Take(NamedTuple):
    """The input of a device whose program takes the doorbells that arrived, or else the interrupts.

    The device then says so by messages to `program`, the NID of the program's request agent.
    """

    doorbells: bool
    program: int


Given = Message | Begin | Take


class Step(NamedTuple):
    """The answer to an input: the state after it, messages sent, (order, value) of accesses that ended."""

    state: int
    sent: tuple[Message, ...]
    ended: tuple[tuple[int, bytes], ...]
    errors: tuple[str, ...]


class Automaton:
    """The states and steps of one agent. `parts`: the objects that make it up, by name."""

    def __init__(self, parts: dict[str, Any]) -> None:
        self.steps: dict[tuple[int, Given], Step] = {}  # at most the steps of the run
        self._parts = parts
        self._names = {id(part): name for name, part in parts.items()}
        self._numbers: dict[Any, int] = {}
        self._saved: list[bytes] = []
        self._present = -1
        self.initial = self._number()

    def step(self, state: int, given: Given) -> Step:
        """The answer of the agent in `state` to an input."""
        found = self.steps.get((state, given))
        if found is None:
            self.restore(state)
            self._present = -1
            sent, ended, errors = self._give(given)
            found = self.steps[state, given] = Step(self._number(), sent, ended, errors)
        return found

    def restore(self, state: int) -> None:
        """Put the agent into a state it was in."""
        if state == self._present:
            return
        for name, values in _Unpickler(self._saved[state], self._parts).load().items():
            vars(self._parts[name]).update(values)
        self._present = state

    def present(self) -> int:
        """The number of the state that the agent was put into from outside."""
        return self._number()

    def _number(self) -> int:
        """The number of the state that the agent is in, saved if it is new."""
        number = self._numbers.setdefault(freeze(self._parts), len(self._saved))
        if number == len(self._saved):
            self._saved.append(self._save())
            self._present = number
        return number

    def _save(self) -> bytes:
        values = {
            name: {key: value for key, value in vars(part).items() if key not in CONSTANT}
            for name, part in self._parts.items()
        }
        stream = BytesIO()
        _Pickler(stream, self._names).dump(values)
        return stream.getvalue()

    def _give(
        self, given: Given
    ) -> tuple[tuple[Message, ...], tuple[tuple[int, bytes], ...], tuple[str, ...]]:
        raise NotImplementedError


class RequestAutomaton(Automaton):
    """A request agent. Its time is the number of the access begun last, which its tickets so bear."""

    def __init__(self, agent: RequestAgent) -> None:
        self.agent = agent
        self._modified: dict[tuple[int, int], bytes | None] = {}
        super().__init__({"agent": agent})

    def modified(self, state: int, addr: int) -> bytes | None:
        """The line of an address where the agent in `state` holds it in M."""
        if (state, addr) not in self._modified:
            self.restore(state)
            held = self.agent.state_of(addr) == "M"
            self._modified[state, addr] = self.agent.peek(addr) if held else None
        return self._modified[state, addr]

    def _give(
        self, given: Given
    ) -> tuple[tuple[Message, ...], tuple[tuple[int, bytes], ...], tuple[str, ...]]:
        agent, sent, ended = self.agent, [], []
        assert not isinstance(given, Take)
        if isinstance(given, Begin):
            agent.submit(given.access, given.order)
        else:
            agent.receive(given, 0)
        while True:
            ended += [(ticket.issued, ticket.data) for ticket in agent.completions()]
            if not agent.outbox:
                break
            sent += agent.outbox
            agent.outbox.clear()
            agent.tick(0)
        errors = tuple(f"{code.name}: {text}" for code, text, _ in agent.errors)
        agent.errors.clear()
        return tuple(sent), tuple(ended), errors


class HomeAutomaton(Automaton):
    """A home with its memory. Its time grows by one with each message, so that order of arrival counts."""

    def __init__(self, home: HomeAgent) -> None:
        self.home = home
        self._lines: dict[tuple[int, int], bytes] = {}
        do = home._do  # noqa: SLF001 - the state of an agent is all of it
        super().__init__({"home": home, "do": do, "leg": do.leg, "memory": home.memory})

    def line(self, state: int, addr: int) -> bytes:
        """The 64 bytes of memory at `addr` in `state`."""
        if (state, addr) not in self._lines:
            self.restore(state)
            self._lines[state, addr] = self.home.memory.read_line(addr)[0]
        return self._lines[state, addr]

    def _give(
        self, given: Given
    ) -> tuple[tuple[Message, ...], tuple[tuple[int, bytes], ...], tuple[str, ...]]:
        assert isinstance(given, Message)
        home = self.home
        home.receive(given, home._do.now + 1)  # noqa: SLF001
        sent = tuple(home.outbox)
        errors = tuple(f"{code.name}: {text}" for code, text, _ in home.errors)
        for drained in (home.outbox, home.taken, home.errors):
            drained.clear()
        return sent, (), errors


class Raised:
    """The datum of each interrupt that a program has taken, by vector."""

    def __init__(self) -> None:
        self.data: dict[int, int] = {}  # at most one per location of a test


class DeviceAutomaton(Automaton):
    """An I/O agent and the device behind it. `news`: the inputs Take that a state has something for."""

    def __init__(self, io: IoAgent) -> None:
        self.io = io
        self.raised = Raised()
        self._news: dict[int, tuple[bool, ...]] = {}
        super().__init__({"io": io, "mmio": io.mmio, "raised": self.raised})

    def news(self, state: int) -> tuple[bool, ...]:
        """Return the values of Take.doorbells that arrived in `state` and were not taken."""
        if state not in self._news:
            self.restore(state)
            has = (self.io.has_doorbell(), self.io.has_interrupt())
            self._news[state] = tuple(bells for bells, come in zip((True, False), has, strict=True) if come)
        return self._news[state]

    def register(self, state: int, addr: int) -> int:
        """The value of a register in `state`."""
        self.restore(state)
        return int.from_bytes(self.io.peek(addr, GRANULE_BYTES), "little")

    def datum(self, state: int, vector: int) -> int:
        """The datum of an interrupt in `state`, 0 if it was not taken."""
        self.restore(state)
        return self.raised.data.get(vector, 0)

    def _give(
        self, given: Given
    ) -> tuple[tuple[Message, ...], tuple[tuple[int, bytes], ...], tuple[str, ...]]:
        io, told = self.io, list[Message]()
        if isinstance(given, Take):
            told = self._doorbells(given.program) if given.doorbells else self._interrupts(given.program)
        else:
            assert isinstance(given, Message)
            io.receive(given, 0)
        sent = (*io.outbox, *told)
        errors = tuple(f"{code.name}: {text}" for code, text, _ in io.errors)
        for drained in (io.outbox, io.taken, io.errors):
            drained.clear()
        return sent, (), errors

    def _doorbells(self, program: int) -> list[Message]:
        return [
            Message(Op.NcWrite, self.io.nid, program, addr=bell.addr, data=bell.data)
            for bell in self.io.doorbells()
        ]

    def _interrupts(self, program: int) -> list[Message]:
        taken = self.io.interrupts()
        self.raised.data |= {each.vector: each.data for each in taken}
        return [
            Message(
                Op.Intr,
                self.io.nid,
                program,
                addr=each.vector,
                data=each.data.to_bytes(GRANULE_BYTES, "little"),
            )
            for each in taken
        ]


class _Pickler(pickle.Pickler):
    def __init__(self, stream: BytesIO, names: dict[int, str]) -> None:
        super().__init__(stream, pickle.HIGHEST_PROTOCOL)
        self._names = names

    def persistent_id(self, obj: Any) -> str | None:
        return self._names.get(id(obj))


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, parts: dict[str, Any]) -> None:
        super().__init__(BytesIO(data))
        self._parts = parts

    def persistent_load(self, pid: Any) -> Any:
        return self._parts[pid]
