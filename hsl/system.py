"""A CPU and GPUs that share memory coherently, in one process and in virtual time: `hsl.System`."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from hsl._generated.constants import TU_EXPONENT_HARDWARE
from hsl.agents.access import Access, Order, Ticket
from hsl.agents.atomics import PERFORMED
from hsl.emulator.arguments import file_name, integer, item, plan, positive, raw, seed_of
from hsl.emulator.calls import WINDOW, BlockingCalls, Call, Calls
from hsl.emulator.machine import MAX_VIRTUAL_NS, Machine
from hsl.emulator.memory_range import MemoryRange
from hsl.emulator.topology import SHAPES, Topology
from hsl.engine.select import choose
from hsl.errors import ConfigError
from hsl.files import exists
from hsl.shown import quoted
from hsl.transport.faults import FaultPlan

__all__ = ["Agent", "MemoryRange", "System"]

NUMBERS: Final = ("addr", "size", "aop", "dst", "stream", "order", "pasid", "perms", "dom")  # of an Access
T = TypeVar("T")


class Agent(BlockingCalls):
    """A request agent of a system: a core of the CPU, or the cache of a GPU. HSL 5.5.

    Each call blocks: it moves virtual time forward until its accesses have ended. Addresses and sizes are in
    bytes; any address and any size inside `System.memory_map` will do. An access that crosses a 64-byte line
    is split into one access per line: each piece is atomic, the whole is not. A cache hit takes no time.

    Calls raise AddressError (an address outside the memory map), ConfigError (another argument that cannot be
    used), ClosedError (the system is closed), PoisonError (the data are poisoned, 6.1) and TransactionError
    (another error of an access; `code` is its Err: UNREACH when a link is down).

    Attributes:
        name: name of its node: "cpu"; "gpu", or "gpu0", "gpu1", ... of several
        nid: its node identifier (HSL 5.1)
        memory: the MemoryRange with data and home at this node: hostmem, or device0, device1, ...

    """

    name: str
    nid: int
    memory: MemoryRange

    def __init__(self, machine: Machine, device: int, nid: int, memory: MemoryRange) -> None:
        self._machine = machine
        self._calls = Calls(lambda: machine.memory_map)
        self._device = device
        self.name = machine.nodes[device].name
        self.nid = nid
        self.memory = memory

    def submit(self, access: Access) -> Ticket:
        """Begin one access of any kind, inside one line, and return its ticket at once.

        `System.wait` lets time pass until it has ended; meanwhile other agents can submit theirs.

        >>> tickets = s.cpu.submit(hsl.Access("load", 0x140, 4)), s.gpu.submit(hsl.Access("load", 0x140, 4))
        >>> [data.hex() for data in s.wait(*tickets)]
        ['00000000', '00000000']

        """
        if not isinstance(access, Access):
            raise ConfigError(f"submit({quoted(access)}): expected an hsl.Access")
        if not isinstance(access.kind, str):
            raise ConfigError(f"kind is {quoted(access.kind)}; it must be a str")
        numbers: dict[str, Any] = {name: integer(name, getattr(access, name)) for name in NUMBERS}
        if not 0 <= numbers["order"] <= Order.ALL:
            raise ConfigError(f"order is {numbers['order']}; it must be 0 to {int(Order.ALL)}")
        numbers["order"] = Order(numbers["order"])
        be = None if access.be is None else integer("be", access.be)
        return self._submit(access._replace(**numbers, be=be, data=raw(access.data)))

    def _submit(self, access: Access) -> Ticket:
        return self._machine.submit(self._device, self.nid, access)

    def _perform(self, call: Call[T]) -> T:
        tickets: list[Ticket] = []
        waiting: deque[Ticket] = deque()
        for access in call.accesses:
            if len(waiting) == WINDOW:
                self._machine.wait(waiting.popleft())
            tickets.append(self._submit(access))
            waiting.append(tickets[-1])
        for ticket in waiting:
            self._machine.wait(ticket)
        return call.result([self._machine.result(ticket) for ticket in tickets])

    def __repr__(self) -> str:
        return f"<hsl.Agent {self.name}, NID {self.nid}, memory {self.memory}>"


class System:
    """A CPU and GPUs with coherent shared memory, joined by emulated links in virtual time.

    >>> with hsl.System(gpus=1, seed=7, faults="crc:1e-3", capture="run.pcapng") as s:
    ...     s.gpu.store(0x40, b"hello")
    ...     s.cpu.load(0x40, 5)
    b'hello'

    The clock of the machine has no influence: the same calls with the same arguments give the same flits at
    the same virtual times, so the same capture to the byte. Use a system as a context manager, or `close` it.
    A system has no locks: use it from one thread at a time. Several systems are independent of each other.

    Args:
        gpus: number of GPUs, 1 to 8; 1 if not given
        seed: 0 to 2**64-1; decides where faults hit and what EPOCH values the ports take
        faults: as `hsl demo --faults` takes it: a rate (half crc, half drop), faults such as
            "crc:1e-3,drop:1e-4", or the path of a scenario (.toml); `hsl inject list` shows all kinds
        links: links bonded in each port, 1 to 8 (HSL 4); 1 if not given
        flit: "L64", or "B256" to offer 256-byte flits as well (HSL 2.1); "L64" if not given
        memory_bytes: size of the CPU's memory, a multiple of 4096, 128 KiB to 1 GiB; 64 MiB if not given
        device_bytes: size of each range of GPU memory, a multiple of 4096, 64 KiB to 512 MiB; 16 MiB if
            not given
        memory_nodes: 1 adds a node that has only memory; 0 if not given
        topology: "star", or "mesh" to join each two GPUs by a link as well; or the path of a TOML file as
            `hsl demo --topology` takes it, or such settings as a mapping; the arguments above override it
        capture: file to capture to, with the flits that bring up the links; see the method `capture`
        engine: "native" or "reference" codec; None takes HSL_ENGINE or the default

    Attributes:
        cpu: the first core of the CPU, an Agent
        cpus: all cores of the CPU, each with a cache of its own
        gpu: the only GPU, an Agent
        gpus: all GPUs
        memory_map: the MemoryRange of each memory by name, see below; every agent can use
            all of them, but a GPU memory homed at another GPU in a mesh only
        host_memory: `memory_map["hostmem"]`
        now: virtual time in ns

    Memories (HSL 5.1): "hostmem" is the CPU's memory, from address 0. "device0", "device1", ... are those of
    the GPUs, with their home there (HDM-D); "host0", "host1", ... those with their home at the CPU (HDM-H).
    "interleaved" has its pages of 4 KiB at the CPU and at the first GPU by turns. "memory" is that of the
    memory node.

    Raises ConfigError for an argument that cannot be used, CaptureError when the capture cannot be written,
    LinkError when the faults keep the links from coming up.

    """

    memory_map: dict[str, MemoryRange]
    cpus: tuple[Agent, ...]
    gpus: tuple[Agent, ...]

    def __init__(
        self,
        gpus: int | None = None,
        *,
        seed: int = 0,
        faults: str | float | os.PathLike[str] = "none",
        links: int | None = None,
        flit: str | None = None,
        memory_bytes: int | None = None,
        device_bytes: int | None = None,
        memory_nodes: int | None = None,
        topology: str | os.PathLike[str] | Mapping[str, Any] = "star",
        capture: str | os.PathLike[str] | None = None,
        engine: str | None = None,
    ) -> None:
        seed = seed_of(seed)
        given = {"gpus": gpus, "links": links, "flit": flit, "memory_nodes": memory_nodes}
        given |= {"memory_bytes": memory_bytes, "device_bytes": device_bytes}
        made = replace(assembled(topology, given), codec=choose("codec", engine), atomics=PERFORMED)
        self._machine = machine = Machine(made, seed, FaultPlan.parse(plan(faults)))
        self.memory_map = ranges = machine.memory_map
        self.cpus = tuple(Agent(machine, 0, nid, ranges["hostmem"]) for nid in made.cpu_cores)
        self.gpus = tuple(
            Agent(machine, 1 + gpu, made.gpu_agents(gpu)[0], ranges[f"device{gpu}"])
            for gpu in range(made.gpus)
        )
        try:
            if capture is not None:
                self.capture(capture)
            machine.bring_up()
        except BaseException:
            machine.close()
            raise

    @property
    def cpu(self) -> Agent:
        """The first core of the CPU."""
        return self.cpus[0]

    @property
    def gpu(self) -> Agent:
        """The GPU of a system that has one; ConfigError where there are several, which `gpus` has."""
        if len(self.gpus) > 1:
            raise ConfigError(
                f"this system has {len(self.gpus)} GPUs: use gpus[0] to gpus[{len(self.gpus) - 1}]"
            )
        return self.gpus[0]

    @property
    def host_memory(self) -> MemoryRange:
        """The range of the CPU's memory."""
        return self.memory_map["hostmem"]

    @property
    def now(self) -> int:
        """Virtual time in ns since the links were switched on."""
        return self._machine.now

    def wait(self, *tickets: Ticket) -> list[bytes]:
        """Let time pass until all `tickets` of `Agent.submit` have ended; return their results in order.

        Raises what `Ticket.result` raises for the first that failed, when all have ended; ConfigError for a
        ticket of another system.
        """
        for ticket in tickets:
            if not isinstance(ticket, Ticket):
                raise ConfigError(f"wait({quoted(ticket)}): expected tickets, as in wait(first, second)")
        for ticket in tickets:
            self._machine.wait(ticket)
        return [self._machine.result(ticket) for ticket in tickets]

    def run(self, ns: int) -> None:
        """Let `ns` nanoseconds of virtual time pass."""
        self._machine.require_open()
        end = self.now + positive("ns", ns)
        if end > MAX_VIRTUAL_NS:
            raise ConfigError(f"ns is {ns}; virtual time ends at {MAX_VIRTUAL_NS} ns")
        self._machine.run_until(end)

    def capture(self, file: str | os.PathLike[str]) -> None:
        """Write every flit from now on into the pcapng file `file`, until the system is closed.

        Wireshark and `hsl.Reader` read it: one interface for each direction of a link, times in ns of virtual
        time, a comment at each flit that a fault has hit. Raises CaptureError when it cannot be written.
        """
        self._machine.record(file_name("capture", file))

    def report(self) -> dict[str, Any]:
        """Return what has happened so far as plain data for json; a closed system can still be asked.

        `now_ns`, `seed`, `faults`; `flits`, `wire_bytes` and `messages`: sent by all nodes; `injected`: flits
        hit, by kind of fault; `links`: the counters of all links added up (crc_errors, replays, ...);
        `nodes`: of each node, messages sent by opcode, cache counters of each agent, errors logged by code.
        """
        return self._machine.report()

    def close(self) -> None:
        """Let the links come to rest without further faults, and end the captures. May be called again."""
        if not self._machine.closed:
            try:
                self._machine.settle()
            finally:
                self._machine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._machine.close()

    def __repr__(self) -> str:
        machine = self._machine
        made, end = machine.topology, ", closed" * machine.closed
        what = f"gpus={made.gpus}, links={made.links}, seed={machine.seed}, faults='{machine.faults}'"
        return f"<hsl.System {what}, now={self.now} ns{end}>"


def assembled(source: str | os.PathLike[str] | Mapping[str, Any], given: Mapping[str, Any]) -> Topology:
    """Return the topology of `source` with the settings of `given` that are not None. Raises ConfigError."""
    settings: dict[str, Any] = {"tu": TU_EXPONENT_HARDWARE}
    if isinstance(source, Mapping):
        settings |= source
    elif isinstance(source, str) and source in SHAPES:
        settings["shape"] = source
    elif isinstance(source, str | os.PathLike) and exists(source):
        settings |= Topology.read(Path(os.fsdecode(source)))
    else:
        raise ConfigError(
            f"topology is {quoted(source)}; it must be {', '.join(SHAPES)}, or a file that exists"
        )
    return Topology.of(settings | {name: item(value) for name, value in given.items() if value is not None})
