"""Litmus tests on the real agents: all interleavings, or some that a seed draws, against clause 5.9."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from random import Random
from traceback import extract_tb

from hsl.errors import ConfigError
from hsl.verify.litmus_model import Outcome, allowed
from hsl.verify.litmus_system import Agents, Case, Fault, State, System, cases
from hsl.verify.litmus_text import LitmusTest

__all__ = ["MAX_STATES", "Explorer", "Result"]

MAX_STATES = 4_000_000  # of one case: some 2 GB


@dataclass(slots=True)
class Result:
    """What a test did. `counts`: schedules per outcome; `faults`: what no conforming agent does."""

    test: LitmusTest
    exhaustive: bool
    allowed: set[Outcome]
    counts: Counter[Outcome] = field(default_factory=Counter)
    states: int = 0
    schedules: int = 0
    cases: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    witness: list[str] = field(default_factory=list)  # the events that led to the first forbidden outcome

    @property
    def forbidden(self) -> set[Outcome]:
        """Outcomes that were seen and that 5.9 does not allow."""
        return set(self.counts) - self.allowed

    @property
    def missed(self) -> set[Outcome]:
        """Outcomes that 5.9 allows and that no schedule had; none where not all schedules were explored."""
        return self.allowed - set(self.counts) if self.exhaustive else set()

    @property
    def ok(self) -> bool:
        """Nothing forbidden, and everything that is allowed."""
        return not (self.forbidden or self.missed or self.faults)


class Explorer:
    """Runs tests; agents of one placement are built once, and what they answered is kept."""

    def __init__(self, *, in_order: bool = False, reduce: bool = True) -> None:
        self.in_order = in_order
        self.reduce = reduce
        self._agents: dict[tuple[tuple[str, ...], int], Agents] = {}

    def _system(self, test: LitmusTest, case: Case) -> System:
        key = (test.placement, len(test.locations))
        agents = self._agents.get(key)
        if agents is None:
            agents = self._agents[key] = Agents(*key)
        return System(test, case, agents, self.in_order)

    def exhaust(self, test: LitmusTest, chosen: Iterable[Case] | None = None) -> Result:
        """All schedules of a test in its cases. ConfigError when one has more than MAX_STATES states."""
        result = Result(test, True, allowed(test, self.in_order))
        for case in cases(test) if chosen is None else chosen:
            result.cases.append(str(case))
            with _Faults(result, case):
                self._exhaust(self._system(test, case), result)
        return result

    def sample(self, test: LitmusTest, runs: int, seed: int) -> Result:
        """`runs` schedules, drawn from a seed, the cases in turn."""
        result = Result(test, False, allowed(test, self.in_order))
        result.cases = [str(case) for case in cases(test)]
        rng = Random(f"{test.name} {seed}")
        systems: dict[Case, System] = {}
        for run in range(runs):
            case = cases(test)[run % len(result.cases)]
            with _Faults(result, case):
                if case not in systems:
                    systems[case] = self._system(test, case)
                self._walk(systems[case], rng, result)
        return result

    def _walk(self, system: System, rng: Random, result: Result) -> None:
        state, path = system.initial, []
        while events := system.events(state):
            path.append(rng.choice(events))
            state = system.follow(state, path[-1], reduce=False)
            result.states += 1
        self._end(system, state, 1, iter(path), result)

    def _end(
        self, system: System, state: State, ways: int, path: Iterator[tuple[int, int]], result: Result
    ) -> None:
        found = system.outcome(state)
        result.counts[found] += ways
        result.schedules += ways
        if found not in result.allowed and not result.witness:
            result.witness = [system.describe(event) for event in path]

    def _exhaust(self, system: System, result: Result) -> None:
        graph = Graph(system, self.reduce)
        result.states += len(graph.states)
        ways = [0] * len(graph.states)
        ways[0] = 1
        for number in reversed(graph.finished):
            for following in graph.edges[number]:
                ways[following] += ways[number]
            if not graph.edges[number]:
                state = graph.states[number]
                self._end(system, state, ways[number], graph.path(number), result)


class Graph:
    """All states of a system, by number, found depth first: `finished` is a reversed topological order."""

    def __init__(self, system: System, reduce: bool) -> None:
        self.system = system
        self.states: list[State] = []
        self.edges: list[list[int]] = []
        self.finished: list[int] = []
        self._reduce = reduce
        self._numbers: dict[State, int] = {}
        self._came: list[tuple[int, tuple[int, int]]] = []  # (state before, event) when it was found
        self._explore()

    def _explore(self) -> None:
        system = self.system
        self._add(system.initial, (0, (0, 0)))
        stack = [(0, iter(system.events(system.initial)))]
        under_way = {0}
        while stack:
            number, events = stack[-1]
            event = next(events, None)
            if event is None:
                stack.pop()
                under_way.discard(number)
                self.finished.append(number)
                continue
            state = system.follow(self.states[number], event, self._reduce)
            following = self._numbers.get(state)
            if following is None:
                following = self._add(state, (number, event))
                under_way.add(following)
                stack.append((following, iter(system.events(state))))
            elif following in under_way:
                raise Fault("livelock: a state leads to itself")
            self.edges[number].append(following)

    def _add(self, state: State, came: tuple[int, tuple[int, int]]) -> int:
        number = len(self.states)
        if number >= MAX_STATES:
            raise ConfigError(f"{self.system.test.name}: more than {MAX_STATES} states")
        self._numbers[state] = number
        self.states.append(state)
        self.edges.append([])
        self._came.append(came)
        return number

    def path(self, number: int) -> Iterator[tuple[int, int]]:
        """The events that led to a state when it was found."""
        path = []
        while number:
            number, event = self._came[number]
            path.append(event)
        return reversed(path)


class _Faults:
    """Turns whatever an agent raises into a fault of the result: among conforming agents nothing does."""

    def __init__(self, result: Result, case: Case) -> None:
        self._result = result
        self._case = case

    def __enter__(self) -> None:
        """Nothing to set up."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        """Keep ConfigError and what is no Exception going."""
        if not isinstance(error, Exception) or isinstance(error, ConfigError):
            return False
        frame = extract_tb(error.__traceback__)[-1]
        where = "" if isinstance(error, Fault) else f"{type(error).__name__} in {frame.name}: "
        self._result.faults.append(f"{self._case}: {where}{error}")
        return True
