"""Litmus tests on the real agents: all interleavings, or some that a seed draws, against clause 5.9."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from traceback import extract_tb

from hsl.errors import ConfigError
from hsl.transport.faults import FaultPlan
from hsl.verify.litmus_agents import Agents, Fault
from hsl.verify.litmus_graph import Graph
from hsl.verify.litmus_links import LinkRuns
from hsl.verify.litmus_model import Outcome, allowed
from hsl.verify.litmus_part import Move
from hsl.verify.litmus_system import Case, State, System, cases
from hsl.verify.litmus_text import MAX_LOCATIONS, LitmusTest

__all__ = ["Explorer", "Result"]

# Tests of more locations have ten times the states: there, completions arrive at once unless told otherwise.
WHOLE_LOCATIONS = 2


@dataclass(slots=True)
class Result:
    """The result of a test. `counts`: schedules per outcome; `faults`: acts that no conforming agent does."""

    test: LitmusTest
    exhaustive: bool
    reduced: bool  # completions arrived at once
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
    """Runs tests; agents of one placement are built once, and what they answered is kept.

    `reduce`: completions arrive the moment they are sent. This loses no outcome of agents that conform, but
    hides the faults of a home that serves a line again before its CmpAck came. None: where a test has more
    than WHOLE_LOCATIONS. `hand_over`: homes give dirty lines by CmpData(M) (HSL 5.6).
    """

    def __init__(self, *, in_order: bool = False, reduce: bool | None = None, hand_over: bool = True) -> None:
        self.in_order = in_order
        self.hand_over = hand_over
        self.reduce = reduce
        self._agents: dict[tuple[tuple[str, ...], int, int, bool], Agents] = {}

    def _systems(self, test: LitmusTest, reduce: bool) -> dict[str, System]:
        """The test with each kind of access."""
        return {
            access: System(test, access, self._on(test, sets), in_order=self.in_order, reduce=reduce)
            for access, sets in (("cached", MAX_LOCATIONS), ("evicting", 1), ("uncached", MAX_LOCATIONS))
        }

    def _on(self, test: LitmusTest, sets: int) -> Agents:
        key = (test.placement, len(test.lines), sets, bool(test.registers))
        agents = self._agents.get(key)
        if agents is None:
            agents = self._agents[key] = Agents(*key, hand_over=self.hand_over)
        return agents

    def exhaust(self, test: LitmusTest, chosen: Iterable[Case] | None = None) -> Result:
        """All schedules of a test in its cases. ConfigError when one has more than MAX_STATES states."""
        few = len(test.locations) <= WHOLE_LOCATIONS
        reduce = not few if self.reduce is None else self.reduce
        result = Result(test, True, reduce, allowed(test, self.in_order))
        systems = self._systems(test, reduce)
        for case in cases(test) if chosen is None else chosen:
            result.cases.append(str(case))
            with _Faults(result, case):
                self._exhaust(systems[case.access], case, result)
        return result

    def sample(self, test: LitmusTest, runs: int, seed: int) -> Result:
        """`runs` schedules, drawn from a seed, the cases in turn."""
        result = Result(test, False, False, allowed(test, self.in_order))
        every = cases(test)
        result.cases = [str(case) for case in every]
        rng = Random(f"{test.name} {seed}")
        systems = self._systems(test, reduce=False)
        starts: dict[Case, State] = {}
        for run in range(runs):
            case = every[run % len(every)]
            with _Faults(result, case):
                system = systems[case.access]
                if case not in starts:
                    starts[case] = system.initial(case.caches)
                self._walk(system, starts[case], rng, result)
        return result

    def over_links(self, test: LitmusTest, runs: int, seed: int, faults: FaultPlan) -> Result:
        """`runs` schedules over real links with faults, as a seed draws them, the cases in turn."""
        result = Result(test, False, False, allowed(test, self.in_order))
        every = cases(test)
        result.cases = [str(case) for case in every]
        systems = self._systems(test, reduce=False)
        links: dict[str, LinkRuns] = {}
        for run in range(runs):
            case = every[run % len(every)]
            system = systems[case.access]
            with _Faults(result, case):
                if case.access not in links:
                    links[case.access] = LinkRuns(system.agents, faults, f"{test.name} {case.access} {seed}")
                state, path = links[case.access].run(system, system.initial(case.caches))
                result.states += len(path)
                self._end(system, state, 1, partial(list, path), result)
            if result.faults:  # the links are as the fault has left them
                break
        return result

    def _walk(self, system: System, state: State, rng: Random, result: Result) -> None:
        path: list[Move] = []
        while events := system.events(state):
            path.append(rng.choice(events))
            state = system.follow(state, path[-1])
            result.states += 1
        self._end(system, state, 1, lambda: path, result)

    def _end(
        self, system: System, state: State, ways: int, path: Callable[[], list[Move]], result: Result
    ) -> None:
        found = system.outcome(state)
        result.counts[found] += ways
        result.schedules += ways
        if found not in result.allowed and not result.witness:
            result.witness = [system.describe(event) for event in path()]

    def _exhaust(self, system: System, case: Case, result: Result) -> None:
        graph = Graph(system, system.initial(case.caches))
        result.states += len(graph.states)
        for number, ways in graph.ends():
            self._end(system, graph.states[number], ways, partial(graph.path, number), result)


class _Faults:
    """Turns an exception of an agent into a fault of the result; conforming agents raise none."""

    def __init__(self, result: Result, case: Case) -> None:
        self._result = result
        self._case = case

    def __enter__(self) -> None:
        """Nothing to set up."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        """Let ConfigError, KeyboardInterrupt and SystemExit pass."""
        if not isinstance(error, Exception) or isinstance(error, ConfigError):
            return False
        frame = extract_tb(error.__traceback__)[-1]
        where = "" if isinstance(error, Fault) else f"{type(error).__name__} in {frame.name}: "
        self._result.faults.append(f"{self._case}: {where}{error}")
        return True
