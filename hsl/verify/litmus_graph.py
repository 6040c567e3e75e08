"""All states of a system that a litmus test runs on, and in how many ways each is reached."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator

from hsl.errors import ConfigError
from hsl.verify.litmus_agents import Fault
from hsl.verify.litmus_part import Move
from hsl.verify.litmus_system import State, System

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
        self._explore(system.following)

    def _explore(self, follow: Callable[[State], list[State]]) -> None:
        states, edges, ends, came = self.states, self._edges, self._ends, self._came
        numbers = {states[0]: 0}
        count = 1
        for number, state in enumerate(states):  # grows on the way
            for after in follow(state):
                following = numbers.setdefault(after, count)
                edges.append(following)
                if following == count:
                    count += 1
                    states.append(after)
                    came.append(number)
            ends.append(len(edges))
            if count > MAX_STATES:
                raise ConfigError(f"{self._system.test.name}: more than {MAX_STATES} states")

    def ends(self) -> Iterator[tuple[int, int]]:
        """Each state that nothing follows, with the number of schedules that lead there."""
        edges, ends = self._edges, self._ends
        before = [0] * len(self.states)
        for following in edges:
            before[following] += 1
        ways = [0] * len(self.states)
        ways[0] = 1
        ready, done = [0], 0
        while ready:
            number = ready.pop()
            done += 1
            many = ways[number]
            after = edges[ends[number] : ends[number + 1]]
            for following in after:
                ways[following] += many
                before[following] -= 1
                if not before[following]:
                    ready.append(following)
            if not after:
                yield number, many
        if done < len(self.states):
            raise Fault("livelock: a state leads to itself")

    def path(self, number: int) -> list[Move]:
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
