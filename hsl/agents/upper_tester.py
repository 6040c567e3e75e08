"""The upper tester: a peer asks for an access by a cache of this node, and gets its result (HSL 5.14)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from hsl._generated.constants import LINE_BYTES, Aop, Err, Op, UtOp
from hsl._generated.layouts import MGMT_ANSWER_D0, MGMT_D0, UT_D0, UT_D1, UT_D2
from hsl._generated.tables import RA_STATES, UT_OPS
from hsl.agents.access import INTR_BYTES, Access, Ticket
from hsl.agents.request import RequestAgent
from hsl.agents.services import Later, Services
from hsl.codec.message import Message
from hsl.errors import ConfigError

__all__ = ["HELD_LIMIT", "UpperTester"]

HELD_LIMIT: Final = 64  # accesses under way (5.14)
MAX_SIZE: Final = 5  # log2: 32 bytes fit in a record
BODY: Final = 32  # D4
RECORD_LEN: Final = 3  # LEN


def _operand(size: int, aop: int, body: bytes) -> bytes:
    """Operands at D4; of a CAS, compare at D4, D5 and swap at D6, D7."""
    if aop != Aop.CAS:
        return body[:size]
    return body[:size] + body[16 : 16 + size]


# What the word `moves` of spec/non_coherent.toml means: data of the access from (size, aop, D4..D7).
MOVES: Final[Mapping[str, Callable[[int, int, bytes], bytes]]] = {
    "none": lambda size, aop, body: b"",
    "read": lambda size, aop, body: b"",
    "write": lambda size, aop, body: body[:size],
    "line": lambda size, aop, body: body * 2,
    "operand": _operand,
    "intr": lambda size, aop, body: body[:INTR_BYTES],
}
SIZES: Final = {"line": LINE_BYTES, "intr": INTR_BYTES}
UNADDRESSED: Final = frozenset({"intr", "fence"})


def _access(sub: int, record: bytes) -> Access:
    """The access that a record asks for; ConfigError for a field out of range."""
    d0, d1, d2 = (layout.parse(record[8 * i : 8 * i + 8]) for i, layout in enumerate((UT_D0, UT_D1, UT_D2)))
    kind, moves = UT_OPS[sub]
    if d0["size"] > MAX_SIZE or d1["addr"] % (1 << d0["size"]):
        raise ConfigError(f"upper tester: size code {d0['size']} at {d1['addr']:#x}")
    size = 1 << d0["size"]
    return Access(
        kind,
        addr=0 if kind in UNADDRESSED else d1["addr"],
        size=SIZES.get(moves, size),
        data=MOVES[moves](size, d0["aop"], record[BODY:]),
        be=d2["be"] if kind == "write_ptl" else None,
        aop=d0["aop"] if moves == "operand" else 0,
        dst=d0["dst"],
        stream=d0["stream"],
    )


class UpperTester:
    """Accesses of one node's caches on behalf of peers, at most HELD_LIMIT at once."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._held: list[Ticket] = []

    def begin(self, message: Message, now: int) -> Message | Later:
        """Start the access of a record; BUSY when there is no slot for it. HSL 5.14 [HSL-NCR-009]."""
        sub = MGMT_D0.parse(message.data[:8])["sub"]
        agent = self._services.cache(message.dst)
        if sub not in UT_OPS or agent is None:
            return Message(Op.Cmp, err=Err.UNSUP)
        self._held = [ticket for ticket in self._held if not ticket.done]
        if agent.full or len(self._held) >= HELD_LIMIT:
            return Message(Op.Cmp, err=Err.BUSY)
        try:
            access = _access(sub, message.data)
            if sub == UtOp.PROBE:
                return self._answer(message, agent, access, None)
            ticket = agent.submit(access, now, collected=False)
        except ConfigError:
            return Message(Op.Cmp, err=Err.PROTO)
        self._held.append(ticket)
        return Later(lambda now: self._answer(message, agent, access, ticket) if ticket.done else None)

    @staticmethod
    def _answer(message: Message, agent: RequestAgent, access: Access, ticket: Ticket | None) -> Message:
        head = MGMT_D0.parse(message.data[:8])
        del head["arg"]
        head["state"] = RA_STATES.index(agent.state_of(access.addr))
        data = b""
        if ticket is not None:
            head |= {"status": ticket.err, "poison": int(ticket.poison)}
            data = ticket.data
        record = MGMT_ANSWER_D0.build(head).ljust(BODY, b"\0") + data.ljust(BODY, b"\0")
        return Message(Op.CmpData, len=RECORD_LEN, data=record)
