"""Bonded ports: rotation, merge, start of the port, the procedure of link loss (HSL 4)."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from hsl._generated.constants import TIMERS, CtlOp, ErrorCode, FlitType, LinkState, Op, Vc
from hsl.codec.flit import flit_type
from hsl.link.classify import Input
from tests.link.pair import TU, Faults, Pair, Side, config, ctl_from, decode, flit_from, is_ctl, message

LENGTH = {name: timer.tu * TU for name, timer in TIMERS.items()}
PROCEDURE = 40 * TU  # more than a fail-over takes without losses


def bonded(links: int, **changes: Any) -> Pair:
    """A pair of ports of `links` links."""
    return Pair(config(1, links=links, **changes), config(2, links=links, **changes))


def load(pair: Pair, count: int) -> None:
    """Queue `count` numbered messages of one flit each on both sides."""
    for side, _ in pair.sides:
        side.waiting.extend(message(Op.NcWrite, txn) for txn in range(count))


def check_all_arrived(pair: Pair, count: int) -> None:
    """Each message was delivered once and in order, and no credit is missing."""
    for side, _ in pair.sides:
        assert [received.txn for received in side.got] == list(range(count))
        assert side.port.quiesced


def alive(pair: Pair) -> tuple[int, int]:
    return pair.a.port.alive, pair.b.port.alive


def txns(side: Side, link: int) -> list[int]:
    """TXN of the messages in the PROT that `side` has sent on `link`, in order."""
    sent = [data for _, data in side.wires[link].sent if flit_type(data) == FlitType.PROT]
    return [int.from_bytes(decode(data).payload[:8], "little") >> 28 & 0xFFF for data in sent]


def bond_from(side: Side, op: CtlOp, link: int, **body: Any) -> bytes:
    """A BOND flit as `side` would send it on `link`."""
    end = side.port.links[link]
    rest = {"epoch": end.epoch, "peer": end.peer, "seq": end.tx.rp, "ack": end.rx.ack}
    return ctl_from(side, op, body, **rest)


def take_away(pair: Pair, link: int) -> None:
    """Take a link away: sw_disable at `a`; `b` is told by DISABLE, or by the mask of BOND_FAIL."""
    pair.a.port.disable_link(link, pair.now)


# ------------------------------------------------------------------------------- rotation, merge, start


@pytest.mark.parametrize("links", range(1, 9))
def test_any_number_of_links_is_one_port(links: int) -> None:
    """Ports of 1 to 8 links carry all messages in order, with equal shares of flits [HSL-BND-007]."""
    pair = bonded(links).up()
    load(pair, 60)
    pair.settle()
    check_all_arrived(pair, 60)
    assert alive(pair) == ((1 << links) - 1,) * 2
    shares = [link.counters.prot_sent for link in pair.a.port.links]
    assert max(shares) - min(shares) <= 1
    assert pair.a.ups() == pair.b.ups() == 1


def test_new_flits_go_round_from_the_lowest_link() -> None:
    """Flit k of an epoch of 3 links is on link k mod 3 [HSL-BND-001]."""
    pair = bonded(3, credits={7: 40}).up()
    pair.a.waiting.extend(message(Op.NcWrite, txn) for txn in range(30))
    pair.b.releasing = False  # no credit-only flit mixes in
    pair.run(2000)
    for link in range(3):
        assert txns(pair.a, link)[:10] == list(range(link, 30, 3))


def test_a_link_that_cannot_send_is_not_skipped() -> None:
    """While the link of the turn is in RECOVERY nothing new is sent on the others [HSL-BND-001]."""
    pair = bonded(2).up()
    pair.b.wires[1].hook = lambda data: []  # its RESYNC stays unanswered
    pair.a.port.links[1].handle(Input("sw_retrain"), pair.now)
    load(pair, 50)
    pair.run(LENGTH["T_BOND"])
    assert pair.a.port.state(1) is LinkState.RECOVERY
    assert len(txns(pair.a, 0)) == 1


@pytest.mark.parametrize("slow", range(3))
@pytest.mark.parametrize("window", [1, 7, 64])
def test_skew_up_to_the_windows(slow: int, window: int) -> None:
    """One link takes fifty times as long as the others: the merge keeps the order [HSL-BND-002]."""
    pair = bonded(3, window=window, tu_exp=10).up()
    for side, _ in pair.sides:
        side.wires[slow].latency = 5000
    load(pair, 3 * window + 40)
    pair.settle()
    check_all_arrived(pair, 3 * window + 40)
    assert sum(link.counters.replays for side, _ in pair.sides for link in side.port.links) == 0


def test_reorder_space_is_filled_to_its_cap() -> None:
    """A link below the one that stalls may be window + 1 flits ahead, one above window [HSL-BND-002].

    One flit more of a peer that skips the turn is MALFORMED, and ends the port.
    """
    pair = bonded(3, window=5, credits={7: 100}).up()
    pair.a.wires[1].hook = lambda data: [] if flit_type(data) == FlitType.PROT else [(data, False)]
    pair.a.waiting.extend(message(Op.NcWrite, txn) for txn in range(60))
    pair.run(3 * LENGTH["T_ACK"])
    held = [each.link for each in pair.b.port.bond.rx.held.values()]
    assert [held.count(link) for link in range(3)] == [5, 0, 5]  # 6 came on link 0, and one was delivered
    end = pair.a.port.links[0]
    for number in range(2):
        seq = (end.tx.next + number) % 1024
        pair.inject(pair.b, flit_from(pair.a, FlitType.PROT, seq=seq, ack=end.rx.ack), link=0)
        assert pair.b.port.up is (number == 0)
    assert ErrorCode.MALFORMED in errors(pair.b)
    assert all(link.state is LinkState.DEAD for link in pair.b.port.links)


def errors(side: Side) -> list[ErrorCode]:
    return [code for link in side.port.links for code in link.counters.errors]


def test_replay_on_one_link_loses_and_reorders_nothing() -> None:
    """Flits that are lost or damaged on one link are replayed there; the others go on [HSL-BND-003]."""
    pair = bonded(3).up()
    lost = iter([3, 4, 9, 20])
    state = {"next": next(lost), "count": 0}

    def hook(data: bytes) -> list[tuple[bytes, bool]]:
        if flit_type(data) != FlitType.PROT:
            return [(data, False)]
        state["count"] += 1
        if state["count"] != state["next"]:
            return [(data, False)]
        state["next"] = next(lost, 0)
        return [(data, True)] if state["count"] % 2 else []

    pair.a.wires[1].hook = hook
    load(pair, 200)
    pair.settle()
    check_all_arrived(pair, 200)
    assert pair.a.port.links[1].counters.replays > 0
    assert pair.a.port.links[0].counters.replays == pair.a.port.links[2].counters.replays == 0
    assert alive(pair) == (7, 7)


def test_the_port_starts_after_t_port_with_the_links_there_are() -> None:
    """A link without PHY holds the port up for T_PORT after the first ACTIVE, to the ns; then it is DEAD."""
    pair = bonded(3)
    for side, _ in pair.sides:
        side.port.enable(0)
        for link in (0, 2):
            side.port.pal_up(link, 0)
    assert pair.run(10**5, until=lambda: pair.a.state(0) is LinkState.ACTIVE)
    first = pair.now
    pair.run(first + LENGTH["T_PORT"] - 1 - pair.now)
    assert pair.a.port.alive == 0
    pair.run(1)
    assert pair.a.port.alive == 0b101
    pair.run(PROCEDURE)
    assert pair.a.port.up
    assert pair.b.port.up
    assert alive(pair) == (0b101, 0b101)
    assert pair.a.state(1) is pair.b.state(1) is LinkState.DEAD
    load(pair, 50)
    pair.settle()
    check_all_arrived(pair, 50)


def test_a_link_that_comes_late_is_not_added() -> None:
    """No hot add: a link of a port that is up is dropped when it becomes ACTIVE, the port goes on."""
    pair = bonded(2)
    for side, _ in pair.sides:
        side.port.enable(0)
        side.port.pal_up(0, 0)
    pair.run(LENGTH["T_PORT"] + PROCEDURE)
    assert alive(pair) == (1, 1)
    assert pair.a.port.up
    for side, _ in pair.sides:
        side.port.enable(pair.now)
        side.port.pal_up(1, pair.now)
    pair.run(20 * LENGTH["T_HS"])
    load(pair, 30)
    pair.settle()
    check_all_arrived(pair, 30)
    assert alive(pair) == (1, 1)
    assert LinkState.DEAD in pair.a.states()


def test_sides_that_begin_with_different_masks() -> None:
    """One side starts with 3 links, the other lost one on the way: the common ones make the port.

    [HSL-BND-010]
    """
    pair = bonded(3).start()
    assert pair.run(10**5, until=lambda: pair.a.port.alive == 7 or pair.b.port.alive == 7)
    early, late = (pair.a, pair.b) if pair.a.port.alive else (pair.b, pair.a)
    if not late.port.alive:
        late.port.disable_link(2, pair.now)
    else:
        early.port.disable_link(2, pair.now)
    load(pair, 50)
    pair.settle()
    check_all_arrived(pair, 50)
    assert alive(pair) == (3, 3)


def test_a_bond_flit_sets_the_mask_of_a_port_that_waits() -> None:
    """Before the mask is set, one of ACTIVE links only sets it; any other is ignored [HSL-BND-010]."""
    pair = bonded(3)
    for side, _ in pair.sides:
        side.port.enable(0)
        for link in (0, 1):
            side.port.pal_up(link, 0)
    assert pair.run(10**5, until=lambda: all(pair.a.state(link) is LinkState.ACTIVE for link in (0, 1)))
    for mask in (0, 0b111, 0b110, 0b1000_0001):
        pair.inject(pair.a, bond_from(pair.b, CtlOp.BOND_FAIL, 0, base=0, mask=mask))
        assert pair.a.port.alive == 0, mask
    pair.inject(pair.a, bond_from(pair.b, CtlOp.BOND_FAIL, 0, base=0, mask=0b11))
    assert pair.a.port.alive == 0b11
    assert pair.a.state(2) is LinkState.DEAD
    pair.run(PROCEDURE)
    assert alive(pair) == (3, 3)
    assert pair.a.port.up
    assert pair.b.port.up


def test_fewer_links_than_either_side_has() -> None:
    """The width is the least of both link counts and both "max links"; links beyond are not in the bond."""
    pair = Pair(config(1, links=4, max_links=2), config(2, links=4)).start()
    pair.run(PROCEDURE)
    assert alive(pair) == (3, 3)
    assert pair.a.port.up
    assert pair.a.state(3) is LinkState.DEAD


# ------------------------------------------------------------------------------------- loss of a link


@pytest.mark.parametrize("links", range(2, 9))
def test_loss_of_a_link_in_mid_traffic_loses_and_doubles_nothing(links: int) -> None:
    """A link that dies with flits under way: the port goes on, all messages arrive once [HSL-BND-004]."""
    for lost in (0, links - 1):
        pair = bonded(links).up()
        load(pair, 120)
        pair.run(700)
        take_away(pair, lost)
        assert len(pair.b.got) < 120
        pair.settle()
        check_all_arrived(pair, 120)
        assert alive(pair) == ((1 << links) - 1 & ~(1 << lost),) * 2
        assert pair.a.downs() == pair.b.downs() == []


def test_a_cut_cable_is_a_lost_link() -> None:
    """PAL_DOWN for longer than T_STATE: RECOVERY, DEAD with code 16, and fail-over [HSL-BND-004]."""
    pair = bonded(2).up()
    load(pair, 100)
    pair.run(700)
    pair.cut(0)
    pair.settle()
    check_all_arrived(pair, 100)
    assert pair.a.state(0) is pair.b.state(0) is LinkState.DEAD
    assert pair.a.port.links[0].counters.errors[ErrorCode.LOST] == 1


def test_resume_names_what_is_missing_and_it_leads() -> None:
    """COUNT and T of BOND_RESUME are those of the lost link's flits, which lead the new rotation.

    [HSL-BND-005]
    """
    pair = bonded(3, credits={7: 200}).up()
    pair.b.releasing = False
    pair.a.wires[1].hook = lambda data: []
    pair.a.waiting.extend(message(Op.NcWrite, txn) for txn in range(60))
    pair.run(400)  # 60 flits are out, 20 of them lost with link 1
    assert len(pair.a.port.links[1].tx.buffer) == 20
    take_away(pair, 1)
    pair.a.waiting.extend(message(Op.NcWrite, txn) for txn in range(60, 70))
    before = [len(txns(pair.a, link)) for link in range(3)]
    pair.run(PROCEDURE)
    (_, resume), *_ = [one for one in pair.a.ctl(CtlOp.BOND_RESUME) if one[1].body["base"]]
    assert resume.body == {"base": 0b111, "mask": 0b101, "count": 20, "t": 60}
    again = [txns(pair.a, link)[before[link] :] for link in (0, 2)]
    assert again[0][:10] == list(range(1, 60, 6))
    assert again[1][:10] == list(range(4, 60, 6))
    assert [received.txn for received in pair.b.got] == list(range(70))


def test_loss_of_the_last_link_takes_the_port_down() -> None:
    """LINK_DOWN once on each side, by the death of the last link; all stay DEAD [HSL-BND-006]."""
    pair = bonded(3).up()
    for link in range(3):
        assert pair.a.port.up
        pair.cut(link)
        pair.run(LENGTH["T_STATE"] + PROCEDURE)
    for side, _ in pair.sides:
        assert side.downs() == ["T_STATE"]
        assert side.port.dead
        assert side.port.alive == 0
    for side, _ in pair.sides:
        side.port.down(pair.now)  # row 3 brings back what was lost
    pair.plug()
    pair.run(2 * PROCEDURE)
    load(pair, 20)
    pair.settle()
    assert alive(pair) == (7, 7)
    assert pair.a.ups() == 2


def test_disjoint_views_end_the_port() -> None:
    """Each side keeps another link: both run dry, and tell LINK_DOWN; nothing hangs [HSL-BND-006]."""
    pair = bonded(2).up()
    pair.a.wires[0].hook = pair.a.wires[1].hook = lambda data: []
    pair.b.hook = lambda data: []
    pair.a.port.disable_link(0, pair.now)
    pair.b.port.disable_link(1, pair.now)
    assert pair.run(10**7, until=lambda: bool(pair.a.downs() and pair.b.downs()))
    assert alive(pair) == (0, 0)


@pytest.mark.parametrize("second", range(4))
@pytest.mark.parametrize("delay", [0, 1, 2, 4, 8, 16, 32])
def test_second_loss_during_fail_over(second: int, delay: int) -> None:
    """A second link dies at any moment of the fail-over of the first: nothing is lost or doubled.

    Also the lowest, which carries the BOND flits, and the one that carries re-sent flits [HSL-BND-008].
    """
    pair = bonded(4).up()
    load(pair, 150)
    pair.run(900)
    take_away(pair, 1)
    pair.run(delay * 25)
    (pair.b if delay % 2 else pair.a).port.disable_link((second + 2) % 4 if second != 3 else 0, pair.now)
    pair.settle()
    check_all_arrived(pair, 150)
    assert alive(pair)[0] == alive(pair)[1]


def test_the_link_that_carried_re_sent_flits_dies_too() -> None:
    """Flits re-sent on a link that dies before it acknowledges them are sent a third time [HSL-BND-008]."""
    pair = bonded(3).up()
    load(pair, 90)
    pair.a.wires[1].hook = lambda data: []
    pair.run(600)
    take_away(pair, 1)
    assert pair.run(10**6, until=lambda: pair.a.port.bond.tx.mask == 0b101)
    pair.a.wires[0].hook = lambda data: []
    pair.run(30)
    resent = pair.a.port.links[0].tx.unacked
    assert resent
    pair.b.port.disable_link(0, pair.now)
    pair.settle()
    check_all_arrived(pair, 90)
    assert alive(pair) == (4, 4)


def test_every_bond_flit_may_be_lost() -> None:
    """Each first BOND flit of a kind is lost: T_BOND sends it again, to the ns [HSL-BND-004]."""
    for op in (CtlOp.BOND_FAIL, CtlOp.BOND_RESUME, CtlOp.BOND_RESUME_ACK):
        pair = bonded(2).up()
        load(pair, 60)
        pair.run(400)
        dropped: list[int] = []

        def hook(data: bytes, op: CtlOp = op, dropped: list[int] = dropped) -> list[tuple[bytes, bool]]:
            if is_ctl(op)(data) and not dropped:
                dropped.append(1)
                return []
            return [(data, False)]

        pair.a.hook = hook
        take_away(pair, 1)
        pair.settle()
        assert dropped
        check_all_arrived(pair, 60)


def test_t_bond_at_its_edge() -> None:
    """With no answer BOND_FAIL is sent again after T_BOND exactly; it stops when both epochs are the mask."""
    pair = bonded(2).up()
    pair.b.hook = lambda data: []
    start = len(pair.a.ctl(CtlOp.BOND_FAIL))
    take_away(pair, 1)
    pair.run(3 * LENGTH["T_BOND"])
    times = [now for now, _ in pair.a.ctl(CtlOp.BOND_FAIL)][start:]
    assert [b - a for a, b in itertools.pairwise(times)] == [LENGTH["T_BOND"]] * 3
    pair.b.hook = lambda data: [(data, False)]
    pair.settle()
    count = len(pair.a.ctl(CtlOp.BOND_FAIL))
    pair.run(3 * LENGTH["T_BOND"])
    assert len(pair.a.ctl(CtlOp.BOND_FAIL)) == count
    assert "T_BOND" not in pair.a.port.timers.running


def test_viral_outlasts_the_link_that_told_it() -> None:
    """VIRAL that one link of a port has told holds until the session ends, though that link begins anew.

    HSL 6.1 [HSL-RAS-014].
    """
    pair = bonded(2).up()
    pair.inject(pair.a, flit_from(pair.b, FlitType.NOP, viral=1))
    assert pair.a.port.peer_viral
    take_away(pair, 0)
    pair.run(PROCEDURE)
    pair.a.port.links[0].handle(Input("sw_enable"), pair.now)
    pair.run(PROCEDURE)
    assert pair.a.port.up
    assert pair.a.port.peer_viral
    pair.a.port.down(pair.now)
    assert not pair.a.port.peer_viral


def test_a_link_that_is_lost_before_the_start_takes_no_credits_with_it() -> None:
    """A port begins with the credits that the peer gave on its other links. HSL 3.3.2, 4.1 [HSL-BND-007]."""
    pair = bonded(2)
    for side, _ in pair.sides:
        side.wires[1].hook = Faults(is_ctl(CtlOp.INITFC), count=1 << 30)
    pair.start()
    assert pair.run(PROCEDURE, lambda: all(side.state() is LinkState.ACTIVE for side, _ in pair.sides))
    pair.cut(1)
    pair.run(LENGTH["T_PORT"] + PROCEDURE)
    assert alive(pair) == (1, 1)
    assert all(side.port.serves(Vc.NCR) for side, _ in pair.sides), "3.5 F1: without credits nothing is sent"
    load(pair, 30)
    pair.settle()
    check_all_arrived(pair, 30)


def test_t_port_ends_with_the_attempt_to_start() -> None:
    """A port whose only link went away waits the whole T_PORT at its next attempt. HSL 4.1 [HSL-BND-007]."""
    pair = bonded(2)

    def plug(link: int) -> None:
        for side, _ in pair.sides:
            side.port.pal_up(link, pair.now)

    def active() -> bool:
        return all(side.state() is LinkState.ACTIVE for side, _ in pair.sides)

    for side, _ in pair.sides:
        side.port.enable(0)
    plug(0)
    assert pair.run(PROCEDURE, active)
    end = pair.now + LENGTH["T_PORT"]
    pair.run(PROCEDURE)
    for side, _ in pair.sides:
        side.port.disable_link(0, pair.now)
    pair.run(end - 2 * PROCEDURE - pair.now)
    for side, _ in pair.sides:
        side.port.enable(pair.now)
    assert pair.run(PROCEDURE, active)
    pair.run(end + PROCEDURE - pair.now)
    assert alive(pair) == (0, 0), "4.1: T_PORT runs from the first link that is ACTIVE in this attempt"
    plug(1)
    pair.run(PROCEDURE)
    assert alive(pair) == (3, 3)
