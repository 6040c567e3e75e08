"""Helpers of tests of a request agent: accesses, and the answers of a home."""

from collections.abc import Iterable
from typing import Any, cast

from hsl._generated.constants import LINE_BYTES, Op, St
from hsl.agents.access import Access
from hsl.agents.request import RequestAgent
from hsl.codec.message import Message
from tests.support.coherence import BASE, FIRST, HOME, agent

A, B, C = (BASE + LINE_BYTES * 2 * i for i in range(3))  # three lines of one set of the small cache
OTHER = BASE + LINE_BYTES  # a line of the other set
OLD = bytes(range(64))
NEW = bytes(range(64, 128))


def load(addr: int, size: int = 8) -> Access:
    return Access("load", addr, size)


def store(addr: int, data: bytes = b"new data") -> Access:
    return Access("store", addr, len(data), data)


def line_of(kind: str, addr: int, data: bytes = NEW) -> Access:
    return Access(kind, addr, LINE_BYTES, data)


def drain(one: RequestAgent, now: int = 0) -> list[Message]:
    """Take what has been sent, as the node does."""
    sent = list(one.outbox)
    one.outbox.clear()
    one.tick(now)
    return sent


def names(messages: Iterable[Message]) -> list[str]:
    return [Op(message.op).name for message in messages]


def complete(one: RequestAgent, request: Message, st: St, now: int = 0, **fields: int) -> list[Message]:
    """The home completes a request, a read with OLD; returns what the agent sends upon it."""
    answer = Message(Op.Cmp, request.dst, request.src, request.txn, st=st, htxn=9 if st else 0)
    if request.op in (Op.ReadShared, Op.ReadUnique, Op.ReadOnce) and not fields.get("err"):
        at = request.addr % LINE_BYTES
        answer = answer._replace(op=Op.CmpData, len=request.len, data=OLD[at : at + (8 << request.len)])
    one.receive(answer._replace(**cast(Any, fields)), now)
    return drain(one, now)


def snoop(one: RequestAgent, op: Op, addr: int, **fields: int) -> Message:
    """The home snoops a line; returns the answer."""
    one.receive(Message(op, HOME, one.nid, 5, 3, addr, **cast(Any, fields)), 0)
    return one.outbox[0]


def holding(addr: int, st: St, **config: int) -> RequestAgent:
    """An agent with a copy: M by a whole-line store of NEW, else OLD."""
    one = agent(FIRST, **cast(Any, config))
    one.submit(line_of("store_line", addr) if st == St.M else load(addr), 0)
    (request,) = drain(one)
    complete(one, request, st)
    one.completions()
    return one
