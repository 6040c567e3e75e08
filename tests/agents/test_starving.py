"""Accesses that lack an MSHR, a TXN or a way: who gets it, and what waiting costs (HSL 5.2 D1)."""

from __future__ import annotations

import pytest

from hsl._generated.constants import LINE_BYTES, Err, Op, St
from hsl.agents.access import Access
from hsl.agents.address_map import AddressMap, SamEntry
from hsl.agents.peers import LOCAL
from hsl.agents.request import RequestAgent
from hsl.agents.request_config import RequestConfig
from hsl.codec.message import Message
from tests.support.agents import complete, drain, load, store
from tests.support.calls import calls
from tests.support.coherence import BASE, FIRST

POOR, GOOD = 0, 1  # two homes; the first takes one TXN
SIZE = 1 << 16
MAP = AddressMap([SamEntry(BASE, BASE + SIZE - 1, home=POOR), SamEntry(2 * SIZE, 3 * SIZE - 1, home=GOOD)])
# What all accesses of a flood lack, and the agent for which they do.
LACKS = {"an MSHR": {"mshrs": 1}, "a TXN": {"mshrs": 16}, "a way": {"mshrs": 16, "sets": 1, "ways": 1}}


def agent(lack: str, accesses: int) -> RequestAgent:
    """An agent with so many loads from POOR, of which one is sent."""
    config = {"sets": 256, "ways": 4, "pending": 1024} | LACKS[lack]
    one = RequestAgent(RequestConfig(nid=FIRST, address_map=MAP, **config))
    if lack == "a TXN":
        one.attach(range(POOR, POOR + 1), LOCAL._replace(max_txn=1))
    for i in range(accesses):
        one.submit(load(BASE + i * LINE_BYTES), i)
    return one


@pytest.mark.parametrize("lack", LACKS)
def test_the_oldest_gets_what_becomes_free(lack: str) -> None:
    """Accesses that lack the same are sent in the order in which they were begun, each once."""
    one = agent(lack, 9)
    sent = []
    for _ in range(100):
        requests = [message for message in drain(one) if message.op != Op.CmpAck]
        sent += [message.addr for message in requests if message.op == Op.ReadShared]
        for request in requests:
            one.receive(answer(request), 9)
    assert sent == [BASE + i * LINE_BYTES for i in range(9)], f"they lack {lack}"
    assert one.idle


def answer(request: Message) -> Message:
    """The completion of a read or an eviction."""
    if request.op == Op.ReadOnce:
        data = bytes(8 << request.len)
        return Message(Op.CmpData, request.dst, request.src, request.txn, request.len, data=data)
    if request.op != Op.ReadShared:
        return Message(Op.Cmp, request.dst, request.src, request.txn)
    return Message(
        Op.CmpData, request.dst, request.src, request.txn, 3, data=bytes(LINE_BYTES), st=St.S, htxn=9
    )


def test_who_lacks_something_holds_up_nobody_who_lacks_something_else() -> None:
    """Accesses that wait for the one TXN of a poor home do not hold up one to another home. HSL 6.3."""
    one = agent("a TXN", 9)
    (first,) = drain(one)
    other = one.submit(load(2 * SIZE), 10)
    (request,) = drain(one)
    assert request.dst == GOOD, "6.3: what a home has negotiated binds requests to it and no others"
    complete(one, request, St.S)
    assert other.done
    one.receive(answer(first), 11)
    assert [message.dst for message in drain(one)][:1] == [POOR]


def test_an_access_keeps_its_age_when_it_lacks_something_else() -> None:
    """A way goes to the access that was begun first, also if that lacked a TXN before it lacked a way."""
    config = {"sets": 1, "ways": 1, "mshrs": 16}
    one = RequestAgent(RequestConfig(nid=FIRST, address_map=MAP, **config))
    one.attach(range(POOR, POOR + 1), LOCAL._replace(max_txn=1))
    one.submit(Access("read_once", BASE, 8), 0)  # takes the TXN of POOR, and no way
    one.submit(load(2 * SIZE), 1)  # takes the way
    older, younger = BASE + LINE_BYTES, 2 * SIZE + LINE_BYTES
    one.submit(load(older), 2)  # lacks a TXN
    one.submit(load(younger), 3)  # lacks a way
    sent = drain(one)
    order = []
    while sent:
        order += [message.addr for message in sent if message.op == Op.ReadShared]
        for request in (message for message in sent if message.op != Op.CmpAck):
            one.receive(answer(request), 4)
        sent = drain(one)
    assert order == [2 * SIZE, older, younger], "D1: in the order in which they were begun"


def costs(lack: str, waiting: int) -> dict[str, int]:
    """The calls that an event makes while so many accesses starve."""
    one = agent(lack, 1 + waiting)
    (first,) = drain(one)
    snoop = Message(Op.SnpInv, GOOD, FIRST, 5, 3, 2 * SIZE + LINE_BYTES)
    upon = answer(first)

    def sent() -> None:
        one.outbox.clear()
        one.tick(3)

    return {
        "a snoop": calls(lambda: one.receive(snoop, 2)),
        "a tick": calls(lambda: one.tick(2)),
        "an access": calls(lambda: one.submit(Access("load", 2 * SIZE, 8), 2)),
        "a completion": calls(lambda: one.receive(upon, 3)),
        "an outbox that was emptied": calls(sent),
    }


@pytest.mark.parametrize("waiting", [37, 107])
@pytest.mark.parametrize("lack", LACKS)
def test_the_cost_of_a_message_does_not_depend_on_how_many_accesses_starve(lack: str, waiting: int) -> None:
    """Each event makes as many calls with 37 or 107 accesses starving as with 7. HSL 6.3.

    Else a home that is slow, or takes one TXN, makes an agent too slow for the snoops of others.
    """
    assert costs(lack, waiting) == costs(lack, 7), f"6.3: work for each of {waiting} that lack {lack}"


def test_a_way_is_made_free_by_a_line_that_can_go() -> None:
    """The oldest line of the set is of a home without a TXN for its Evict: the next one goes. HSL 5.2 D1."""
    config = RequestConfig(nid=FIRST, address_map=MAP, mshrs=16, sets=1, ways=2)
    one = RequestAgent(config)
    one.attach(range(POOR, POOR + 1), LOCAL._replace(max_txn=1))
    for addr in (BASE, 2 * SIZE):
        one.submit(load(addr), 0)
        (request,) = drain(one)
        complete(one, request, St.S)
    one.submit(Access("read_once", BASE + LINE_BYTES, 8), 1)
    (taken,) = drain(one)
    assert (taken.dst, taken.txn) == (POOR, 0)
    one.submit(load(2 * SIZE + LINE_BYTES), 2)
    assert [(message.op, message.dst) for message in drain(one)][:1] == [(Op.Evict, GOOD)]


def test_a_hit_that_waits_for_the_lease_needs_no_mshr() -> None:
    """The port has woken, and all MSHRs are at a slow home: the copy may be used. HSL 3.7.5."""
    one = RequestAgent(RequestConfig(nid=FIRST, address_map=MAP, mshrs=1))
    one.submit(load(2 * SIZE), 0)
    (request,) = drain(one)
    complete(one, request, St.S)
    awake = False
    one.lease = lambda home, now: awake
    hit = one.submit(load(2 * SIZE), 1)
    one.submit(Access("read_once", BASE, 8), 1)
    assert [message.dst for message in drain(one)] == [POOR]
    assert not hit.done
    awake = True
    one.tick(2)
    assert hit.done


def test_a_line_whose_home_takes_no_further_txn_is_not_evicted() -> None:
    """A way waits until the home of its line takes another request: TXN lies below its MAX_TXN. HSL 2.6."""
    one = RequestAgent(RequestConfig(nid=FIRST, address_map=MAP, sets=1, ways=1, mshrs=16))
    one.attach(range(POOR, POOR + 1), LOCAL._replace(max_txn=1))
    one.submit(load(BASE), 0)
    complete(one, drain(one)[0], St.S)
    one.submit(Access("read_once", BASE + 64, 8), 1)  # takes the TXN of POOR, and no way
    (request,) = drain(one)
    one.submit(load(2 * SIZE), 2)
    assert drain(one) == [], "2.6: an Evict would have a TXN that its home does not take"
    assert [message.op for message in complete(one, request, St.I)][:1] == [Op.Evict]


def test_the_oldest_of_two_that_lack_different_things_gets_the_mshr() -> None:
    """An MSHR that becomes free goes to an access that lacked a way before it goes to a younger one. D1."""
    one = RequestAgent(RequestConfig(nid=FIRST, address_map=MAP, sets=4, ways=1, mshrs=2))
    first, other, younger, _, older = (2 * SIZE + i * LINE_BYTES for i in range(5))
    one.submit(load(first), 0)
    one.submit(load(older), 1)  # lacks a way: the only one of its set is taken
    one.submit(load(other), 2)
    one.submit(load(younger), 3)  # lacks an MSHR
    request, _ = drain(one)
    order = []
    for _ in range(3):
        one.receive(answer(request), 4)
        (request,) = (message for message in drain(one, 4) + drain(one, 4) if message.op != Op.CmpAck)
        order.append((Op(request.op).name, request.addr))
    assert order == [("Evict", first), ("ReadShared", older), ("ReadShared", younger)], "D1: oldest first"


def test_a_line_in_back_off_holds_up_nobody_who_starves() -> None:
    """An access that lacks an MSHR gets that of one that ended BUSY, which needs none in its pause.

    HSL-TXN-008.
    """
    one = RequestAgent(RequestConfig(nid=FIRST, address_map=MAP, sets=4, ways=1, mshrs=1))
    busy, middle, last = (2 * SIZE + i * LINE_BYTES for i in range(3))
    one.submit(load(busy), 0)
    complete(one, drain(one)[0], St.S)
    one.submit(load(middle), 1)
    (request,) = drain(one)
    one.submit(store(busy), 2)  # lacks an MSHR
    one.submit(load(last), 3)  # too
    one.receive(answer(request), 4)
    one.outbox.clear()  # the CmpAck is in a flit
    one.receive(Message(Op.SnpCur, GOOD, FIRST, 5, 3, busy), 5)
    upgrade = next(message for message in drain(one, 5) if message.op == Op.Upgrade)
    one.receive(Message(Op.Cmp, GOOD, FIRST, upgrade.txn, err=Err.BUSY), 6)
    assert [message.addr for message in drain(one, 6)] == [last], "5.4 T4: it holds no MSHR in its pause"
