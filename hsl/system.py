"""A CPU and GPUs that share memory coherently, in one process and in virtual time: `hsl.System`."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from operator import index
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from hsl._generated.constants import LINE_BYTES, TU_EXPONENT_HARDWARE
from hsl.agents.access import Access, Order, Ticket
from hsl.agents.atomics import PERFORMED
from hsl.emulator.device import lines_of
from hsl.emulator.machine import MAX_VIRTUAL_NS, Machine
from hsl.emulator.memory_range import MemoryRange
from hsl.emulator.operands import Operand, atomic_access, unpacked
from hsl.emulator.topology import SHAPES, Topology
from hsl.engine.select import choose
from hsl.errors import ConfigError
from hsl.files import exists
from hsl.shown import quoted
from hsl.transport.faults import FaultPlan

__all__ = ["Agent", "MemoryRange", "System"]

MAX_SEED: Final = (1 << 64) - 1
WINDOW: Final = 1024  # accesses of one call that are open at once; an agent takes 4096
NUMBERS: Final = ("addr", "size", "aop", "dst", "stream", "order", "pasid", "perms", "dom")  # of an Access
MAX_BITS: Final = 128  # of an argument: more than any field or address has, and Python prints it
FENCES: Final = {"load": Order.LOAD, "store": Order.STORE, "ncr": Order.NCR}
Bytes = bytes | bytearray | memoryview | npt.NDArray[Any]


class Agent:
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
        self._device = device
        self.name = machine.nodes[device].name
        self.nid = nid
        self.memory = memory

    def load(self, addr: int, size: int = 8) -> bytes:
        """Return the `size` bytes at `addr`; the cache keeps a copy of their lines. HSL 5.5."""
        return b"".join(self._run(self._loads("load", addr, size)))

    def store(self, addr: int, data: Bytes) -> None:
        """Store `data` (bytes, or another buffer such as a numpy array) at `addr`. HSL 5.5."""
        self._run(self._stores("store", addr, raw(data)))

    def atomic(
        self, op: str, addr: int, operand: Operand, *, size: int | None = None, compare: Operand | None = None
    ) -> Operand:
        """Perform the atomic operation `op` on the value at `addr`; return the old value. HSL 5.12.

        Args:
            op: "add", "clr" (old & ~operand), "eor" (xor), "set" (or), "smax", "smin", "umax", "umin" or
                "swap", of 4 or 8 bytes; "cas" (store `operand` if old == `compare`) of 4, 8 or 16 bytes;
                "fadd32", "fadd64", "fadd2xfp16" or "fadd2xbf16"
            addr: a multiple of the size
            operand: an int (little-endian; it may be negative, the result is unsigned), bytes, or a float
                for fadd32 and fadd64; the result has its type. Scalars of numpy count as int or float
            size: bytes of an int, 8 if not given
            compare: what "cas" compares the old value with

        A counter, and a lock:

        >>> s.gpu.atomic("add", 0x80, 5), s.cpu.atomic("add", 0x80, -2), s.cpu.atomic("add", 0x80, 0)
        (0, 5, 3)
        >>> s.cpu.atomic("cas", 0xC0, 1, compare=0) == 0  # 0 was there: the lock is taken
        True

        """
        operand, compare = plain(operand), plain(compare)
        size = None if size is None else integer("size", size)
        access = atomic_access(op, integer("addr", addr), operand, size=size, compare=compare)
        self._machine.check(op, access.addr, access.size)
        (old,) = self._run([access])
        return unpacked(operand, old)

    def fence(self, *kinds: str) -> None:
        """Wait until all earlier accesses of the given kinds are performed. HSL 5.9.

        `kinds`: "load", "store", "ncr"; without any, all kinds. A fence orders what `submit` has begun; a
        blocking call leaves nothing to wait for.
        """
        order = Order(0)
        for kind in kinds:
            if not isinstance(kind, str) or kind not in FENCES:
                raise ConfigError(f"fence({quoted(kind)}): the kind must be one of {', '.join(FENCES)}")
            order |= FENCES[kind]
        self._run([Access("fence", order=order or Order.ALL)])

    def flush(self, addr: int, size: int = 1) -> None:
        """Write the lines that hold `size` bytes at `addr` back to memory, and drop every copy. HSL 5.5."""
        addr, size = integer("addr", addr), positive("size", size)
        self._machine.check("flush", addr, size)
        first = addr - addr % LINE_BYTES
        self._run(Access("flush", line) for line in range(first, addr + size, LINE_BYTES))

    def load_many(self, addrs: npt.ArrayLike, size: int = LINE_BYTES) -> npt.NDArray[np.uint8]:
        """Load `size` bytes at each of n addresses; return a uint8 array of shape (n, size).

        `addrs`: n integers in one dimension. The loads are pipelined, up to 1024 of them at a time, so they
        take far less virtual time than n calls of `load`. Accesses of one line are performed in the order of
        `addrs`; the order of all others is open.

        >>> s.gpu.load_many(s.gpu.memory.lines[:100]).shape
        (100, 64)

        """
        places = addresses(addrs)
        size = positive("size", size)
        results = self._run(access for addr in places for access in self._loads("load_many", addr, size))
        return np.frombuffer(b"".join(results), np.uint8).reshape(len(places), size).copy()

    def store_many(self, addrs: npt.ArrayLike, data: npt.ArrayLike) -> None:
        """Store row i of `data` at address `addrs[i]`; pipelined and ordered as `load_many`.

        `addrs`: n integers in one dimension; `data`: uint8 of shape (n, size).

        >>> import numpy as np
        >>> s.cpu.store_many(s.host_memory.lines[:4], np.arange(256, dtype=np.uint8).reshape(4, 64))

        """
        places, rows = addresses(addrs), array("data", data)
        if rows.dtype != np.uint8 or rows.ndim != 2 or len(rows) != len(places):
            raise ConfigError(
                f"data for {len(places)} addresses must be uint8 of shape ({len(places)}, size), "
                f"not {rows.dtype} of shape {rows.shape}"
            )
        pairs = zip(places, rows, strict=True)
        self._run(one for addr, row in pairs for one in self._stores("store_many", addr, row.tobytes()))

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

    def _loads(self, what: str, addr: int, size: int) -> Iterator[Access]:
        addr, size = integer("addr", addr), positive("size", size)
        self._machine.check(what, addr, size)
        return (Access("load", at, len(part)) for at, part in lines_of(addr, bytes(size)))

    def _stores(self, what: str, addr: int, data: bytes) -> Iterator[Access]:
        addr = integer("addr", addr)
        self._machine.check(what, addr, positive("size of the data", len(data)))
        return (
            Access("store_line" if len(part) == LINE_BYTES else "store", at, len(part), part)
            for at, part in lines_of(addr, data)
        )

    def _run(self, accesses: Iterable[Access]) -> list[bytes]:
        """Begin all accesses in their order, WINDOW at a time, and return their results.

        The first error is raised when all of them have ended.
        """
        tickets: list[Ticket] = []
        waiting: deque[Ticket] = deque()
        for access in accesses:
            if len(waiting) == WINDOW:
                self._machine.wait(waiting.popleft())
            tickets.append(self._submit(access))
            waiting.append(tickets[-1])
        for ticket in waiting:
            self._machine.wait(ticket)
        return [self._machine.result(ticket) for ticket in tickets]

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
        gpus: number of GPUs, 1 to 4; 1 if not given
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
        memory_map: the MemoryRange of each memory by name, see below; every agent can use all of them
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
        if not 0 <= integer("seed", seed) <= MAX_SEED:
            raise ConfigError(f"seed is {seed}; it must be 0 to {MAX_SEED}")
        given = {"gpus": gpus, "links": links, "flit": flit, "memory_nodes": memory_nodes}
        given |= {"memory_bytes": memory_bytes, "device_bytes": device_bytes}
        made = replace(assembled(topology, given), codec=choose("codec", engine), atomics=PERFORMED)
        self._machine = machine = Machine(made, index(seed), FaultPlan.parse(plan(faults)))
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
        if not isinstance(file, str | os.PathLike):
            raise ConfigError(f"capture is {quoted(file)}; it must be the path of a file")
        name = os.fsdecode(file)
        if not name or "\0" in name or not encodes(name):
            raise ConfigError(f"capture is {quoted(name)}; it must be the path of a file")
        self._machine.record(name)

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


def plan(faults: str | float | os.PathLike[str]) -> str:
    """Return the text of the faults. Raises ConfigError for another type, or a rate outside 0 to 1."""
    if isinstance(faults, str | os.PathLike):
        return os.fsdecode(faults)
    if not isinstance(faults, int | float | np.integer | np.floating) or not 0 <= faults <= 1:
        raise ConfigError(
            f"faults is {quoted(faults)}; it must be a rate from 0 to 1, or a str such as 'crc:1e-3'"
        )
    return str(faults)


def encodes(name: str) -> bool:
    """True if a file can have the name: a lone surrogate stands for a byte, or for nothing."""
    try:
        return bool(os.fsencode(name))
    except UnicodeEncodeError:
        return False


def item(value: Any) -> Any:
    """Return a scalar of numpy as a Python number, and everything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def plain(operand: Any) -> Any:
    """Return an operand as the int, float or bytes that it stands for: numpy's scalars, bytearray."""
    return bytes(operand) if isinstance(operand, bytearray | memoryview) else item(operand)


def integer(name: str, value: int) -> int:
    """Return `value` as an int. Raises ConfigError unless it is an integer, of Python or numpy."""
    try:
        number = index(value)
    except TypeError:
        raise ConfigError(f"{name} is {quoted(value)}; it must be an integer") from None
    if number.bit_length() > MAX_BITS:
        raise ConfigError(f"{name} is {quoted(number)}; it must have at most {MAX_BITS} bits")
    return number


def positive(name: str, value: int) -> int:
    """Return `value` as an int. Raises ConfigError unless it is at least 1."""
    number = integer(name, value)
    if number < 1:
        raise ConfigError(f"{name} is {number}; it must be at least 1")
    return number


def raw(data: Bytes) -> bytes:
    """Return the bytes of a buffer. Raises ConfigError for other objects, such as a str or an int."""
    if isinstance(data, np.ndarray):
        if data.dtype.hasobject:  # its buffer has pointers of this process
            raise ConfigError(f"data is an array of {data.dtype}; it must be an array of numbers or bytes")
        return data.tobytes()
    try:
        view = memoryview(data)
    except TypeError:
        kind = type(data).__name__
        raise ConfigError(f"data is of type {kind}; it must be bytes or another buffer") from None
    if view.format == "O":
        raise ConfigError("data is a buffer of objects; it must be a buffer of numbers or bytes")
    return view.tobytes()


def array(name: str, value: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return `value` as an array. Raises ConfigError if its rows differ in length."""
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from None


def addresses(addrs: npt.ArrayLike) -> Sequence[int]:
    """Return the addresses as ints. Raises ConfigError unless they are integers in one dimension."""
    found = array("addresses", addrs)
    if not found.size:
        return []
    if found.ndim != 1 or found.dtype.kind not in "iu":
        raise ConfigError(
            f"addresses must be integers in one dimension, not {found.dtype} of shape {found.shape}"
        )
    return [int(each) for each in found]
