"""Litmus tests over real links: what ports deliver is in order (HSL 3.6 O1), outcomes are those of 5.9."""

from __future__ import annotations

from importlib.resources import files

import pytest

from hsl._generated.constants import Op
from hsl.codec.message import Message
from hsl.link.port import Port
from hsl.transport.faults import FaultPlan
from hsl.verify.litmus import Explorer
from hsl.verify.litmus_text import parse_all

TEXT = (files("hsl._generated") / "litmus.txt").read_text()
TESTS = {test.name: test for test in parse_all(TEXT, "litmus.txt")}
FAULTS = FaultPlan.parse("crc:0.05,drop:0.05")


@pytest.mark.parametrize("name", ["N-MP@cpu-gpu", "I-MP-3@gpu-cpu", "SB@cpu-gpu", "WRC+acq+dep@cpu-gpu"])
def test_outcomes_over_links(name: str) -> None:
    """Over links with faults a test has no outcome but those of 5.9; one seed gives one run.

    [HSL-COH-030] [HSL-NCR-001] [HSL-NCR-002]
    """
    first, again = (Explorer().over_links(TESTS[name], 15, 1, FAULTS) for _ in range(2))
    assert (first.forbidden, first.faults, first.schedules) == (set(), [], 15)
    assert first.counts == again.counts


def test_weak_outcomes_are_seen_over_links() -> None:
    """NcWrites on two streams are seen in both orders over links too (3.6 O4)."""
    result = Explorer().over_links(TESTS["N-MP-s@cpu-gpu"], 60, 1, FAULTS)
    assert set(result.counts) == result.allowed


def test_port_that_delivers_another_message_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that delivers what is not the next message of a stream is a fault of the test (3.6 O1)."""

    def messages(port: Port) -> list[Message]:
        return [m._replace(data=bytes(8)) if m.op == Op.NcWrite else m for m in MESSAGES(port)]

    monkeypatch.setattr(Port, "messages", messages)
    result = Explorer().over_links(TESTS["I-MP-3@cpu-gpu"], 30, 1, FAULTS)
    assert any("not the next of its stream (O1)" in fault for fault in result.faults)


MESSAGES = Port.messages
