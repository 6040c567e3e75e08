"""All states of a system that a litmus test runs on, and in how many ways each is reached."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from hsl.errors import ConfigError
from hsl.verify.litmus_agents import Fault
from hsl.verify.litmus_system import Event, State, System

__all__ = ["MAX_STATES", "Graph"]

MAX_STATES = 8_000_000  # of one case: some 3 GB


class Graph:
    """The states by number, in order of the number of events that lead there.

    Raises ConfigError for more than MAX_STATES, Fault for a state that leads to itself.
    """

    def __init__(self, system: System, initial: State) -> None:
        self.states: list[State] = [initial]
        self._system = system
        self._edges = array("I")  # the states that follow, those of state 0 first
        self._ends = array("Q", [0])  # where the edges of each state begin, and those of the one before end
        self._came = array("I", [0])  # the state before, when it was found
        self._explore()

    def _explore(self) -> None:
        states, edges, came = self.states, self._edges, self._came
        numbers = {states[0]: 0}
        system, follow, events = self._system, self._system.follow, self._system.events
        for number, state in enumerate(states):  # grows on the way
            for event in events(state):
                after = follow(state, event)
                following = numbers.setdefault(after, len(states))
                if following == len(states):
                    states.append(after)
                    came.append(number)
                edges.append(following)
            self._ends.append(len(edges))
            if len(states) > MAX_STATES:
                raise ConfigError(f"{system.test.name}: more than {MAX_STATES} states")

    def _following(self, number: int) -> array[int]:
        return self._edges[self._ends[number] : self._ends[number + 1]]

    def ends(self) -> Iterator[tuple[int, int]]:
        """Each state that nothing follows, with the number of schedules that lead there."""
        before = array("I", bytes(4 * len(self.states)))
        for following in self._edges:
            before[following] += 1
        ways = [0] * len(self.states)
        ways[0] = 1
        ready, sorted_out = [0], 0
        while ready:
            number = ready.pop()
            sorted_out += 1
            after = self._following(number)
            if not after:
                yield number, ways[number]
            for following in after:
                ways[following] += ways[number]
                before[following] -= 1
                if not before[following]:
                    ready.append(following)
        if sorted_out < len(self.states):
            raise Fault("livelock: a state leads to itself")

    def path(self, number: int) -> list[Event]:
        """The events of a shortest schedule that leads to a state."""
        path = []
        while number:
            after, number = self.states[number], self._came[number]
            before = self.states[number]
            path.append(
                next(
                    each for each in self._system.events(before) if self._system.follow(before, each) == after
                )
            )
        return path[::-1]
