"""A node: agents and ports, and the messages between them (HSL 5.1, 5.2, 6.2, 6.3)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Final

from hsl._generated.constants import Err, ErrMsgKind, ErrorCode, LinkState, Op, SamType, Vc
from hsl.agents.access import Access, Ticket
from hsl.agents.atc import Atc
from hsl.agents.home import HomeAgent, Recall
from hsl.agents.home_actions import ErrorEntry
from hsl.agents.io import IoAgent, err_msg
from hsl.agents.peers import LOCAL
from hsl.agents.request import RequestAgent
from hsl.agents.target import MemoryTarget
from hsl.codec.message import Message
from hsl.engine.accesses import Accesses
from hsl.engine.boot import Readiness
from hsl.engine.config import Boot, NodeConfig
from hsl.engine.error_log import ErrorLog, LogEntry
from hsl.engine.gate import Gate, unsent_acks
from hsl.engine.idle_watch import IdleWatch
from hsl.engine.losses import Losses
from hsl.engine.management import NodeServices
from hsl.engine.own_maps import OwnMaps
from hsl.errors import ConfigError
from hsl.link.events import ErrorLogged, Event, LinkDown, LinkUp, PeerGone, StateChanged
from hsl.link.lanes import SINKING
from hsl.link.port import Port

__all__ = ["EVENT_LIMIT", "Node", "NodeConfig"]

# Events that nobody has fetched; a link that retrains for ever would fill any list. The oldest go first.
EVENT_LIMIT: Final = 4096
REQUESTS: Final = frozenset({Vc.REQ, Vc.RWD, Vc.MEM, Vc.NCR})  # end with a completion
# Lanes that ask for an answer; what its agent does not serve at once waits there in the buffer of its credit.
ASKS: Final[tuple[int, ...]] = (Vc.SNP, Vc.MEM, SINKING, Vc.RWD, Vc.REQ, Vc.NCR)  # [HSL-NCR-007]
# Order of delivery in a round: what frees things first; of the requests of one instant RWD (5.4 T5).
DELIVERY: Final[dict[int, int]] = {
    vc: place for place, vc in enumerate((Vc.RSP, Vc.DAT, Vc.SNP, Vc.RWD, Vc.REQ, Vc.MEM, Vc.NCR))
}

Inbound = tuple[Message, Gate | None]  # None: from an agent of this node


class Node(Accesses):
    """Agents of one node behind its ports. Sans-I/O: the owner brings frames and time, and takes flits.

    At one instant: `receive`, `pal_up`, `pal_down`, `tick`, `submit`; then `advance`, which moves messages
    until nothing moves; then `transmit`. All times in ns.
    """

    def __init__(self, config: NodeConfig) -> None:
        self.config = config
        self.name = config.name
        mine = OwnMaps()
        configs = sorted(config.agents, key=lambda agent: agent.nid)
        self.agents = {agent.nid: RequestAgent(mine.of(agent)) for agent in configs}
        self.homes = {
            home.nid: HomeAgent(mine.of(home), memory, len(config.ports)) for home, memory in config.homes
        }
        for agent, nid in product(self.agents.values(), self.homes):
            agent.attach(range(nid, nid + 1), LOCAL)
        self.targets = {
            target.nid: MemoryTarget(mine.of(target), memory) for target, memory in config.targets
        }
        self._nids = frozenset(config.nids)
        self.ports = [Port(port) for port in config.limited_ports]
        self._gates = [
            Gate(index, port, self._nids, config.claims[index]) for index, port in enumerate(self.ports)
        ]
        self._own_log = ErrorLog()  # of a node without ports
        for agent in self.agents.values() if self._gates else ():
            agent.unsent_acks = partial(unsent_acks, self._gates, agent.nid)  # type: ignore[method-assign]
        identity = None if config.io is None else config.identity
        self._services = NodeServices(
            self.agents,
            self.homes,
            self._gates,
            self._own_log,
            targets=self.targets,
            ranges=None if identity is None else identity.ranges,
            boots=config.boot is Boot.MASTER,
        )
        self._readiness = self._services.readiness = Readiness(config.boot, self._gates)
        self.atc = None if config.atc is None else Atc(config.atc, self.agents[config.atc.agent], self._judge)
        self.io: IoAgent | None = None
        if config.io is not None:
            self.io = IoAgent(mine.of(config.io), self._services, self.atc, identity)
            self._services.mmio = self.io.mmio
        # Agents that take requests, and all agents in the order in which their messages leave.
        self._servers: list[HomeAgent | MemoryTarget | IoAgent] = [
            *self.homes.values(),
            *self.targets.values(),
            *([] if self.io is None else [self.io]),
        ]
        self._talking: list[RequestAgent | HomeAgent | MemoryTarget | IoAgent] = [
            *self.agents.values(),
            *self._servers,
        ]
        self._coherent: list[HomeAgent | RequestAgent] = [*self.homes.values(), *self.agents.values()]
        self._watches = [IdleWatch(gate, config.l1_idle_tu) for gate in self._gates if config.l1_idle_tu]
        # What has timers, in the order of one instant.
        self._timed: list[Port | HomeAgent | RequestAgent | Gate | IdleWatch] = [
            *self.ports,
            *self.homes.values(),
            *self.agents.values(),
            *self._gates,
            *self._watches,
        ]
        self._local: deque[Message] = deque()  # between agents of this node; bounded by their MSHRs and TSHRs
        self._events: deque[tuple[int, Event]] = deque(maxlen=EVENT_LIMIT)
        for log in self.error_logs:
            log.report = self._report
        self._losses = Losses(self, self._gate, self._free, self._forget, self._scale)
        if any(port.power for port in config.ports):
            for agent in self.agents.values():
                agent.lease = self._losses.lease
        self._handlers: dict[int, Callable[[Message, Gate | None, int], None]] = {
            Vc.REQ: self._to_home,
            Vc.RWD: self._to_home,
            Vc.SNP: self._to_cache,
            Vc.RSP: self._to_asker,
            Vc.DAT: self._to_asker,
            Vc.MEM: self._to_target,
            Vc.NCR: self._to_io,
        }

    # ---- the owner's calls, in the order of an instant
    def start(self, now: int) -> None:
        """Enable all ports."""
        for port in self.ports:
            port.enable(now)

    def stop(self, now: int) -> None:
        """Disable all ports: the peers see DISABLE."""
        for port in self.ports:
            port.disable(now)

    def receive(self, port: int, link: int, data: bytes, now: int, error: bool = False) -> None:
        """Take one frame of the PAL of a link; `error`: the binding knows that it is damaged."""
        self.ports[port].receive(link, data, now, error)

    def pal_up(self, port: int, link: int, now: int) -> None:
        """Tell a link that its PAL is up (PAL_UP)."""
        self.ports[port].pal_up(link, now)

    def pal_down(self, port: int, link: int, now: int) -> None:
        """Tell a link that its PAL is down (PAL_DOWN)."""
        self.ports[port].pal_down(link, now)

    def tick(self, now: int) -> None:
        """Run due timers: those of links, then T_SNP, T_CACK, T_REQ (5.11); permit low power (3.7)."""
        for timed in self._timed:
            timed.tick(now)

    def next_deadline(self) -> int | None:
        """Return the first instant in ns at which `tick` has something to do; None for never."""
        first = None
        for timed in self._timed:
            at = timed.next_deadline()
            if at is not None and (first is None or at < first):
                first = at
        return first

    @property
    def home(self) -> HomeAgent | None:
        """The first home, which is the only one in most nodes."""
        return next(iter(self.homes.values()), None)

    def submit(self, nid: int, access: Access, now: int) -> Ticket:
        """Hand an access to the agent `nid`; an NcRead or NcWrite goes to the home of its address.

        Raises ConfigError for an unknown agent or a bad access.
        """
        if nid not in self.agents:
            raise ConfigError(f"node {self.name} has no request agent {nid}; there are {list(self.agents)}")
        agent = self.agents[nid]
        self._judge(now)
        if access.kind in ("ncread", "ncwrite", "ncenq"):
            entry = agent.config.address_map.lookup(access.addr)
            if entry is not None and entry.type == SamType.MMIO:
                access = access._replace(dst=entry.home_of(access.addr))
        return agent.submit(access, now)

    def _judge(self, now: int) -> None:
        """After a stall no access uses a copy before the timers are judged. HSL 3.1 [HSL-LNK-058]."""
        for gate in self._gates:
            gate.port.loss.judge_stall(now, ran=False)
            if gate.port.unheard:
                self._session(gate, now)

    def recall(self, first: int, last: int, now: int) -> list[Recall]:
        """Take the lines of a byte range that are homed here from their holders. HSL 5.4 T10.

        Returns a Recall of each home. Raises ConfigError if the range is not quiesced, or if one of the homes
        has too many open already.
        """
        for home in self.homes.values():
            if not home.config.address_map.quiesced(first, last):
                raise ConfigError(f"recall of {first:#x}..{last:#x}: the range is not quiesced (5.1.4)")
        return [home.recall(first, last, now) for home in self.homes.values()]

    def completions(self) -> list[Ticket]:
        """Return the accesses that ended since the last call, by agent."""
        return [ticket for agent in self.agents.values() for ticket in agent.completions()]

    def events(self) -> list[tuple[int, Event]]:
        """Return the events since the last call, each with its port."""
        events = list(self._events)
        self._events.clear()
        return events

    def transmit(self, now: int, ready: Callable[[int, int], bool]) -> Iterator[tuple[int, int, bytes]]:
        """Yield (port, link, flit) while `ready(port, link)`."""
        if any(gate.port.unheard for gate in self._gates):
            self.advance(now)
        for gate in self._gates:
            moving = True
            while moving:
                for link, data in gate.port.transmit(now, partial(ready, gate.index)):
                    yield gate.index, link, data
                moving = gate.kept > 0 and gate.flush()

    @property
    def error_logs(self) -> list[ErrorLog]:
        """One log per port; a node without ports has one."""
        return [gate.log for gate in self._gates] or [self._own_log]

    @property
    def error_log(self) -> ErrorLog:
        """The log of the first port, which also takes what concerns no port."""
        return self.error_logs[0]

    @property
    def ready(self) -> bool:
        """The node may send requests. HSL 5.15.3."""
        return self.io is None or self.io.registers.ready

    def session(self, port: int) -> int:
        """Return the number of the session of a port, from 1; 0 while it is down."""
        return self._gates[port].sessions if self._gates[port].nids else 0

    def peers(self, port: int) -> range:
        """Return the NIDs behind a port, those of its last session while it is down."""
        return self._gates[port].known

    def turn_away(self, port: int, text: str, now: int) -> None:
        """End the session of a device that cannot be used, with CFG. HSL 5.15.5 [HSL-BOT-010]."""
        self._gates[port].refuse(text, now)

    @property
    def connected(self) -> bool:
        """Every port is up, and the nodes behind it can be reached."""
        return all(gate.nids and gate.port.up for gate in self._gates)

    def go_viral(self, reason: str, now: int) -> None:
        """A fatal internal error: what this node says is not to be trusted until reset. HSL 6.1."""
        if not self._services.viral:
            self._services.viral = True
            self.error_log.add(now, ErrorCode.VIRAL, reason)
        for port in self.ports:
            port.viral = True

    def _report(self, entry: LogEntry) -> None:
        """Send ErrMsg ERROR to ERRDST; it is posted, so it is dropped where there is no room. HSL 6.5."""
        dst = None if self.io is None else self.io.registers.error_destination
        if self.io is None or dst is None:
            return
        nid = self.io.nid
        about = {"severity": entry.severity, "code": entry.code, "addr": entry.addr}
        self._route(err_msg(ErrMsgKind.ERROR, nid, dst, nid, **about))

    @property
    def idle(self) -> bool:
        """No access, transaction or message is under way."""
        agents = all(agent.idle for agent in self.agents.values())
        homes = all(home.idle for home in self.homes.values())
        ports = all(gate.idle and gate.port.idle for gate in self._gates)
        return agents and homes and ports and not self._local and (self.io is None or self.io.idle)

    @property
    def quiesced(self) -> bool:
        """Idle, and the ports owe and miss nothing."""
        return self.idle and all(port.quiesced for port in self.ports)

    # ---- the movement of messages
    def advance(self, now: int) -> None:
        """Move messages between ports and agents until nothing moves."""
        moving = True
        while moving:
            for gate in self._gates:
                gate.now = now
                if gate.port.told:
                    self._session(gate, now)
                    gate.collect(now)
            batch = self._batch()
            for message, origin in batch:
                self._handlers[message.vc](message, origin, now)
            sent = self._drain(now)
            flushed = [gate.flush() for gate in self._gates if gate.kept]
            moving = bool(batch or sent or any(flushed)) and self._more()
        for watch in self._watches:
            watch.observe(now)

    def _more(self) -> bool:
        """True if another round of this instant may find work."""
        if self._local or self.io or self.atc:
            return True
        for gate in self._gates:
            if gate.waiting or gate.port.told:
                return True
        for agent in self._talking:
            if agent.outbox or agent.errors:
                return True
        return any(each.fences for each in self._coherent)

    def _batch(self) -> list[Inbound]:
        """Return the messages that this round delivers, in order."""
        batch: list[Inbound] = [(message, None) for message in self._local]
        self._local.clear()
        if waiting := [gate for gate in self._gates if gate.waiting]:
            for gate in waiting:
                batch += [(message, gate) for message in gate.answers() + gate.asks(ASKS)]
        if len(batch) > 1:
            batch.sort(key=lambda inbound: (DELIVERY[inbound[0].vc], inbound[0].src))
        return batch

    def _to_home(self, message: Message, gate: Gate | None, now: int) -> None:
        home = self.homes.get(message.dst)
        if home is None:
            self._refuse(message, gate, Err.DECODE)
        else:
            home.receive(message, now, gate is not None and gate.port.peer_viral)

    def _to_io(self, message: Message, gate: Gate | None, now: int) -> None:
        if self.io is None:
            self._refuse(message, gate, Err.UNSUP)
        else:
            self.io.receive(message, now, gate is not None and gate.port.peer_viral)

    def _to_target(self, message: Message, gate: Gate | None, now: int) -> None:
        target = self.targets.get(message.dst)
        if target is None:
            self._refuse(message, gate, Err.UNSUP)
        else:
            target.receive(message, now, gate is not None and gate.port.peer_viral)

    def _to_cache(self, message: Message, gate: Gate | None, now: int) -> None:
        if (agent := self.agents.get(message.dst)) is not None:
            agent.receive(message, now)
        else:  # HSL 5.4 T11
            self._log(ErrorCode.PROTO, f"snoop to node {message.dst}, which caches nothing", message, now)
            self._route(Message(Op.SnpRsp, src=message.dst, dst=message.src, txn=message.txn))
        self._release(message, gate)

    def _to_asker(self, message: Message, gate: Gate | None, now: int) -> None:
        if (home := self.homes.get(message.dst)) is not None:
            home.receive(message, now, gate is not None and gate.port.peer_viral)
        elif (agent := self.agents.get(message.dst)) is not None:
            agent.receive(message, now, gate is not None and gate.port.peer_viral)
        elif (target := self.targets.get(message.dst)) is not None:
            target.answered(message)
        else:
            self._log(ErrorCode.PROTO, f"node {message.dst} asked for no answer", message, now)
        self._release(message, gate)

    def _refuse(self, message: Message, gate: Gate | None, err: Err) -> None:
        """End a request that no agent here serves."""
        if message.op != Op.ErrMsg:
            self._route(Message(Op.Cmp, src=message.dst, dst=message.src, txn=message.txn, err=err))
        self._release(message, gate)

    @staticmethod
    def _release(message: Message, gate: Gate | None) -> None:
        if gate is not None:
            gate.release(message.vc)

    def _gate(self, nid: int) -> Gate | None:
        """The gate of the port behind which `nid` is."""
        return next((gate for gate in self._gates if nid in gate.nids), None)

    def _route(self, message: Message) -> None:
        """Send a message of an agent of this node on its way."""
        if message.dst in self._nids:
            self._local.append(message)
        elif (gate := self._gate(message.dst)) and gate.barred and self._readiness.withholds(message, gate):
            self._end_at_once(message, Err.UNREACH)
        elif gate is not None and gate.port.serves(message.vc):
            if message.op != Op.ErrMsg or gate.empty(message.op):  # posted: dropped rather than heaped up
                gate.send(message)
        elif message.vc in REQUESTS:
            self._end_at_once(message, Err.UNSUP if gate is not None else self._missing(message.dst))

    def _end_at_once(self, message: Message, err: Err) -> None:
        """Complete a request that no port takes. HSL 3.5 F1, 5.15.3."""
        if message.op != Op.ErrMsg:
            self._local.append(Message(Op.Cmp, src=message.dst, dst=message.src, txn=message.txn, err=err))

    def _missing(self, nid: int) -> Err:
        """Return the ERR of a request to a `nid` that no port that is up reaches. HSL 6.2 F7, 5.4 T15."""
        maybe = any(nid in gate.known or not gate.known for gate in self._gates)
        return Err.UNREACH if maybe else Err.DECODE

    def _drain(self, now: int) -> bool:
        """Collect what the agents send, free and report; True when there was something."""
        sent = False
        for agent in self._talking:
            if agent.outbox:
                sent = True
                for message in agent.outbox:
                    self._route(message)
                agent.outbox.clear()
                if isinstance(agent, RequestAgent):
                    agent.tick(now)  # MSHRs whose CmpAck has left are free
            if agent.errors:
                sent = True  # a storm of PROTO may have ended a port
                errors: list[ErrorEntry] = list(agent.errors)
                agent.errors.clear()
                for code, text, about in errors:
                    self._log(code, text, about, now)
        self._free()
        for polled in (self.io, self.atc):
            sent = (polled is not None and polled.poll(now)) or sent
        for each in self._coherent:
            if each.fences:
                sent = True
                self._losses.fence(each, now)
        return sent

    def _free(self) -> None:
        """Return the credits of requests whose buffer is free. HSL 5.2 D5."""
        for agent in self._servers:
            if agent.taken:
                for message in agent.taken:
                    self._release(message, self._gate(message.src))
                agent.taken.clear()

    # ---- sessions and losses
    def _session(self, gate: Gate, now: int) -> None:
        """Follow the events of a port."""
        for event in gate.port.events():
            self._events.append((gate.index, event))
            if isinstance(event, LinkUp):
                self._up(gate, now)
            elif isinstance(event, LinkDown):
                self._losses.down(gate, now)
            elif isinstance(event, PeerGone):
                self._losses.gone(gate, now)
            elif gate.sleeper and isinstance(event, StateChanged) and event.new is LinkState.ACTIVE:
                gate.sleeper = False
                for agent in self.agents.values():
                    agent.tick(now)  # accesses that waited for the lease go on
            elif isinstance(event, ErrorLogged):
                gate.log.add(event.now, event.code, event.text, link=event.link, data=event.data)

    def _up(self, gate: Gate, now: int) -> None:
        """A new session: its nodes are admitted again. HSL 6.2 F5."""
        result = gate.port.result
        assert result is not None
        others = {nid for each in self._gates if each is not gate for nid in each.claims(result.peer_nids)}
        if text := self.config.refusal(gate.index, result.peer_nids, others):
            gate.refuse(text, now)
            return
        gate.open(result.peer_nids, result.tu, result.slow_tu, now)
        self._readiness.opened(gate)
        for agent in (*self._servers, *self.agents.values()):
            agent.attach(result.peer_nids, result.negotiated, gate.index)
        self._services.report_losses()
        self._scale()
        for each, nid in product(self._coherent, result.peer_nids):
            each.readmit(nid)

    def _scale(self) -> None:
        """Set the unit of transaction timers: a session has begun, or a loss has ended. [HSL-LNK-061]."""
        units = [gate.slow_tu for gate in self._gates if gate.in_session]
        for agent in self._coherent:
            agent.set_tu(max(units, default=agent.config.tu))

    def _forget(self, one: int, other: int) -> None:
        """Drop the messages between two agents of this node."""
        self._local = deque(m for m in self._local if {m.src, m.dst} != {one, other})

    def _log(self, code: ErrorCode, text: str, message: Message | None, now: int) -> None:
        """Log and tell an error of an agent, with the port of the node it is about; PROTO counts. HSL 6.5."""
        gate = None if message is None else self._gate(message.src)
        was = (each for each in self._gates if message is not None and message.src in each.known)
        logged = gate or next(was, None)  # also the loss of a node is in the log of its port
        log = self.error_log if logged is None else logged.log
        entry = log.add(now, code, text, message=message)
        if logged is not None:
            told = ErrorLogged(link=0, code=code, severity=entry.severity, text=text, now=now)
            self._events.append((logged.index, told))
        if gate is not None and code == ErrorCode.PROTO:
            gate.proto(now)
