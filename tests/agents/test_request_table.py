"""Every cell of the cache table (HSL 5.5), run through the agent: what it sends, reports and becomes."""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import pytest

from hsl._generated.constants import LINE_BYTES, Err, ErrorCode, Op, St
from hsl._generated.tables import RA_EVENTS, RA_STATES, RA_TABLE
from hsl.agents.access import KINDS, Access, Ticket
from hsl.agents.request import RequestAgent
from hsl.agents.request_actions import Turn
from hsl.codec.message import Message
from tests.support.coherence import BASE, HOME, agent

LINE = BASE
OLD = bytes(range(64))
NEW = bytes(range(64, 128))
T_REQ = 1000


def access(kind: str) -> Access:
    """An access of a kind to the line: 4 bytes of it where it can be so few."""
    whole = kind in ("store_line", "write_full")
    data = b"" if kind in ("load", "read_once", "evict", "flush") else NEW[: LINE_BYTES if whole else 4]
    return Access(kind, LINE, LINE_BYTES if whole else 4, data)


def drain(one: RequestAgent) -> list[Message]:
    sent, one.outbox[:] = list(one.outbox), []
    return sent


def answer(one: RequestAgent, op: Op, st: St, **fields: int) -> Message:
    """A completion of the agent's request, TXN 0, with data where it has any."""
    asked = one._outstanding.find(0)
    length = 0 if op == Op.Cmp else 3 if asked is None else asked.len
    data = b"" if op == Op.Cmp else OLD[: 8 << length]
    return Message(op, HOME, one.nid, 0, len=length, data=data, st=st, htxn=7, **fields)


def begin(kind: str) -> Callable[[RequestAgent], None]:
    return lambda one: drain_after(one, access(kind))


def drain_after(one: RequestAgent, what: Access) -> None:
    one.submit(what, 0)
    drain(one)


def hold(one: RequestAgent, st: St) -> None:
    """Give the agent a copy: S or E by ReadShared, M by MakeUnique."""
    one.submit(access("store_line" if st == St.M else "load"), 0)
    drain(one)
    one.receive(answer(one, Op.Cmp if st == St.M else Op.CmpData, st), 0)
    drain(one)
    one.tick(0)
    one.completions()


def hold_then(st: St, kind: str) -> Callable[[RequestAgent], None]:
    def prepare(one: RequestAgent) -> None:
        hold(one, st)
        drain_after(one, access(kind))

    return prepare


# How a conforming home and program bring a line into each state.
REACH: dict[str, Callable[[RequestAgent], None]] = {
    "I": lambda one: None,
    "S": lambda one: hold(one, St.S),
    "E": lambda one: hold(one, St.E),
    "M": lambda one: hold(one, St.M),
    "IS_D": begin("load"),
    "IM_D": begin("store"),
    "IM_A": begin("store_line"),
    "SM_A": hold_then(St.S, "store"),
    "MI_A": hold_then(St.M, "evict"),
    "II_A": hold_then(St.E, "evict"),
    "IN_A": begin("write_full"),
    "IN_D": begin("read_once"),
}
STABLE = ("I", "S", "E", "M")
# The access whose request makes each of these states, and which a BUSY sends into its back-off.
IN_FLIGHT = {
    "IS_D": "load",
    "IM_D": "store",
    "IM_A": "store_line",
    "SM_A": "store",
    "IN_A": "write_full",
    "IN_D": "read_once",
}


def in_state(state: str) -> RequestAgent:
    one = agent(t_req=T_REQ)
    REACH[state](one)
    assert one.state_of(LINE) == state
    return one


class Seen(NamedTuple):
    """What a row did: messages with their ST, end of the access (None = pending), log codes, state."""

    sent: list[tuple[str, str | None]]
    end: Err | None
    logged: list[ErrorCode]
    state: str


def sent(messages: list[Message]) -> list[tuple[str, str | None]]:
    answers = (Op.SnpRsp, Op.SnpRspData)
    return [(Op(m.op).name, St(m.st).name if m.op in answers else None) for m in messages]


REFUSALS = {"Cmp_ERR": Err.DECODE, "Cmp_BUSY": Err.BUSY}
ENDS = {"hit": Err.OK, "hit_line": Err.OK, "done": Err.OK, "done_data": Err.OK, "report_unreach": Err.UNREACH}
LOGS = {"proto": ErrorCode.PROTO, "odd": ErrorCode.STALE}


def expected(state: str, event: str, waiting: bool) -> Seen:
    """What the words of the row mean, read from coherence.toml by eye."""
    (row,) = RA_TABLE[state, event]
    words = [action[0] for action in row.actions]
    messages: list[tuple[str, str | None]] = []
    for name, *args in row.actions:
        if name == "send":
            messages.append((args[0], None))
        elif name in ("rsp", "rspdata"):
            messages.append(("SnpRsp" if name == "rsp" else "SnpRspData", args[0]))
        elif name == "ack":
            messages.append(("CmpAck", None))
    ends = [ENDS[word] for word in words if word in ENDS]
    if "report" in words:
        ends = [REFUSALS[event]]
    if waiting and {"fill", "ack"} & set(words) and not ends:
        ends = [Err.OK]  # the access that waited is presented again and hits
    if event == "evict" and "send" not in words:
        ends = [Err.OK]  # nothing to drop
    if "free" in words:
        ends = [Err.OK]  # the evict that caused the request
    logged = [LOGS[word] for word in words if word in LOGS]
    if "free" in words and event in REFUSALS:
        logged.append(ErrorCode.PROTO)  # T14
    if "drop" in words and state in ("M", "MI_A") and event in (*REFUSALS, "home_lost"):
        logged.append(ErrorCode.DATA_LOST)
    return Seen(messages, ends[0] if ends else None, logged, state if row.next == "=" else row.next)


def fire(one: RequestAgent, event: str) -> None:
    """Bring the event of a message or a fault as it comes from outside."""
    if event.startswith("Snp"):
        one.receive(Message(Op[event], HOME, one.nid, 5, 3, LINE), 1)
    elif event in REFUSALS:
        one.receive(answer(one, Op.Cmp, St.I, err=REFUSALS[event]), 1)
    elif event == "home_lost":
        one.home_lost(HOME, 1)
    elif event == "t_req":
        one.tick(T_REQ)
    else:
        op, st = event.split("_")
        one.receive(answer(one, Op[op], St[st]), 1)


LOCAL = [event for event in RA_EVENTS if event in KINDS]
REMOTE = [event for event in RA_EVENTS if event not in KINDS]


def in_state_for_local(state: str) -> RequestAgent:
    """In a transient state the access that began it is reported, so that the next one is not behind it."""
    one = in_state(state)
    if state not in STABLE:
        one.tick(T_REQ)
        one.errors.clear()
    one.completions()
    return one


@pytest.mark.parametrize("state", RA_STATES)
@pytest.mark.parametrize("event", LOCAL)
def test_local_accesses(state: str, event: str) -> None:
    """A local access in each state sends, hits or waits as its row says [HSL-COH-021] [HSL-COH-026]."""
    one = in_state_for_local(state)
    ticket = one.submit(access(event), T_REQ)
    seen = Seen(
        sent(one.outbox), ticket.err if ticket.done else None, [e[0] for e in one.errors], one.state_of(LINE)
    )
    assert seen == expected(state, event, waiting=False)


def ticket_of(one: RequestAgent) -> Ticket | None:
    """The access that the line's outstanding request was sent for."""
    request = one._outstanding.find(0)
    return request.ticket if request else None


@pytest.mark.parametrize("state", RA_STATES)
@pytest.mark.parametrize("event", REMOTE)
def test_messages_and_faults(state: str, event: str) -> None:
    """Snoops, completions and faults do what their rows say [HSL-COH-022] [HSL-COH-023] [HSL-COH-029]."""
    one = in_state(state)
    one.errors.clear()
    ticket = ticket_of(one)
    waiting = state in ("IS_D", "IM_D", "SM_A")
    want = expected(state, event, waiting)
    fire(one, event)
    logged = [code for code, *_ in one.errors if event != "t_req" or code != ErrorCode.TIMEOUT]
    if waiting and event.startswith("CmpData") and want.state == "E" and state != "IS_D":
        want = want._replace(state="M")  # the waiting store hits at once [HSL-COH-043]
    if (state, event) == ("SM_A", "Cmp_E"):
        want = want._replace(state="M")
    if ticket is None:
        assert want.end is None or state in STABLE
    else:
        assert (ticket.err if ticket.done else None) == want.end
    assert sent(one.outbox) == want.sent
    assert logged == want.logged
    assert one.state_of(LINE) == want.state


def completed(state: str) -> RequestAgent:
    """A line in a stable state whose request is still known, because its CmpAck has not left."""
    one = agent()
    grant = {"M": (Op.Cmp, St.M), "E": (Op.CmpData, St.E)}.get(state, (Op.CmpData, St.S))
    one.submit(access("store_line" if state == "M" else "load"), 0)
    drain(one)
    one.receive(answer(one, *grant), 0)
    if state == "I":
        one.receive(Message(Op.SnpInv, HOME, one.nid, 5, 3, LINE), 0)
    assert one.state_of(LINE) == state
    return one


@pytest.mark.parametrize("state", STABLE)
@pytest.mark.parametrize("event", [event for event in REMOTE if event.startswith("Cmp")])
def test_a_second_completion_is_refused(state: str, event: str) -> None:
    """A completion of a request that is completed is PROTO and changes nothing, in every stable state."""
    one = completed(state)
    copy = one.peek(LINE)
    fire(one, event)
    assert [code for code, *_ in one.errors] == [ErrorCode.PROTO]
    assert one.counters.proto == 1
    assert (one.state_of(LINE), one.peek(LINE)) == (state, copy)


@pytest.mark.parametrize("state", STABLE)
@pytest.mark.parametrize("event", ["t_req", "home_lost"])
def test_faults_without_a_request(state: str, event: str) -> None:
    """T_REQ is nothing to a stable line, and the loss of its home leaves it in I."""
    one = in_state(state)
    line = one.cache.line(LINE)
    one._run(Turn(one, line, event, 1))
    assert (line.state, one.outbox) == (state if event == "t_req" else "I", [])


def test_every_cell_can_be_reached() -> None:
    """What these tests do runs all 300 cells of the table."""
    covered: Counter[tuple[str, str]] = Counter()
    for state in RA_STATES:
        for event in LOCAL:
            one = in_state_for_local(state)
            one.submit(access(event), T_REQ)
            covered += one.coverage
        for event in REMOTE:
            one = in_state(state)
            fire(one, event)
            covered += one.coverage
            if state in STABLE and event.startswith("Cmp"):
                one = completed(state)
                fire(one, event)
                covered += one.coverage
        one = in_state(state)
        for event in ("t_req", "home_lost"):
            one._run(Turn(one, one.cache.line(LINE), event, 1))
        covered += one.coverage
    assert set(covered) == set(RA_TABLE)
