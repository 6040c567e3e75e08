"""The actions of the cache table: each word of `[actions.ra]` as a function of a turn (HSL 5.5).

A turn is one row that is run: the line, the event, and the access or the message that brought it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hsl._generated.constants import LINE_BYTES, Err, ErrorCode, Op, St
from hsl.agents import atomics
from hsl.agents.access import Access, Ticket
from hsl.agents.cache import Line
from hsl.agents.interpreter import Action, Table
from hsl.agents.wire import LINE_LEN, snoop_answer
from hsl.codec.message import Message

if TYPE_CHECKING:
    from hsl.agents.outstanding import Request
    from hsl.agents.request import RequestAgent

ALL_BYTES = (1 << LINE_BYTES) - 1  # byte enables of a whole line


class Turn:
    """One step of one line. `waits` and `sent` say afterwards what the row did with the access."""

    __slots__ = ("agent", "event", "line", "message", "now", "sent", "ticket", "waits")

    def __init__(
        self,
        agent: RequestAgent,
        line: Line,
        event: str,
        now: int,
        ticket: Ticket | None = None,
        message: Message | None = None,
    ) -> None:
        self.agent = agent
        self.line = line
        self.event = event
        self.now = now
        self.ticket = ticket
        self.message = message
        self.waits = False
        self.sent = False

    @property
    def cause(self) -> Message:
        """The message of a turn that a message brought."""
        assert self.message is not None
        return self.message

    @property
    def request(self) -> Request:
        """The outstanding request of the line."""
        assert self.line.request is not None
        return self.line.request


# ---- hit: the local access on the cached bytes


def _load(turn: Turn, ticket: Ticket) -> None:
    line, access = turn.line, ticket.access
    offset = access.addr % LINE_BYTES
    turn.agent.finish(ticket, turn.now, Err.OK, bytes(line.data[offset : offset + access.size]), line.poison)


def _store(turn: Turn, ticket: Ticket) -> None:
    offset = ticket.access.addr % LINE_BYTES
    turn.line.data[offset : offset + ticket.access.size] = ticket.access.data
    turn.agent.finish(ticket, turn.now)


def _store_enabled(turn: Turn, ticket: Ticket) -> None:
    line, access = turn.line, ticket.access
    offset, enables = access.addr % LINE_BYTES, access.enables
    for i, byte in enumerate(access.data):
        if enables >> i & 1:
            line.data[offset + i] = byte
    if enables == ALL_BYTES:
        line.poison = False  # 6.1: a partial write of all 64 bytes clears the mark
    turn.agent.finish(ticket, turn.now)


def _atomic(turn: Turn, ticket: Ticket) -> None:
    line, access = turn.line, ticket.access
    if line.poison:  # 5.12: not performed
        turn.agent.finish(ticket, turn.now, Err.DATA)
        return
    offset = access.addr % LINE_BYTES
    place = slice(offset, offset + access.size)
    new, old = atomics.apply(access.aop, access.size, bytes(line.data[place]), access.data)
    line.data[place] = new
    turn.agent.counters.near_atomics += 1
    turn.agent.finish(ticket, turn.now, Err.OK, old if access.kind == "atomic_load" else b"")


HITS: dict[str, Callable[[Turn, Ticket], None]] = {
    "load": _load,
    "read_once": _load,
    "store": _store,
    "write_ptl": _store_enabled,
    "atomic_load": _atomic,
    "atomic_store": _atomic,
}


def hit(turn: Turn) -> None:
    """Do the local access on the cached bytes."""
    assert turn.ticket is not None
    HITS[turn.ticket.access.kind](turn, turn.ticket)


def hit_line(turn: Turn) -> None:
    """Replace all 64 bytes by the store data, on Cmp(M) those of the request's access; clears poison."""
    ticket = turn.ticket or turn.request.ticket
    assert ticket is not None
    turn.line.data = bytearray(ticket.access.data)
    turn.line.poison = False
    if turn.ticket:
        turn.agent.finish(ticket, turn.now)


# ---- requests, and answers to snoops


def wait(turn: Turn) -> None:
    """Keep the local access pending."""
    turn.waits = True


def send(turn: Turn, name: str) -> None:
    """Send a request with a new TXN."""
    turn.sent = True
    turn.agent.send(turn.line, Op[name], turn.ticket, turn.now)


def rsp(turn: Turn, st: str) -> None:
    """Send SnpRsp."""
    turn.agent.outbox.append(snoop_answer(turn.cause, turn.agent.nid, St[st]))


def rspdata(turn: Turn, st: str) -> None:
    """Send SnpRspData with line and POISON."""
    line, snoop = turn.line, turn.cause
    turn.agent.counters.snoop_data += 1
    answer = Message(
        Op.SnpRspData, turn.agent.nid, snoop.src, snoop.txn, LINE_LEN, data=bytes(line.data), st=St[st]
    )
    turn.agent.outbox.append(answer._replace(poison=int(line.poison), qos=snoop.qos, trace=snoop.trace))


def odd(turn: Turn) -> None:
    """Log and count a snoop of a line that is not held (T11)."""
    turn.agent.counters.odd += 1
    turn.agent.log(ErrorCode.STALE, f"{turn.event} of {turn.line.addr:#x} in {turn.line.state}", turn.message)


# ---- completions and faults


def fill(turn: Turn) -> None:
    """Take the data and POISON of the message into the line."""
    turn.line.data = bytearray(turn.cause.data)
    turn.line.poison = bool(turn.cause.poison)
    turn.agent.counters.fills += 1
    turn.agent.counters.handed += turn.cause.st == St.M


def ack(turn: Turn) -> None:
    """Send CmpAck with TXN = HTXN; the MSHR ends when it has left (D4)."""
    cause = turn.cause
    turn.agent.outbox.append(
        Message(Op.CmpAck, turn.agent.nid, cause.src, cause.htxn, qos=cause.qos, trace=cause.trace)
    )
    turn.agent.leave(turn.request)


def _end(turn: Turn, err: Err, data: bytes = b"", poison: bool = False) -> None:
    """The access of the request has ended: it waits in the line, or left it when the request was sent."""
    line, request = turn.line, turn.request
    ticket, request.ticket = request.ticket, None
    if ticket is None:
        return
    if line.waiting and line.waiting[0] is ticket:
        line.waiting.popleft()
    turn.agent.finish(ticket, turn.now, err, data, poison)


def done(turn: Turn) -> None:
    """Local access finished OK, MSHR freed (after its CmpAck, if one is due)."""
    _end(turn, Err.OK)
    if turn.cause.st == St.I:
        turn.agent.close(turn.request)


def done_data(turn: Turn) -> None:
    """Local access finished with the message's data and POISON, MSHR freed."""
    ticket = turn.request.ticket
    assert ticket is not None
    _end(turn, Err.OK, _answered(ticket.access, turn.cause), bool(turn.cause.poison))
    turn.agent.close(turn.request)


def _answered(access: Access, message: Message) -> bytes:
    """The bytes that an access asked for, of the snapshot or old value that came (5.12)."""
    if access.kind == "atomic_load":
        return atomics.extract(access.size, access.addr, message.data)
    offset = access.addr % len(message.data)
    return message.data[offset : offset + access.size]


def free(turn: Turn) -> None:
    """MSHR freed: writeback or Evict finished. An access that waits for that is presented again."""
    if turn.cause.err:
        turn.agent.log(ErrorCode.PROTO, f"Evict of {turn.line.addr:#x} ended with an error", turn.message)
    ticket = turn.request.ticket
    if ticket is not None and ticket.access.kind == "evict":
        _end(turn, Err.OK)
    turn.agent.close(turn.request)


def report(turn: Turn) -> None:
    """Local access finished with the message's ERR, MSHR freed."""
    request = turn.request
    _end(turn, Err(turn.cause.err))
    turn.agent.close(request)


def retry(turn: Turn) -> None:
    """The home is BUSY: the access waits for its back-off, oldest of its line; MSHR freed. HSL 5.4 T4.

    One that has been presented for T_REQ ends with UNREACH.
    """
    line, request = turn.line, turn.request
    ticket, over = request.ticket, request.reported
    if ticket is not None and not over and turn.agent.given_up(ticket, request.dst, turn.now):
        _end(turn, Err.UNREACH)
        over = True
    if ticket is not None and over:
        turn.agent.pass_on(ticket, line)
        ticket = None
    turn.agent.close(request)
    if ticket is not None:
        if not line.waiting or line.waiting[0] is not ticket:
            line.waiting.appendleft(ticket)
        turn.agent.back_off(line, ticket, turn.now)


def report_unreach(turn: Turn) -> None:
    """Local access reported ERR=UNREACH. After T_REQ the request goes on, so a fence still waits (5.9)."""
    request = turn.request
    if turn.event == "home_lost":
        _end(turn, Err.UNREACH)
        turn.agent.close(request)
    elif request.ticket is not None:
        if turn.line.waiting and turn.line.waiting[0] is request.ticket:
            turn.line.waiting.popleft()
        turn.agent.report(request.ticket, turn.now, Err.UNREACH)


def drop(turn: Turn) -> None:
    """Discard the cached bytes; modified ones that no message carries on are lost, which is logged."""
    line = turn.line
    if line.state in ("M", "MI_A") and turn.event in ("Cmp_ERR", "Cmp_BUSY", "home_lost"):
        turn.agent.log(
            ErrorCode.DATA_LOST, f"modified line {line.addr:#x} dropped: {turn.event}", turn.message
        )
    line.data = bytearray()
    line.poison = False


def proto(turn: Turn) -> None:
    """Log PROTO, drop the message, count towards 6.3."""
    turn.agent.proto(f"{turn.event} for {turn.line.addr:#x} in {turn.line.state}", turn.cause)


def requests_of(table: Table) -> dict[tuple[str, str], Op]:
    """Return the request that the row of each cell sends, for the cells that send one."""
    actions = ((cell, action) for cell, (row,) in table.items() for action in row.actions)
    return {cell: Op[action[1]] for cell, action in actions if action[0] == "send"}


ACTIONS: dict[str, Action] = {
    "hit": hit,
    "hit_line": hit_line,
    "wait": wait,
    "send": send,
    "rsp": rsp,
    "rspdata": rspdata,
    "fill": fill,
    "ack": ack,
    "done": done,
    "done_data": done_data,
    "free": free,
    "report": report,
    "report_unreach": report_unreach,
    "retry": retry,
    "drop": drop,
    "proto": proto,
    "odd": odd,
}
