"""The random tester: a seeded program on agents or on the whole stack, judged at every step (HSL 5.9)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from itertools import islice
from pathlib import Path
from random import Random
from traceback import extract_tb
from typing import Any

from hsl._generated.constants import LINE_BYTES
from hsl.agents.address_map import PAGE_BYTES, AddressMap, SamEntry
from hsl.agents.home import HomeAgent, HomeConfig
from hsl.agents.invariants import InvariantError
from hsl.agents.memory import Memory
from hsl.agents.request import RequestAgent, RequestConfig
from hsl.engine.select import engines
from hsl.errors import ConfigError
from hsl.transport.faults import FaultKind, FaultPlan
from hsl.verify.issuer import AHEAD, THREAD_WINDOW, Issuer
from hsl.verify.network import Network
from hsl.verify.operation import Operation
from hsl.verify.shrink import BUDGET, shrink
from hsl.verify.stack import Stack
from hsl.verify.verdict import LinkLost, Stopped, Verdict
from hsl.verify.workload import Workload

__all__ = ["VIA", "Stopped", "StressConfig", "Verdict", "beginning", "minimize", "program", "run"]

VIA = ("messages", "links")
# Name: least and greatest value.
LIMITS = {
    "ops": (1, 1 << 40),
    "cpu": (0, 12),
    "gpu": (0, 8),
    "lines": (1, 4096),
    "threads": (1, 8),
    "sets": (1, 1024),
    "ways": (1, 64),
    "mshrs": (1, 64),
    "tshrs": (1, 64),
    "seed": (0, (1 << 63) - 1),
}
HOME = 0
FIRST_CPU, FIRST_GPU = 2, 16
CACHE_COUNTERS = ("hits", "misses", "snoops", "writebacks")
LINK_COUNTERS = ("replays", "recoveries", "crc_errors")
NEVER = 1 << 62  # ns: without faults no timer of the transaction layer may help a run along


@dataclass(frozen=True, slots=True, kw_only=True)
class StressConfig:
    """`cpu` caches at the home's node, `gpu` nodes of one cache each behind a port of its own.

    Caches of `sets` x `ways` lines and `mshrs` outstanding requests, a home of `tshrs`; each cache runs
    `threads` of the program. `faults` need `via` "links". ConfigError names the limits.
    """

    ops: int = 10_000
    cpu: int = 2
    gpu: int = 2
    lines: int = 16
    seed: int = 0
    via: str = "messages"
    faults: str = "none"
    threads: int = 2
    sets: int = 2
    ways: int = 2
    mshrs: int = 4
    tshrs: int = 4

    def __post_init__(self) -> None:
        for name, (least, most) in LIMITS.items():
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise ConfigError(f"stress: {name} = {value!r}; legal is {least}..{most}")
        if self.via not in VIA:
            raise ConfigError(f"stress: via {self.via!r}; legal are {', '.join(VIA)}")
        if self.cpu + self.gpu < 1:
            raise ConfigError("stress: no cache; cpu + gpu must be at least 1")
        if type(self.faults) is not str:
            raise ConfigError(f"stress: faults = {self.faults!r} is no text")
        plan = FaultPlan.parse(self.faults)
        if plan and self.via != "links":
            raise ConfigError("stress: faults are put on links; say --via links")
        if any(fault.kind is FaultKind.POISON for fault in plan.faults):
            raise ConfigError("stress: poison changes what a program may see; every other fault is legal")
        if self.via == "links" and not self.gpu:
            raise ConfigError("stress: --via links needs at least one gpu")

    @classmethod
    def of(cls, values: dict[str, Any]) -> StressConfig:
        """A configuration from its JSON. Raises ConfigError."""
        if unknown := sorted(values.keys() - {each.name for each in fields(cls)}):
            raise ConfigError(f"stress: no such setting: {', '.join(map(repr, unknown))}")
        return cls(**values)

    def record(self) -> dict[str, Any]:
        """The configuration as JSON."""
        return asdict(self)

    @property
    def agents(self) -> list[int]:
        """The NIDs of all caches."""
        return [*range(FIRST_CPU, FIRST_CPU + self.cpu), *range(FIRST_GPU, FIRST_GPU + self.gpu)]

    @property
    def addresses(self) -> list[int]:
        """The lines that are used."""
        return [index * LINE_BYTES for index in range(self.lines)]

    @property
    def reach(self) -> range:
        """The bytes of these lines."""
        return range(self.lines * LINE_BYTES)

    @property
    def memory_bytes(self) -> int:
        """The memory of the home: whole pages."""
        return -(-self.lines * LINE_BYTES // PAGE_BYTES) * PAGE_BYTES


Progress = Callable[[Issuer], None]


def program(config: StressConfig) -> Iterator[Operation]:
    """The `ops` operations of a configuration."""
    rng = Random(f"workload {config.seed}")
    judged = config.via == "messages"
    return islice(Workload(rng, config.agents, config.addresses, config.threads, judged), config.ops)


def memory(config: StressConfig) -> Memory:
    """The home's memory with random lines."""
    made = Memory(0, config.memory_bytes)
    rng = Random(f"memory {config.seed}")
    for line in config.addresses:
        made.write_line(line, rng.randbytes(LINE_BYTES))
    return made


def address_map(config: StressConfig) -> AddressMap:
    """All memory belongs to the home."""
    return AddressMap([SamEntry(0, config.memory_bytes - 1, home=HOME)])


def request_config(config: StressConfig, nid: int) -> RequestConfig:
    """A cache of the run."""
    return RequestConfig(
        nid=nid,
        address_map=address_map(config),
        sets=config.sets,
        ways=config.ways,
        mshrs=config.mshrs,
        pending=config.threads * THREAD_WINDOW,
        t_req=NEVER,
    )


def home_config(config: StressConfig) -> HomeConfig:
    """The home of the run."""
    timers = dict.fromkeys(("T_SNP", "T_CACK"), NEVER)
    return HomeConfig(nid=HOME, address_map=address_map(config), tshrs=config.tshrs, timers=timers)


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
    agents = [RequestAgent(request_config(config, nid)) for nid in config.agents]
    home = HomeAgent(home_config(config), memory(config))
    network = Network(agents, home, config.addresses, config.seed, trace=trace, progress=progress)
    issuer = Issuer(operations, network.writers.taken)
    verdict = judged(network, issuer)
    messages = network.traces.get(verdict.line, ()) if verdict.line is not None else ()
    return replace(verdict, trace=tuple(map(str, messages)))


def _via_links(
    config: StressConfig, operations: Iterable[Operation], codec: str, trace: bool, progress: Progress
) -> Verdict:
    stack = Stack(
        [request_config(config, nid) for nid in config.agents[: config.cpu]],
        [request_config(config, nid) for nid in config.agents[config.cpu :]],
        home_config(config),
        memory(config),
        config.addresses,
        config.seed,
        FaultPlan.parse(config.faults),
        codec=codec,
        trace=trace,
        progress=progress,
    )
    issuer = Issuer(operations, stack.writers.taken)
    verdict = judged(stack, issuer)
    links = [link.counters for device in stack.devices for port in device.node.ports for link in port.links]
    counted = {name: sum(getattr(link, name) for link in links) for name in LINK_COUNTERS}
    flits = stack.flits.lines if stack.flits is not None and verdict.violation else ()
    return replace(verdict, trace=tuple(flits), details=verdict.details | counted)


def judged(system: Network | Stack, issuer: Issuer) -> Verdict:
    """Run it to its verdict. An agent that raises has violated something too: it must not."""
    violation = ""
    try:
        system.run(issuer)
    except InvariantError as error:
        violation = str(error)
    except (Stopped, LinkLost):
        raise
    except Exception as error:
        frame = extract_tb(error.__traceback__)[-1]
        violation = (
            f"{type(error).__name__} in {frame.name} ({Path(frame.filename).name}:{frame.lineno}): {error}"
        )
    agents = system.agents.values()
    return Verdict(
        violation=violation,
        line=system.failed_line if violation else None,
        begun=issuer.begun,
        ended=issuer.finished,
        messages=system.messages,
        time=system.now,
        details={name: sum(getattr(agent.counters, name) for agent in agents) for name in CACHE_COUNTERS},
    )


def minimize(
    config: StressConfig, verdict: Verdict, budget: int = BUDGET, engine: str | None = None
) -> tuple[StressConfig, list[Operation]]:
    """The fewest operations that still fail, and the configuration that they fail with.

    Only the program shrinks: the verdict must be a violation that `config` runs into by itself.
    """

    def fails(operations: list[Operation]) -> bool:
        try:
            return bool(run(config, operations, engine=engine).violation)
        except LinkLost:  # other flits are hit
            return False

    least, begun = beginning(config, verdict)
    kept = shrink(begun, fails, line=verdict.line, budget=budget)
    return replace(least, ops=len(kept)), kept


def beginning(config: StressConfig, verdict: Verdict) -> tuple[StressConfig, list[Operation]]:
    """The operations that a run had read when its verdict fell, and a configuration of just these."""
    begun = list(islice(program(config), verdict.begun + AHEAD))
    return replace(config, ops=len(begun)), begun


_RUNS = {"messages": _via_messages, "links": _via_links}
