"""The options of a device that is attached to a CPU, checked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from hsl._generated.constants import MAX_NID
from hsl.agents.address_map import PAGE_BYTES
from hsl.agents.memory import MEMORY_LIMIT
from hsl.emulator.arguments import file_name, integer, plan, seconds, seed_of, within
from hsl.emulator.topology import LIMITS, NODE_NIDS
from hsl.errors import ConfigError
from hsl.shown import quoted
from hsl.transport.base import INTERNET, parse_uri
from hsl.transport.faults import FaultPlan
from hsl.transport.time_units import check_tu

__all__ = ["Settings"]

MAX_SECONDS: Final = 366 * 86400  # a year: asyncio and sockets take it


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options of `hsl.attach`, each a plain value inside its limits."""

    uri: str
    listen: bool
    nid: int
    memory_bytes: int
    sets: int
    ways: int
    tu: int
    wait: float
    timeout: float | None
    faults: FaultPlan
    seed: int
    capture: str | None

    @classmethod
    def of(
        cls,
        uri: str,
        *,
        listen: bool,
        nid: int,
        memory_bytes: int,
        sets: int,
        ways: int,
        tu: int,
        wait: float,
        timeout: float | None,
        faults: str | float | os.PathLike[str],
        seed: int,
        capture: str | os.PathLike[str] | None,
    ) -> Settings:
        """Check the options. Raises ConfigError for one that cannot be used."""
        check_tu(integer("tu", tu), on_sockets=True)
        return cls(
            uri=address(uri, bool(listen)),
            listen=bool(listen),
            nid=within("nid", nid, 0, MAX_NID + 1 - NODE_NIDS),
            memory_bytes=within("memory_bytes", memory_bytes, 0, MEMORY_LIMIT, PAGE_BYTES),
            sets=within("sets", sets, *LIMITS["l2_sets"]),
            ways=within("ways", ways, *LIMITS["l2_ways"]),
            tu=integer("tu", tu),
            wait=seconds("wait", wait, MAX_SECONDS),
            timeout=None if timeout is None else seconds("timeout", timeout, MAX_SECONDS),
            faults=FaultPlan.parse(plan(faults)).fits(1).part("gpu"),
            seed=seed_of(seed),
            capture=None if capture is None else file_name("capture", capture),
        )


def address(uri: str, listen: bool) -> str:
    """Return the address of a CPU. Raises ConfigError for one that it cannot be called at, or cannot call."""
    if not isinstance(uri, str):
        raise ConfigError(f"uri is {quoted(uri)}; it must be a str such as 'tcp://127.0.0.1:7410'")
    found = parse_uri(uri)
    if found.scheme == "loopback":
        raise ConfigError("loopback: has no sockets; give the address of a CPU, as tcp://127.0.0.1:7410")
    if found.scheme in INTERNET and not found.port:
        call = "the CPU could not know the port that is chosen" if listen else "nobody listens there"
        raise ConfigError(f"{uri}: port 0: {call}; give a number from 1")
    return uri
