"""When the credits of a port that floods go back (HSL 6.3)."""

from __future__ import annotations

import pytest

from hsl._generated.constants import Register, Vc
from hsl._generated.layouts import RATE_D0
from hsl.agents.access import Access
from hsl.engine.token_bucket import TokenBucket
from tests.engine.star import CPU_CORES, CPU_IO, GPUS, Star


@pytest.mark.parametrize("messages", [1, 3, 7, 16, 1000, 1024, 65535])
def test_a_delayed_credit_goes_back_at_its_deadline(messages: int) -> None:
    """At the deadline that the bucket names a credit is due, and none an instant before.

    Also where the rate does not divide 1024 TU: else the node wakes at one instant for ever. HSL 6.3.
    """
    tu, at = 64, 0
    bucket = TokenBucket()
    bucket.tu = tu
    bucket.set(messages, 2, at)
    assert bucket.take(Vc.REQ, at)
    assert bucket.take(Vc.REQ, at)
    for count in range(1, 20):
        assert not bucket.take(Vc.REQ, at)
        deadline = bucket.next_deadline()
        assert deadline == -(-count * 1024 * tu // messages), "6.3: RATE credits in 1024 TU, rounded up"
        at = deadline
        assert bucket.due(at - 1) == []
        assert bucket.due(at) == [Vc.REQ], "6.3: a credit is due at the deadline"
        assert bucket.next_deadline() is None


@pytest.mark.parametrize("messages", [3, 7])
def test_a_slowed_node_is_served_to_the_end(messages: int) -> None:
    """With a RATE that does not divide 1024 TU all requests of the node are served, at that rate. HSL 6.3."""
    star = Star()
    rate = RATE_D0.build({"messages": messages, "bucket": 1})
    assert star.do(CPU_CORES[0], Access("cfg_write", Register.RATE, len(rate), rate, dst=CPU_IO)).err == 0
    began = star.now
    reads = [star.submit(GPUS["a"], Access("read_once", 64 * i, 8)) for i in range(48)]
    star.finish(reads)
    assert not any(ticket.err for ticket in reads)
    advertised = 32
    assert star.now - began >= (48 - 1 - advertised) * 1024 * 64 // messages
