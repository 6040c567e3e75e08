"""What the random tester runs: sizes, where the lines live, the way that messages take, faults, the seed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from hsl.errors import ConfigError
from hsl.transport.faults import FaultKind, FaultPlan

__all__ = ["HOMED", "VIA", "StressConfig"]

VIA: Final = ("messages", "links")
# Where lines live, and what each means.
HOMED: Final = {
    "host": "in the memory of the CPU node",
    "target": "in memory targets of the GPU nodes, homed at the CPU node (HDM-H)",
    "device": "in the memory of the GPU nodes, homed there (HDM-D)",
    "interleaved": "line by line in all of these",
}
# Name: least and greatest value.
LIMITS: Final = {
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


@dataclass(frozen=True, slots=True, kw_only=True)
class StressConfig:
    """`cpu` caches at the CPU node, `gpu` nodes of one cache each behind ports of their own.

    Caches of `sets` x `ways` lines and `mshrs` outstanding requests, homes of `tshrs`; each cache runs
    `threads` of the program. `homed`, a key of HOMED: where the lines live. `faults` need `via` "links".
    ConfigError names the limits.
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
    homed: str = "host"

    def __post_init__(self) -> None:
        for name, (least, most) in LIMITS.items():
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise ConfigError(f"stress: {name} = {value!r}; legal is {least}..{most}")
        if self.via not in VIA:
            raise ConfigError(f"stress: via {self.via!r}; legal are {', '.join(VIA)}")
        if self.homed not in HOMED:
            raise ConfigError(f"stress: homed {self.homed!r}; legal are {', '.join(HOMED)}")
        if self.homed != "host" and not self.gpu:
            raise ConfigError(f"stress: --homed {self.homed} needs at least one gpu")
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
