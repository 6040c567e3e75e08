"""Settings of the random tester: sizes, homes of the lines, path of messages, faults, the seed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from hsl.agents.entries import DIRECTORY_LINES
from hsl.errors import ConfigError
from hsl.nearest import expected
from hsl.shown import shown
from hsl.transport.faults import FaultKind, FaultPlan

__all__ = ["ALL", "HAND_OVER", "HOMES", "KINDS", "MIXED", "NONE", "VIA", "StressConfig"]

VIA: Final = ("messages", "links")
# Where lines live, and what each means.
HOMES: Final = {
    "hostmem": "in the memory of the CPU node",
    "host": "in memory targets of the GPU nodes, homed at the CPU node (HDM-H)",
    "device": "in the memory of the GPU nodes, homed there (HDM-D)",
    "interleaved": "line by line in all of these",
}
# What a program has besides plain accesses, and what each kind means.
KINDS: Final = {
    "poison": "poisoned lines, writes and operands",
    "fences": "fences of some kinds of accesses",
    "ncr": "registers, doorbells and interrupts",
    "translation": "virtual addresses, and page tables that change",
    "moves": "ranges that are quiesced, recalled, and given back, moved, or read-only from then on",
    "timeouts": "completions that come after T_REQ, and targets that do not answer "
    "(of two CPU caches, via messages)",
}
ALL, NONE, MIXED = "all", "none", "mixed"
# Nodes that offer dirty hand-over (5.6). MIXED: the CPU node and every second GPU node.
HAND_OVER: Final = (MIXED, ALL, NONE)
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
    "directory_lines": (1, DIRECTORY_LINES),
    "seed": (0, (1 << 64) - 1),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StressConfig:
    """`cpu` caches at the CPU node, `gpu` nodes of one cache each behind ports of their own.

    Caches of `sets` x `ways` lines and `mshrs` outstanding requests, homes of `tshrs` and
    `directory_lines`; each cache runs `threads` of the program. `home`, a key of HOMES: where the lines live.
    `faults` need `via` "links". `kinds`: names of KINDS, ALL that apply, or NONE. `hand_over`: one of
    HAND_OVER. ConfigError names the limits.
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
    directory_lines: int = DIRECTORY_LINES
    home: str = "hostmem"
    kinds: str = ALL
    hand_over: str = MIXED

    def __post_init__(self) -> None:
        for name, (least, most) in LIMITS.items():
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise ConfigError(f"stress: {name} = {shown(value)}; expected {least}..{most}")
        if type(self.via) is not str or self.via not in VIA:
            raise ConfigError(f"stress: via {shown(self.via)}; {expected(VIA, self.via)}")
        if type(self.home) is not str or self.home not in HOMES:
            raise ConfigError(f"stress: home {shown(self.home)}; {expected(HOMES, self.home)}")
        if type(self.hand_over) is not str or self.hand_over not in HAND_OVER:
            raise ConfigError(
                f"stress: hand_over {shown(self.hand_over)}; {expected(HAND_OVER, self.hand_over)}"
            )
        if self.home != "hostmem" and not self.gpu:
            raise ConfigError(f"stress: --home {self.home} needs at least one gpu")
        if self.cpu + self.gpu < 1:
            raise ConfigError("stress: no cache; cpu + gpu must be at least 1")
        if type(self.faults) is not str:
            raise ConfigError(f"stress: faults = {shown(self.faults)}; expected text")
        plan = FaultPlan.parse(self.faults)
        if plan and self.via != "links":
            raise ConfigError("stress: faults are put on links; say --via links")
        if any(fault.kind is FaultKind.POISON for fault in plan.faults):
            raise ConfigError(
                "stress: poison changes the values that programs may see; expected other faults"
            )
        if self.via == "links" and not self.gpu:
            raise ConfigError("stress: --via links needs at least one gpu")
        self._check_kinds()

    def _check_kinds(self) -> None:
        if self.kinds in (ALL, NONE):
            return
        if type(self.kinds) is not str:
            raise ConfigError(f"stress: kinds = {shown(self.kinds)} must be text")
        for name in self.kinds.split(","):
            if name in (ALL, NONE):
                raise ConfigError(f"stress: kinds = {shown(self.kinds)}; {name} stands alone")
            if name not in KINDS:
                raise ConfigError(f"stress: unknown kind {name!r}; {expected([*KINDS, ALL, NONE], name)}")
            if need := self._needs(name):
                raise ConfigError(f"stress: --with {name} needs {need}")

    def _needs(self, kind: str) -> str:
        """Return the part that a run lacks for a kind of operation, or ""."""
        if kind == "translation" and not (self.cpu and self.gpu):
            return "at least one cpu and one gpu"
        if kind == "timeouts" and (self.via != "messages" or self.cpu < 2):
            return "--via messages and at least two cpu"
        return ""

    @property
    def having(self) -> tuple[str, ...]:
        """The kinds that the program has, in the order of KINDS."""
        chosen = [] if self.kinds == NONE else KINDS if self.kinds == ALL else self.kinds.split(",")
        return tuple(kind for kind in KINDS if kind in chosen and not self._needs(kind))

    @classmethod
    def of(cls, values: dict[str, Any]) -> StressConfig:
        """A configuration from its JSON. Raises ConfigError.

        Earlier ones have no `kinds` or `hand_over`, which means NONE.
        """
        if unknown := sorted(values.keys() - {each.name for each in fields(cls)}):
            raise ConfigError(f"stress: no such setting: {', '.join(map(shown, unknown))}")
        return cls(**({"kinds": NONE, "hand_over": NONE} | values))

    def record(self) -> dict[str, Any]:
        """Return the configuration as JSON with the kinds by name, as ALL may mean more later."""
        return asdict(self) | {"kinds": ",".join(self.having) or NONE}
