"""Answers of a memory target: no state, and the last line of a range (HSL 5.6 M5)."""

from __future__ import annotations

import pytest

from hsl._generated.constants import Err, ErrorCode, Op, St
from tests.agents.home_rig import LINE, MT, NEW, A, SlowRig, shape


@pytest.mark.parametrize("st", [St.S, St.E, St.M])
def test_a_target_grants_no_state(st: St) -> None:
    """CmpData with ST != I of a target ends nothing; the right one does. HSL 5.3, 5.4 T16."""
    rig = SlowRig()
    rig.send(Op.ReadShared, A)
    rig.errors()
    answer = rig.memory_answer()
    rig.home.receive(answer._replace(st=st, data=NEW), rig.now)
    assert (rig.sent(), rig.errors()) == ([], [ErrorCode.PROTO])
    rig.home.receive(answer, rig.now)
    (grant,) = rig.sent()
    assert grant.data != NEW


@pytest.mark.parametrize("at", [0, 1])
def test_the_first_and_the_last_line_of_lost_content_are_lost(at: int) -> None:
    """A range of two lines: both end UNREACH, the neighbours are read. HSL 5.6 M5."""
    rig = SlowRig()
    assert rig.home.content_lost(MT, LINE, LINE + 127)
    lost = rig.send(Op.ReadOnce, A, addr=LINE + 64 * at)
    assert shape(lost) == [("Cmp", A, "I", Err.UNREACH.name)]
    beside = LINE + (-64, 128)[at]
    assert rig.send(Op.ReadOnce, A, addr=beside) == []
    assert len(rig.open) == 1
