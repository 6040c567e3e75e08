"""The ledger: what must arrive next, and which fault it is when something else does."""

from __future__ import annotations

import random

import pytest

from hsl._generated.constants import Vc
from hsl.codec.engines import engine
from hsl.codec.message import Message
from hsl.verify.traffic import LOOK_AHEAD, MAX_FAULTS_TOLD, Ledger, Source


def sent(count: int, vc: Vc = Vc.NCR) -> tuple[Ledger, list[Message]]:
    """A ledger with `count` messages of `vc` on their way, and these."""
    ledger, source = Ledger(), Source(random.Random(1), 1, 17)
    messages = [source.next(vc) for _ in range(count)]
    for message in messages:
        ledger.send(message)
    return ledger, messages


@pytest.mark.parametrize("vc", list(Vc))
def test_messages_are_told_apart(codec_engine: str, vc: Vc) -> None:
    """A source gives encodable messages of the VC it is asked for, none like another."""
    codec, (_, messages) = engine(codec_engine), sent(100, vc)
    assert {message.vc for message in messages} == {vc}
    assert len({codec.encode_message(message) for message in messages}) == len(messages)


def test_same_seed_same_messages() -> None:
    """Two sources of one seed give the same messages."""
    assert sent(50)[1] == sent(50)[1]


def test_in_order_is_no_fault() -> None:
    """Messages that come once and in order leave the ledger empty and without a fault."""
    ledger, messages = sent(10)
    for message in messages:
        ledger.deliver(message)
    ledger.close()
    assert (ledger.sent, ledger.delivered, ledger.open, ledger.told) == (10, 10, 0, [])


# What arrives of messages 0 to 9, by number, and the faults that it is.
ARRIVALS = [
    ([0, 1, 3, 4, 5, 6, 7, 8, 9], {"lost": 1}),
    ([0, 1, 5, 6, 7, 8, 9], {"lost": 3}),
    ([0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9], {"doubled": 1}),
    ([0, 1, 2, 3, 4, 5, 6, 7], {"lost": 2}),
    ([1, 0, 2, 3, 4, 5, 6, 7, 8, 9], {"lost": 1, "wrong": 1}),
    ([], {"lost": 10}),
]


@pytest.mark.parametrize(("numbers", "faults"), ARRIVALS)
def test_faults(numbers: list[int], faults: dict[str, int]) -> None:
    """What is lost, doubled or out of order is told as such, and what follows is judged on its own."""
    ledger, messages = sent(10)
    for number in numbers:
        ledger.deliver(messages[number])
    ledger.close()
    assert (dict(ledger.faults), len(ledger.told)) == (faults, len(faults))


def test_damaged_message() -> None:
    """A message that was not sent is a wrong one."""
    ledger, messages = sent(3)
    ledger.deliver(messages[0]._replace(addr=0x123))
    assert dict(ledger.faults) == {"wrong": 1}


def test_told_faults_are_capped() -> None:
    """Only the first faults are told in words; all are counted."""
    ledger, messages = sent(LOOK_AHEAD)
    for _ in range(2 * MAX_FAULTS_TOLD):
        ledger.deliver(messages[0]._replace(addr=0x123))
    assert (len(ledger.told), ledger.faults["wrong"]) == (MAX_FAULTS_TOLD, 2 * MAX_FAULTS_TOLD)
