"""A directory with few entries: victims, and whose turn it is (HSL 5.2 D10)."""

from __future__ import annotations

from random import Random

import pytest

from hsl._generated.constants import LINE_BYTES, Op
from hsl.agents.entries import Entries
from hsl.agents.home import HomeAgent, HomeConfig
from hsl.agents.memory import Memory
from hsl.agents.peers import LOCAL, Peers
from hsl.codec.message import Message
from hsl.errors import ConfigError
from tests.agents.home_rig import HOME, LINE, MAP, NEW, OTHER, SIZE, A, B, C, Rig, shape

THIRD = OTHER + LINE_BYTES


def test_a_request_without_an_entry_recalls_another_line() -> None:
    """The idle line is recalled; its entry goes to the request, its data to memory. HSL 5.2 D10."""
    rig = Rig(directory_lines=1)
    rig.hold(A)
    (snoop,) = rig.send(Op.ReadUnique, B, addr=OTHER)
    assert shape([snoop]) == [("SnpInv", A, "I", "OK")]
    assert rig.home.directory_of(OTHER).dir == "I"
    (grant,) = rig.send(Op.SnpRspData, A, txn=snoop.txn)
    assert (grant.dst, rig.directory(), rig.memory.read_line(LINE)) == (B, ("I", set()), (NEW, False))
    rig.ack(grant)
    assert rig.directory(OTHER) == ("X", {B})
    assert rig.home.idle


def test_a_request_that_waits_for_an_entry_holds_no_tshr() -> None:
    """With one TSHR the Recall runs, and so does a request that needs no entry. [HSL-TXN-009]."""
    rig = Rig(directory_lines=1, tshrs=1)
    rig.hold(A)
    snoops = rig.send(Op.ReadUnique, B, addr=OTHER)
    assert shape(snoops) == [("SnpInv", A, "I", "OK")]
    (snoop,) = snoops
    assert len(rig.home.taken) == 1, "only the request of A has left its buffer"
    (grant,) = rig.send(Op.SnpRsp, A, txn=snoop.txn)
    rig.ack(grant)
    assert shape(rig.send(Op.WriteFull, C, addr=THIRD)) == [("Cmp", C, "I", "OK")]
    assert rig.home.idle


def test_the_entry_of_a_victim_belongs_to_the_request_that_chose_it() -> None:
    """It becomes free by an Evict, not by the Recall; C, which came later, waits. [HSL-TXN-010]."""
    rig = Rig(directory_lines=1)
    (first,) = rig.send(Op.ReadUnique, A)
    assert rig.send(Op.ReadUnique, B, addr=OTHER) == [], "LINE is busy, so the Recall queues at it"
    assert rig.send(Op.Evict, A) == []
    assert rig.send(Op.ReadUnique, C, addr=THIRD) == []
    sent = rig.ack(first)
    assert [message.dst for message in sent] == [A, B]
    grant = sent[1]
    (snoop,) = rig.ack(grant)
    assert (snoop.op, snoop.dst) == (Op.SnpInv, B), "C has chosen the line of B meanwhile"
    (grant,) = rig.send(Op.SnpRsp, B, txn=snoop.txn)
    rig.ack(grant)
    assert (grant.dst, rig.home.idle) == (C, True)


def test_an_evict_that_comes_first_spares_the_recall() -> None:
    """The Evict was queued before the Recall: the entry is passed on, nobody is snooped. [HSL-TXN-010]."""
    rig = Rig(directory_lines=1)
    (first,) = rig.send(Op.ReadUnique, A)
    assert rig.send(Op.Evict, A) == []
    rig.now = 1
    assert rig.send(Op.ReadUnique, B, addr=OTHER) == []
    sent = rig.ack(first)
    assert [(message.op, message.dst) for message in sent] == [(Op.Cmp, A), (Op.CmpData, B)]
    rig.ack(sent[1])
    assert (rig.home.counters["SnpInv"], rig.home.idle) == (0, True)


def test_requests_that_wait_get_entries_in_order() -> None:
    """Four lines share an entry; the one that waits longest comes first. [HSL-TXN-010]."""
    rig = Rig(directory_lines=1)
    (grant,) = rig.send(Op.ReadUnique, A)
    assert rig.send(Op.ReadUnique, B, addr=OTHER) == []
    assert rig.send(Op.ReadUnique, C, addr=THIRD) == []
    assert rig.send(Op.ReadUnique, A, addr=THIRD + LINE_BYTES) == []
    order = [A]
    for _ in range(3):
        (snoop,) = rig.ack(grant)
        (grant,) = rig.send(Op.SnpRsp, snoop.dst, txn=snoop.txn)
        order.append(grant.dst)
    rig.ack(grant)
    assert order == [A, B, C, A]


def test_a_busy_line_that_is_always_asked_for_is_a_victim() -> None:
    """A and B take LINE from each other; C, which needs its entry, comes after them. [HSL-TXN-010]."""
    rig = Rig(directory_lines=1)
    (grant,) = rig.send(Op.ReadUnique, A)
    rig.send(Op.ReadUnique, B)
    rig.send(Op.ReadUnique, C, addr=OTHER)
    rig.now = 1
    served: list[int] = []
    for _ in range(4):
        rig.now += 1
        other = A if grant.dst == B else B
        rig.send(Op.ReadUnique, other) if other not in rig.directory()[1] and grant.dst != C else None
        sent = rig.ack(grant)
        while sent and sent[0].op == Op.SnpInv:
            sent = rig.send(Op.SnpRsp, sent[0].dst, txn=sent[0].txn)
        assert sent, f"nobody is served after {served}"
        grant = sent[0]
        served.append(grant.dst)
        if grant.dst == C:
            break
    assert served[-1] == C
    assert len(served) <= 3


def test_the_loss_of_a_requester_gives_its_entry_to_the_next() -> None:
    """B, whose request waits for an entry, is lost: C gets it, and the Recall is not begun twice."""
    rig = Rig(directory_lines=1)
    (grant,) = rig.send(Op.ReadUnique, A)
    rig.send(Op.ReadUnique, B, addr=OTHER)
    rig.send(Op.ReadUnique, C, addr=THIRD)
    rig.home.fence(B, 0)
    (snoop,) = rig.ack(grant)
    (grant,) = rig.send(Op.SnpRsp, A, txn=snoop.txn)
    rig.ack(grant)
    assert (grant.dst, rig.home.idle) == (C, True)


def test_the_loss_of_a_holder_frees_its_entry() -> None:
    """A, the owner of the victim, is lost while the Recall waits at its busy line."""
    rig = Rig(directory_lines=1)
    rig.hold(A)
    (snoop,) = rig.send(Op.ReadUnique, B, addr=OTHER)
    assert snoop.dst == A
    rig.home.fence(A, 0)
    (grant,) = rig.sent()
    rig.ack(grant)
    assert (grant.dst, rig.directory(OTHER), rig.home.idle) == (B, ("X", {B}), True)


def test_a_directory_has_an_entry() -> None:
    """Without one nothing could be cached."""
    with pytest.raises(ConfigError, match="directory lines"):
        HomeAgent(HomeConfig(nid=HOME, address_map=MAP, directory_lines=0), Memory(0, SIZE))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("entries", "tshrs"), [(1, 1), (1, 4), (2, 2), (3, 8), (6, 4)])
def test_random_requests_find_an_end(seed: int, entries: int, tshrs: int) -> None:
    """Requests of three agents for eight lines all end; no more lines are listed than have entries."""
    rng = Random(seed)
    rig = Rig(directory_lines=entries, tshrs=tshrs)
    for port, nid in enumerate((A, B)) if seed % 2 else ():
        rig.home.attach(range(nid, nid + 1), LOCAL, port)
    lines = [LINE + n * LINE_BYTES for n in range(8)]
    held: dict[tuple[int, int], bool] = {}  # what an agent has, and whether it asks
    flying: list[Message] = []
    open_requests: dict[tuple[int, int], tuple[int, int]] = {}
    txn = 0
    for step in range(600):
        rig.now = step
        agent, line = rng.choice((A, B, C)), rng.choice(lines)
        if step < 400 and (agent, line) not in open_requests.values():
            op = Op.Evict if held.get((agent, line)) else Op.ReadUnique
            held.pop((agent, line), None)
            txn += 1
            open_requests[agent, txn] = agent, line
            flying += rig.send(op, agent, addr=line, txn=txn)
        for message in [m for m in flying if rng.random() < 0.5 or step > 500]:
            flying.remove(message)
            if message.op == Op.SnpInv:
                held.pop((message.dst, message.addr), None)
                flying += rig.send(Op.SnpRsp, message.dst, txn=message.txn)
            else:
                done = open_requests.pop((message.dst, message.txn))
                if message.op == Op.CmpData:
                    held[done] = True
                    flying += rig.ack(message)
        assert sum(rig.home.directory_of(each).dir != "I" for each in lines) <= entries
    assert open_requests == {}
    assert rig.home.idle
    assert rig.errors() == []


def test_a_line_that_isolates_is_no_victim() -> None:
    """A, which holds the oldest entry, isolates: the line of C is recalled, then B waits for the proof.

    [HSL-COH-053].
    """
    rig = Rig(directory_lines=2)
    rig.hold(A)
    rig.hold(C, addr=OTHER)
    rig.home.isolate(A, 0)
    snoops = rig.send(Op.ReadUnique, B, addr=THIRD)
    assert [(snoop.dst, snoop.addr) for snoop in snoops] == [(C, OTHER)], "all other lines go on"
    snoop = snoops[0]
    (grant,) = rig.send(Op.SnpRsp, C, txn=snoop.txn)
    rig.ack(grant)
    fourth = THIRD + LINE_BYTES
    (snoop,) = rig.send(Op.ReadUnique, B, addr=fourth)
    assert (snoop.dst, snoop.addr) == (B, THIRD)
    assert rig.send(Op.ReadUnique, C, addr=fourth + LINE_BYTES) == [], "no line is left but that of A"
    rig.home.fence(A, 1)
    assert [message.dst for message in rig.sent()] == [C], "the walk has freed the entry of A"


def test_a_line_that_isolated_may_be_a_victim_again() -> None:
    """B shares the line of A, which is lost: after the proof the line is recalled from B. [HSL-COH-053]."""
    rig = Rig(directory_lines=1)
    rig.hold(A)
    rig.hold(B, Op.ReadShared)
    rig.home.isolate(A, 0)
    assert rig.send(Op.ReadUnique, C, addr=OTHER) == []
    assert rig.home.counters["victims"] == 0
    rig.home.fence(A, 1)
    assert [(message.op, message.dst) for message in rig.sent()] == [(Op.SnpInv, B)]


def test_a_port_leaves_the_entries_that_others_can_count_on() -> None:
    """B, which answers no snoop, may have all entries but the part of each other group. [HSL-SEC-016]."""
    rig = Rig(directory_lines=12)
    for port, nid in enumerate((A, B)):
        rig.home.attach(range(nid, nid + 1), LOCAL, port)
    lines = iter(range(OTHER, OTHER + 64 * LINE_BYTES, LINE_BYTES))
    rig.hold(A)
    for _ in range(8):
        rig.hold(B, addr=next(lines))
    (snoop,) = rig.send(Op.ReadUnique, B, addr=next(lines))
    assert (snoop.op, snoop.dst) == (Op.SnpInv, B), "what is free is not for B"
    for nid in (A, C, C):
        (grant,) = rig.send(Op.ReadUnique, nid, addr=next(lines))
        rig.ack(grant)
    (snoop,) = rig.send(Op.ReadUnique, A, addr=next(lines))
    assert (snoop.dst, snoop.addr) == (A, LINE), "who has its part gives its own oldest line"
    (grant,) = rig.send(Op.SnpRsp, A, txn=snoop.txn)
    assert grant.dst == A


def test_who_lacks_its_part_gets_it_from_who_has_most_above_its_own() -> None:
    """A port comes up when others have all entries: the one with the most gives one up. [HSL-SEC-016]."""
    rig = Rig(directory_lines=12)
    rig.home.attach(range(A, A + 1), LOCAL, 0)
    lines = iter(range(OTHER, OTHER + 64 * LINE_BYTES, LINE_BYTES))
    for nid in (C, C, C, C, A, A, A, A, A, A, A, A):
        rig.hold(nid, addr=next(lines))
    rig.home.attach(range(B, B + 1), LOCAL, 1)
    (snoop,) = rig.send(Op.ReadUnique, B, addr=next(lines))
    assert (snoop.op, snoop.dst) == (Op.SnpInv, A)


def test_an_entry_counts_to_who_asked_last() -> None:
    """B takes the lines of A: A, which has none left, can still count on its part. [HSL-SEC-016]."""
    rig = Rig(directory_lines=4)
    for port, nid in enumerate((A, B)):
        rig.home.attach(range(nid, nid + 1), LOCAL, port)
    entries = rig.home._entries
    rig.hold(A)
    rig.hold(B)
    assert [entries._held[group] for group in range(3)] == [0, 0, 1]


def test_the_oldest_idle_line_is_chosen() -> None:
    """Of the lines without an heir an idle one goes first, however old a busy one is; none that isolates."""
    entries = Entries(4, Peers())
    lost = {4}
    assert [entries.ask(line, A) for line in range(1, 10)] == [True] * 4 + [False] * 5

    def choose(*still: int) -> int | None:
        chosen = entries.choose(still.__contains__, lost.__contains__)
        return None if chosen is None else chosen[0]

    assert choose(2, 3) == 2
    assert choose(4, 1) == 1
    assert choose() == 3
    assert choose(1, 2, 3, 4) is None, "each has an heir or isolates"
    assert (entries.free(3), entries.free(2)) == (7, 5)
    assert choose() == 7
    lost.clear()
    entries.restore((1, 4))
    assert choose(4) == 4


def test_a_port_has_its_part_before_it_first_comes_up() -> None:
    """A takes what is no part of another, of the port that has never been up either. [HSL-SEC-016]."""
    rig = Rig(directory_lines=12, ports=2)
    rig.home.attach(range(A, A + 1), LOCAL, 0)
    lines = iter(range(OTHER, OTHER + 64 * LINE_BYTES, LINE_BYTES))
    for _ in range(8):
        rig.hold(A, addr=next(lines))
    (snoop,) = rig.send(Op.ReadUnique, A, addr=next(lines))
    assert (snoop.op, snoop.dst) == (Op.SnpInv, A)
    rig.home.attach(range(B, B + 1), LOCAL, 1)
    (grant,) = rig.send(Op.ReadUnique, B, addr=next(lines))
    assert grant.dst == B
