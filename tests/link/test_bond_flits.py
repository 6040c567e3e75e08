"""Flits of a bonded port that a peer should not send: late, repeated, contradictory, hostile (HSL 4)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hsl._generated.constants import CtlOp, ErrorCode, FlitType, Op
from hsl.link import Port
from hsl.link.epoch import links_of
from tests.link.pair import TU, Faults, flit_from, is_ctl, message
from tests.link.test_bond import (
    LENGTH,
    PROCEDURE,
    alive,
    bond_from,
    bonded,
    check_all_arrived,
    errors,
    load,
    take_away,
)


def test_repeated_and_late_bond_flits_change_nothing() -> None:
    """Every BOND flit of a fail-over, given again at its end and in the traffic after it [HSL-BND-009]."""
    pair = bonded(3).up()
    load(pair, 60)
    pair.run(400)
    take_away(pair, 2)
    pair.settle()
    said = [
        (side, ctl) for side, _ in pair.sides for op in (0x50, 0x51, 0x52) for _, ctl in side.ctl(CtlOp(op))
    ]
    assert len({ctl.op for _, ctl in said}) == 3
    for round_ in range(2):
        for side, ctl in said:
            other = pair.b if side is pair.a else pair.a
            pair.inject(other, bond_from(side, CtlOp(ctl.op), 0, **ctl.body))
        assert alive(pair) == (3, 3), round_
        load(pair, 30)
        pair.run(300)
    pair.settle()
    for side, _ in pair.sides:
        assert [received.txn for received in side.got] == [*range(60), *range(30), *range(30)]
        assert side.port.up


@pytest.mark.parametrize(
    ("field", "change"), [("count", 1), ("count", -1), ("t", 1), ("t", -1), ("t", 1 << 31)]
)
def test_a_resume_that_does_not_add_up_ends_the_port(field: str, change: int) -> None:
    """COUNT or T that cannot be true: MALFORMED, all links DEAD, ERR_FATAL 8; at once [HSL-BND-005]."""
    pair = bonded(3).up()
    load(pair, 40)
    pair.run(300)
    pair.a.hook = lambda data: [] if is_ctl(CtlOp.BOND_RESUME)(data) else [(data, False)]
    take_away(pair, 1)
    assert pair.run(10**5, until=lambda: pair.a.port.bond.resume is not None)
    pair.run(200)
    body = pair.a.port.bond.resume_body()
    assert body is not None
    body[field] = (body[field] + change) % (1 << (16 if field == "count" else 32))
    pair.inject(pair.b, bond_from(pair.a, CtlOp.BOND_RESUME, 0, **body))
    assert pair.b.port.dead
    assert ErrorCode.MALFORMED in errors(pair.b)
    pair.run(5 * TU)
    assert pair.b.downs() == ["merge_fatal"]
    assert pair.a.downs() == ["ERR_FATAL_port"]
    told = {ctl.body["error"] for _, ctl in pair.b.ctl(CtlOp.ERR_FATAL)}
    assert told == {ErrorCode.LOST, ErrorCode.MALFORMED}  # of the link that was dropped, of the port


def test_an_exp_that_was_never_sent_ends_the_port() -> None:
    """BOND_FAIL with an EXP beyond what the lost link was sent: MALFORMED, port-fatal (S2)."""
    pair = bonded(2).up()
    take_away(pair, 1)
    report = {"base": 3, "mask": 1, "exp": [0, 500, 0, 0, 0, 0, 0, 0]}
    pair.inject(pair.a, bond_from(pair.b, CtlOp.BOND_FAIL, 0, **report))
    pair.run(TU)
    assert pair.a.downs() == ["merge_fatal"]
    assert ErrorCode.MALFORMED in errors(pair.a)


def test_hostile_bond_flits() -> None:
    """Every mask and base in every BOND flit, in a port that is up: links may be dropped, nothing worse."""
    for op in (CtlOp.BOND_FAIL, CtlOp.BOND_RESUME, CtlOp.BOND_RESUME_ACK):
        for mask in (0, 1, 2, 3, 7, 8, 0xFF):
            for base in (0, 1, 3, 7, 0xFF):
                pair = bonded(3).up()
                pair.inject(pair.a, bond_from(pair.b, op, 0, base=base, mask=mask))
                assert pair.a.port.alive == mask & 7
                pair.run(PROCEDURE)
                assert pair.a.port.up is (pair.a.port.alive != 0)


def test_prot_before_the_bond_has_an_epoch_is_malformed() -> None:
    """A peer that sends PROT before BOND_RESUME is not of this profile: code 8, all links DEAD."""
    pair = bonded(2).start()
    pair.a.hook = lambda data: [] if is_ctl(CtlOp.BOND_RESUME)(data) else [(data, False)]
    pair.run(30 * TU)
    assert not pair.b.port.up
    pair.inject(pair.b, flit_from(pair.a, FlitType.PROT))
    assert pair.b.port.dead
    assert ErrorCode.MALFORMED in errors(pair.b)
    assert pair.b.downs() == []  # LINK_UP was never told


def test_what_comes_before_link_up_is_held() -> None:
    """PROT of a peer that is up arrive when our ACK is still missing: they are told after LINK_UP."""
    pair = bonded(2).start()
    pair.b.hook = lambda data: (
        [] if is_ctl(CtlOp.BOND_RESUME_ACK)(data) and pair.now < 60 * TU else [(data, False)]
    )
    assert pair.run(50 * TU, until=lambda: pair.b.port.up)
    pair.b.waiting.extend(message(Op.NcWrite, txn) for txn in range(10))
    pair.run(5 * TU)
    if not pair.a.port.up:
        assert pair.a.got == []
    pair.settle()
    assert [received.txn for received in pair.a.got] == list(range(10))


def test_a_new_epoch_on_one_link_ends_the_port() -> None:
    """HELLO of a new EPOCH on any link: the port goes down once, all links start again (4.7)."""
    pair = bonded(3).up()
    pair.restart(pair.b)
    pair.run(LENGTH["T_DEADKA"])
    pair.run(PROCEDURE)
    assert pair.a.downs() == ["HELLO_new_other"]
    assert alive(pair) == (7, 7)
    load(pair, 20)
    pair.settle()
    check_all_arrived(pair, 20)


def test_a_peer_that_restarts_with_another_offer_is_answered_by_it() -> None:
    """INITFC follows the CAPS of this session on one link while another has none yet [HSL-LNK-029]."""
    pair = bonded(2).up()
    pair.b.port = Port(replace(pair.b.port.config, vc_mask=0xFE & ~(1 << 6)))  # no MEM any more
    pair.b.wires[0].hook = Faults(is_ctl(CtlOp.CAPS), count=3)
    pair.start().run(LENGTH["T_HS"] * 6)
    assert alive(pair) == (0b11, 0b11)
    assert pair.a.port.up
    assert pair.a.port.result == pair.a.port.links[1].result
    assert not pair.b.port.serves(6)


def test_masks_name_links() -> None:
    """The links of a mask ascend."""
    assert links_of(0b10110) == (1, 2, 4)
    assert links_of(0) == ()
