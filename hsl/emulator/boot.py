"""The boot master of the reference system: it finds its devices and maps them (HSL 5.15, A.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from hsl._generated.constants import (
    DEVICE_VECTORS,
    GRANULE_BYTES,
    LINE_BYTES,
    Err,
    FenceCommand,
    PageRegister,
    Register,
    Role,
    SamType,
    SystemNid,
)
from hsl._generated.layouts import (
    AGENT_BASE,
    AGENT_COUNT,
    AGENT_D0,
    AGENT_STRIDE,
    CFGMASTER_D0,
    FENCE_D0,
    NOTIFY_D0,
    PRODUCT_D0,
    RANGE_BASE,
    RANGE_COUNT,
    RANGE_ENTRY,
    RANGE_STRIDE,
    READY_D0,
    RECALL_D0,
    RECALL_D1,
    SAM_BASE,
    SAM_STRIDE,
    STREAMS_D0,
    VECTORS_D0,
)
from hsl.agents.access import Access
from hsl.agents.address_map import PAGE_BITS, PAGE_BYTES, SamEntry, encode_entry
from hsl.agents.ranges import NodeRange
from hsl.emulator.booted import (
    BootedDevice,
    Findings,
    Refused,
    Visit,
    check_head,
    check_roles,
    class_of,
    described,
    granule,
)
from hsl.emulator.device import Core, wait_for
from hsl.emulator.program import Condition, Program, Thread
from hsl.emulator.system_map import index_of, placed
from hsl.errors import ConfigError, TransactionError

__all__ = ["BootMaster"]

# Registers that may be missing, and the value that DECODE stands for. HSL 5.15.2 [HSL-BOT-003].
OPTIONAL: Final = {Register.PRODUCT: 0, Register.VECTORS: 0, Register.STREAMS: 1}
OWN: Final = Visit(0, 0, range(SystemNid.IO, SystemNid.IO + 1))  # the registers of this node, in no session
TRIES: Final = 4  # of a register access whose data are poisoned
PROOFS: Final = 4  # reads of a last line that end UNREACH
STALE: Final = SamEntry(0, PAGE_BYTES - 1)  # stands for an entry of which nothing is known
RECALL_TU: Final = 64  # TU between two looks at RECALLING
PROOF_TU: Final = 16  # TU between two of them
ROLE_OF: Final = {SamType.HDM_D: Role.HA, SamType.MMIO: Role.IOA, SamType.HDM_H: Role.MT}


class BootMaster:
    """Boots what comes up at each port of the node of `core`, each time anew; `shared` as in `placed`.

    `devices`: those that are admitted, by port. `told(port, text)` is called with what a user wants to know.
    """

    def __init__(self, core: Core, ports: int, shared: int) -> None:
        self.core = core
        self.node = core.device.node
        self.devices: dict[int, BootedDevice] = {}
        self.told: Callable[[int, str], None] = lambda port, text: None
        self._ports = ports
        self._shared = shared
        self._known: dict[int, Findings] = {}  # by port: the last device there
        # By port: the entries that its device is to have, and those of them that stand in the maps.
        self._mapped: dict[int, tuple[list[SamEntry | None], list[SamEntry | None]]] = {}
        self._ready: dict[int, Visit] = {}  # by port: the session in which its device has been sent READY
        self._telling = 0  # map entries that other devices have not taken yet

    def begin(self) -> None:
        """Start a program for each port."""
        for port in range(self._ports):
            self.core.device.scheduler.spawn(f"boot of port {port}", self._follow(port))
        self.core.device.scheduler.spawn("lost memory", self._lift())

    @property
    def complete(self) -> bool:
        """A device is admitted at each port, and all of them have the same map."""
        return len(self.devices) == self._ports and not self._telling

    @property
    def regions(self) -> dict[str, SamEntry]:
        """The memory of all admitted devices by name."""
        return {name: entry for device in self.devices.values() for name, entry in device.regions.items()}

    def port_of(self, nid: int) -> int | None:
        """The port behind which a NID is, None for one of no device."""
        return next((port for port, known in self._known.items() if nid in known.nids), None)

    # ---- one port

    def _follow(self, port: int) -> Program[None]:
        """Boot each new session of a port; turn away what cannot be used. HSL 5.15.5."""
        while True:
            yield self._left(port, 0)
            visit = Visit(port, self.node.session(port), self.node.peers(port))
            try:
                device = yield from self._boot(visit)
                if self._lasts(visit):
                    self.devices[port] = device
                    self.told(port, described(device))
            except Refused as error:
                self._refuse(visit, str(error))
            except TransactionError as error:
                self._refuse(visit, f"{error}; expected an answer (HSL 5.15.5 [HSL-BOT-010])")
            yield self._left(port, visit.session)
            self.devices.pop(port, None)

    def _left(self, port: int, session: int) -> Condition:
        """Return the condition that a port is not in a session any more; 0 is to be down."""
        return Condition(lambda: self.node.session(port) != session)

    def _lasts(self, visit: Visit) -> bool:
        return self.node.session(visit.port) == visit.session

    def _refuse(self, visit: Visit, text: str) -> None:
        """Turn a device away, unless its session has ended anyway."""
        if self._lasts(visit):
            self.node.turn_away(visit.port, text, self.core.device.scheduler.now)

    def _boot(self, visit: Visit) -> Program[BootedDevice]:
        """Boot the device at a port by the list of A.3."""
        found = yield from self._identify(visit)
        port = visit.port
        try:
            wanted = placed(port, found.ranges, self._shared)
        except ConfigError as error:
            raise Refused(f"{error} [HSL-BOT-010]") from error
        again, self._known[port] = port in self._known, found
        entries = yield from self._map(port, wanted)
        yield from self._config_write(
            visit, Register.CFGMASTER, CFGMASTER_D0.build({"nid": self.core.nid, "on": 1})
        )
        yield from self._give_map(visit, stale=again)
        self._ready[port] = visit  # from here on it is told what others get
        yield from self._config_write(visit, Register.READY, READY_D0.build({"on": 1}))
        yield from self._prove(visit, entries)
        vector = yield from self._notify(visit, entries)
        return BootedDevice(port=port, findings=found, entries=tuple(entries), vector=vector)

    # ---- identity (steps 1 to 7)

    def _identify(self, visit: Visit) -> Program[Findings]:
        head = yield from self._config_read(visit, Register.ID)
        result = self.node.ports[visit.port].result
        check_head(head, Role(0) if result is None else result.peer_roles)
        guid = yield from self._number(visit, Register.GUID)
        product = yield from self._number(visit, Register.PRODUCT)
        vectors = yield from self._number(visit, Register.VECTORS)
        streams = yield from self._number(visit, Register.STREAMS)
        agents = yield from self._agents(visit)
        ranges = yield from self._ranges(visit, dict(agents))
        check_roles(agents, Role(head[6]))
        return Findings(
            nids=visit.nids,
            guid=guid,
            node_class=class_of(PRODUCT_D0.parse(granule(product))["kind"]),
            vectors=VECTORS_D0.parse(granule(vectors))["count"],
            streams=STREAMS_D0.parse(granule(streams))["count"],
            agents=agents,
            ranges=ranges,
        )

    def _agents(self, visit: Visit) -> Program[tuple[tuple[int, Role], ...]]:
        """Read AGENT. Raises Refused for an agent outside the NIDs, listed twice, or without one role."""
        nids, found = visit.nids, dict[int, Role]()
        for index in range(AGENT_COUNT):
            data = yield from self._config_read(visit, AGENT_BASE + AGENT_STRIDE * index)
            entry = AGENT_D0.parse(data)
            if not entry["valid"]:
                break
            nid, role = nids.start + entry["offset"], entry["role"]
            if nid not in nids or nid in found or role not in list(Role):
                raise Refused(
                    f"AGENT entry {index} has NID {nid} with roles {role:#x}; expected another NID of "
                    f"{nids} and one role (HSL 5.15.2 [HSL-BOT-010])"
                )
            found[nid] = Role(role)
        return tuple(found.items())

    def _ranges(self, visit: Visit, agents: dict[int, Role]) -> Program[tuple[NodeRange, ...]]:
        """Read RANGE. Raises Refused for a range that no agent of the device serves."""
        nids, found = visit.nids, []
        for index in range(RANGE_COUNT):
            data = yield from self._config_read(visit, RANGE_BASE + RANGE_STRIDE * index, RANGE_STRIDE)
            entry = RANGE_ENTRY.parse(data)
            if not entry.d0["valid"]:
                break
            types = frozenset(kind for kind in SamType if entry.d0["types"] >> kind & 1)
            home, mt = nids.start + entry.d0["home"], nids.start + entry.d0["mt"]
            served = all(
                agents.get(mt if kind == SamType.HDM_H else home) == ROLE_OF.get(kind) for kind in types
            )
            size = entry.d1["size"] << PAGE_BITS
            try:
                one = NodeRange(size=size, types=types, home=home, mt=mt, ways=entry.d0["ways"])
            except ConfigError as error:
                raise Refused(f"RANGE entry {index}: {error} (HSL 5.15.2 [HSL-BOT-010])") from error
            if not served or not types <= ROLE_OF.keys():
                names = ", ".join(sorted(kind.name for kind in types))
                raise Refused(
                    f"RANGE entry {index} ({names}) names home {home} and target {mt}; expected agents of "
                    "the device with the roles for that (HSL 5.15.2 [HSL-BOT-010])"
                )
            found.append(one)
        return tuple(found)

    # ---- map (steps 8 to 10)

    def _map(self, port: int, wanted: list[SamEntry | None]) -> Program[list[SamEntry | None]]:
        """Bring the map entries of a port into all maps; return them, None for one that does not fit here."""
        wanted_before, entries = self._mapped.get(port, ([], []))
        if wanted == wanted_before:
            return entries
        yield from self._retire(port, entries)
        entries = []
        self._mapped[port] = [], entries  # should the link go down meanwhile, the next boot begins with these
        for number, entry in enumerate(wanted):
            entries.append(entry)
            if entry is None:
                continue
            offset, data = SAM_BASE + SAM_STRIDE * index_of(port, number), encode_entry(entry)
            try:
                yield from self._config_write(OWN, offset, data)
            except Refused:
                if not entry.ways:
                    raise
                entries[-1] = None  # the half of the CPU is elsewhere already
                continue
            self._tell_all(offset, data)
        self._mapped[port] = wanted, entries
        return entries

    def _retire(self, port: int, entries: list[SamEntry | None]) -> Program[None]:
        """Take the ranges of a former device out of all maps. HSL 5.1.4 [HSL-BOT-011]."""
        for number, entry in enumerate(entries):
            if entry is None:
                continue
            offset = SAM_BASE + SAM_STRIDE * index_of(port, number)
            yield from self._write_all(offset, encode_entry(entry._replace(quiesced=True)))
            if entry.coherent:
                first, last = RECALL_D0.build({"first": entry.base}), RECALL_D1.build({"last": entry.last})
                yield from self._config_write(OWN, Register.RECALL, first + last)
                while any((yield from self._config_read(OWN, Register.RECALLING))):
                    yield self.core.device.pause(RECALL_TU)
            yield from self._write_all(offset, encode_entry(None))

    def _write_all(self, offset: int, data: bytes) -> Program[None]:
        """Write an entry into the own map and those of the devices that are READY, and wait for all."""
        yield from self._config_write(OWN, offset, data)
        told = self._tell_all(offset, data, retiring=True)
        yield Condition(lambda: all(thread.finished for thread in told))

    def _tell_all(self, offset: int, data: bytes, *, retiring: bool = False) -> list[Thread]:
        """Begin to write a map entry of another device to each device that is READY."""
        self._telling += len(self._ready)
        return [
            self.core.device.scheduler.spawn(
                f"map entry for port {port}", self._tell(visit, offset, data, retiring=retiring)
            )
            for port, visit in sorted(self._ready.items())
        ]

    def _tell(self, visit: Visit, offset: int, data: bytes, *, retiring: bool) -> Program[None]:
        """Write a map entry of another device to a device.

        One that is `retiring` may end PROTO: the device still holds a line, and its entry stays QUIESCED.
        """
        try:
            yield from self._config_write(visit, offset, data)
        except (TransactionError, Refused) as error:
            if not retiring or error.code != Err.PROTO:
                clause = "" if isinstance(error, Refused) else " (HSL 5.15.5 [HSL-BOT-010])"
                self._refuse(visit, f"{error}{clause}")
        finally:
            self._telling -= 1

    def _give_map(self, visit: Visit, *, stale: bool) -> Program[None]:
        """Write the entries of the own map until the device has them; if `stale` the invalid ones too.

        What another boot changes meanwhile is written as 5.1.4 says.
        """
        io = self.node.io
        assert io is not None  # the topology gives the node one
        given: dict[int, SamEntry | None] = {}  # entries that the device has
        if stale:
            given = dict.fromkeys(range(len(io.config.address_map.entries)), STALE)
        while (index := differing(io.config.address_map.entries, given)) is not None:
            offset, old = SAM_BASE + SAM_STRIDE * index, given.get(index)
            if old is not None and old is not STALE:
                yield from self._config_write(visit, offset, encode_entry(old._replace(quiesced=True)))
                yield from self._config_write(visit, offset, encode_entry(None))
            given[index] = entry = io.config.address_map.entries[index]
            if entry is not None or old is STALE:
                yield from self._config_write(visit, offset, encode_entry(entry))

    # ---- the proof, and interrupts (steps 11 and 12)

    def _prove(self, visit: Visit, entries: list[SamEntry | None]) -> Program[None]:
        """Read the last line of each range, which a device that has less memory cannot answer."""
        for number, entry in enumerate(entries):
            if entry is None or not entry.coherent:
                continue
            line = entry.last + 1 - LINE_BYTES
            if entry.ways and entry.home_of(line) not in visit.nids:
                line -= PAGE_BYTES
            try:
                yield from self._read_last(line)
            except TransactionError as error:
                if error.code != Err.DECODE:
                    continue  # it is there; what it held is lost
                raise Refused(
                    f"RANGE entry {number} lists {entry.last + 1 - entry.base} bytes, but its last line, "
                    f"{line:#x}, ended with DECODE (HSL 5.15.5 [HSL-BOT-010])"
                ) from error

    def _read_last(self, line: int) -> Program[None]:
        """Read a line, again while it ends UNREACH: its target says first that its content is lost (M5)."""
        for last in (*(False for _ in range(PROOFS - 1)), True):
            try:
                yield from wait_for(self.core.read_once(line, LINE_BYTES))
                return
            except TransactionError as error:
                if last or error.code != Err.UNREACH:
                    raise
            yield self.core.device.pause(PROOF_TU)

    def _notify(self, visit: Visit, entries: list[SamEntry | None]) -> Program[int]:
        """Tell the device its interrupts; return its first vector: 0 where it has no register for it."""
        page = next((e for e in entries if e is not None and e.type == SamType.MMIO), None)
        vector = DEVICE_VECTORS * visit.port
        if page is None:
            return vector
        data = NOTIFY_D0.build({"nid": SystemNid.IO, "vector": vector})
        access = Access("ncwrite", page.base + PageRegister.NOTIFY, len(data), data)
        try:
            yield from self._done(visit, access, "NcWrite of NOTIFY")
        except Refused as error:
            if error.code != Err.DECODE:
                raise
            return 0
        return vector

    def _lift(self) -> Program[None]:
        """Take memory whose content is lost for zeros that programs overwrite. HSL A.7."""
        homes = self.node.homes.values()
        while True:
            yield Condition(lambda: any(home.blank() for home in homes))
            for nid in [nid for home in homes for nid in home.blank()]:
                data = FENCE_D0.build({"nid": nid, "command": FenceCommand.LIFT})
                yield from self._config_write(OWN, Register.FENCE, data)

    # ---- registers

    def _number(self, visit: Visit, register: Register) -> Program[int]:
        """Read a register of 8 bytes; DECODE is the default of one that may be missing. [HSL-BOT-003]."""
        try:
            return int.from_bytes((yield from self._config_read(visit, register)), "little")
        except Refused as error:
            if error.code == Err.DECODE and register in OPTIONAL:
                return OPTIONAL[register]
            raise

    def _config_read(self, visit: Visit, offset: int, size: int = GRANULE_BYTES) -> Program[bytes]:
        access = Access("cfg_read", offset, size, dst=visit.nids.start)
        return (yield from self._done(visit, access, f"CfgRead of {offset:#x}"))

    def _config_write(self, visit: Visit, offset: int, data: bytes) -> Program[bytes]:
        access = Access("cfg_write", offset, len(data), data, dst=visit.nids.start)
        return (yield from self._done(visit, access, f"CfgWrite of {offset:#x}"))

    def _done(self, visit: Visit, access: Access, what: str) -> Program[bytes]:
        """Do a register access, again where its data were poisoned on the way, or it was BUSY. HSL A.3.

        Raises Refused for an answer other than OK, TransactionError with UNREACH for none. A session that has
        ended is Refused too: the next one has a boot of its own (5.15.4).
        """
        for last in (*(False for _ in range(TRIES - 1)), True):
            if visit is not OWN and not self._lasts(visit):
                raise Refused(f"{what}: the session has ended", code=Err.UNREACH)
            try:
                return (yield from wait_for(self.core.submit(access)))
            except TransactionError as error:
                if error.code == Err.UNREACH:
                    raise
                if error.code == Err.BUSY:  # of a RECALL: written again (5.1.4)
                    yield self.core.device.pause(RECALL_TU)
                elif last or error.code != Err.DATA:
                    raise Refused(
                        f"{what} ended with {Err(error.code).name}; expected OK (HSL 5.15.5 [HSL-BOT-010])",
                        code=error.code,
                    ) from error
        raise Refused(f"{what} was BUSY {TRIES} times (HSL 5.15.5 [HSL-BOT-010])", code=Err.BUSY)


def differing(entries: Sequence[SamEntry | None], given: Mapping[int, SamEntry | None]) -> int | None:
    """Return the index of the first map entry that is not as it was given to a device, None without one."""
    return next((index for index, entry in enumerate(entries) if entry != given.get(index)), None)
