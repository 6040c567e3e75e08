"""What only the end of a run shows: the last message of a soak, the directory of a stress run at rest."""

from __future__ import annotations

from collections import Counter

import pytest

from hsl.agents.access import Access
from hsl.codec.message import Message
from hsl.link.port import Port
from hsl.transport.faults import FaultPlan
from hsl.verify.layout import Layout
from hsl.verify.operation import Operation
from hsl.verify.soak import Soak, SoakPlan
from hsl.verify.stress import run
from hsl.verify.stress_config import StressConfig
from tests.verify.planted import PLANTED

RIGHT = Port.messages


def last_of_a_class(monkeypatch: pytest.MonkeyPatch, plan: SoakPlan, swallow: dict[int, int]) -> Counter[int]:
    """Run a soak whose port b swallows the n-th message of a VC; the messages of each VC, and the report."""
    came: Counter[int] = Counter()

    def messages(port: Port) -> list[Message]:
        kept = []
        for message in RIGHT(port):
            if port.config.guid == 2:
                came[message.vc] += 1
                if came[message.vc] == swallow.get(message.vc):
                    port.release(message.vc)  # its credit goes home, so no count of the link tells
                    continue
            kept.append(message)
        return kept

    monkeypatch.setattr(Port, "messages", messages)
    report = Soak(plan).run()
    assert report["verified"] is not bool(swallow), "the ledger is closed at the end of the run"
    if swallow:
        assert any("never came" in failure for failure in report["failures"]), report["failures"]
        assert report["messages"]["lost"] == len(swallow)
    return came


def test_last_message_of_each_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """A soak sees that the last message of a VC was lost above the port, though nothing comes behind it."""
    plan = SoakPlan(flits=200, seed=1, faults=FaultPlan.parse("none"))
    counts = last_of_a_class(monkeypatch, plan, {})
    assert len(counts) == 7
    last_of_a_class(monkeypatch, plan, dict(counts))


def test_directory_at_rest() -> None:
    """At rest a stress run compares each directory with the caches: a holder that has left is seen (5.3)."""
    config = StressConfig(cpu=1, gpu=1, lines=1, kinds="none")
    layout = Layout(config)
    addr = layout.lines[0]
    program: list[Operation] = []
    for agent in layout.agents:
        after = (2 * len(program),) if program else ()
        load = Operation(len(program), agent, agent, Access("load", addr, 8), after=after)
        program += [load, Operation(load.id + 1, agent, agent, Access("evict", addr, 64), after=(load.id,))]
    assert not run(config, program).violation
    with PLANTED["Evict does not leave the directory"]():
        verdict = run(config, program)
    assert "directory" in verdict.violation, "5.3: the directory lists exactly the holders"
