"""The random tester: a seeded program on agents or on the whole stack, judged at every step (HSL 5.9)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from random import Random
from traceback import extract_tb

from hsl.agents.invariants import InvariantError
from hsl.engine.select import engines
from hsl.transport.faults import FaultPlan
from hsl.verify.issuer import AHEAD, Issuer
from hsl.verify.layout import Layout
from hsl.verify.network import Network
from hsl.verify.operation import Operation
from hsl.verify.parties import Parties
from hsl.verify.shrink import BUDGET, shrink
from hsl.verify.stack import Stack
from hsl.verify.stress_config import StressConfig
from hsl.verify.verdict import LinkLost, Stopped, Verdict
from hsl.verify.workload import Workload

__all__ = ["beginning", "minimize", "program", "run"]

CACHE_COUNTERS = ("hits", "misses", "snoops", "writebacks", "handed")
LINK_COUNTERS = ("replays", "recoveries", "crc_errors")

Progress = Callable[[Issuer], None]


def program(config: StressConfig) -> Iterator[Operation]:
    """The `ops` operations of a configuration."""
    rng = Random(f"workload {config.seed}")
    judged = config.via == "messages"
    return islice(Workload(rng, Layout(config), judged), config.ops)


def run(
    config: StressConfig,
    operations: Iterable[Operation] | None = None,
    *,
    engine: str | None = None,
    trace: bool = False,
    progress: Progress = lambda issuer: None,
) -> Verdict:
    """Run a program (that of the seed, unless `operations` are given) and judge it.

    `progress` is called now and then, and may raise Stopped. The same configuration and operations give the
    same verdict, always. ConfigError for an `engine` that the layers have not, LinkLost when the faults end a
    link: then nothing is known.
    """
    codec = engines(engine)["codec"]
    chosen = program(config) if operations is None else operations
    return _RUNS[config.via](config, chosen, codec, trace, progress)


def _via_messages(
    config: StressConfig, operations: Iterable[Operation], codec: str, trace: bool, progress: Progress
) -> Verdict:
    network = Network(Parties(config), config.seed, trace=trace, progress=progress)
    issuer = Issuer(operations, network.judges.writers.taken)
    verdict = judged(network, issuer)
    messages = network.traces.get(verdict.line, ()) if verdict.line is not None else ()
    return replace(verdict, trace=tuple(map(str, messages)))


def _via_links(
    config: StressConfig, operations: Iterable[Operation], codec: str, trace: bool, progress: Progress
) -> Verdict:
    faults = FaultPlan.parse(config.faults)
    stack = Stack(Parties(config), config.seed, faults, codec=codec, trace=trace, progress=progress)
    issuer = Issuer(operations, stack.judges.writers.taken)
    verdict = judged(stack, issuer)
    links = [link.counters for device in stack.devices for port in device.node.ports for link in port.links]
    counted = {name: sum(getattr(link, name) for link in links) for name in LINK_COUNTERS}
    flits = stack.flits.lines if stack.flits is not None and verdict.violation else ()
    return replace(verdict, trace=tuple(flits), details=verdict.details | counted)


def judged(system: Network | Stack, issuer: Issuer) -> Verdict:
    """Run it to its verdict. An agent that raises has violated something too: it must not."""
    violation, line = "", None
    try:
        system.run(issuer)
    except InvariantError as error:
        violation, line = str(error), error.line
    except (Stopped, LinkLost):
        raise
    except Exception as error:
        frame = extract_tb(error.__traceback__)[-1]
        violation = (
            f"{type(error).__name__} in {frame.name} ({Path(frame.filename).name}:{frame.lineno}): {error}"
        )
    agents = system.agents.values()
    details = {name: sum(getattr(agent.counters, name) for agent in agents) for name in CACHE_COUNTERS}
    if system.parties.small:
        details["victims"] = sum(home.counters["victims"] for home in system.homes.values())
    if system.parties.layout.moving:
        details["retries"] = sum(agent.counters.retries for agent in agents)
    details |= {kind: system.judges.counts[kind] for kind in system.parties.config.having}
    return Verdict(
        violation=violation,
        line=system.failed_line if violation and line is None else line,
        begun=issuer.begun,
        ended=issuer.finished,
        messages=system.messages,
        time=system.now,
        details=details,
    )


def minimize(
    config: StressConfig,
    verdict: Verdict,
    budget: int = BUDGET,
    engine: str | None = None,
    operations: Iterable[Operation] | None = None,
) -> tuple[StressConfig, list[Operation]]:
    """The fewest operations that still fail, and the configuration that they fail with.

    Only the program shrinks: the verdict must be a violation that `config` runs into by itself, or with the
    `operations` that were given to `run`.
    """

    def fails(operations: list[Operation]) -> bool:
        try:
            return bool(run(config, operations, engine=engine).violation)
        except LinkLost:  # other flits are hit
            return False

    least, begun = beginning(config, verdict, operations)
    kept = shrink(begun, fails, line=verdict.line, budget=budget)
    return replace(least, ops=len(kept)), kept


def beginning(
    config: StressConfig, verdict: Verdict, operations: Iterable[Operation] | None = None
) -> tuple[StressConfig, list[Operation]]:
    """The operations that a run had read when its verdict fell, and a configuration of just these."""
    chosen = program(config) if operations is None else operations
    begun = list(islice(chosen, verdict.begun + AHEAD))
    return replace(config, ops=len(begun)), begun


_RUNS = {"messages": _via_messages, "links": _via_links}
