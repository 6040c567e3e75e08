"""Cells of the link table that only ports of two links reach, over the loopback [HSL-LNK-042]."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hsl._generated.constants import CtlOp, ErrorCode, LinkState
from hsl.link.link import Link
from tests.link.cells import (
    FRAMES,
    SCENES,
    Scene,
    arrived,
    asleep,
    malformed,
    nothing,
    only,
    recovery,
    silent,
    up,
)
from tests.link.pair import TU
from tests.link.test_cells import ROWS
from tests.link.test_state import ctl

BOTH = 0b11


def bond_fail(mask: int) -> Callable[[Link], bytes]:
    """BOND_FAIL of the epoch of both links."""
    body = {"base": BOTH, "mask": mask, "exp": [0] * 8}
    return lambda link: ctl(link, CtlOp.BOND_FAIL, body)


@pytest.mark.parametrize("seen", [False, True])
@pytest.mark.parametrize("state", list(LinkState))
def test_bond_flit(state: LinkState, seen: bool) -> None:
    """A BOND flit that says nothing new is dropped before ACTIVE, ignored after the end, and wakes L1."""
    scene = SCENES[state](seen, links=2)
    before, count = len(scene.changes), scene.link.coverage["BOND_bonded", state]
    scene.give(bond_fail(BOTH))
    assert scene.run(lambda: scene.link.coverage["BOND_bonded", state] == count + 1)
    ends = [change.new for change in scene.changes[before:] if change.cause == "BOND_bonded"]
    joins = state is LinkState.INIT and seen
    wanted = LinkState.ACTIVE if joins else ROWS["BOND_bonded"].cells[state].next
    assert ends == ([] if wanted is None else [wanted])


def starting(prepare: Callable[[Scene], None]) -> Scene:
    """A port whose link 1 is not ACTIVE when T_PORT expires."""
    scene = Scene(links=2, index=1)
    prepare(scene)
    assert scene.run(lambda: scene.dut.port.state(0) is LinkState.ACTIVE)
    return scene


def stays_in(state: LinkState, *ops: CtlOp) -> Scene:
    """Link 1 begins late, and its peer goes no further than `ops`."""

    def prepare(scene: Scene) -> None:
        scene.peer.allow_on[1] = nothing

    scene = starting(prepare)
    scene.wait(2000 * TU)
    scene.peer.allow_on[1] = only(*ops)
    return arrived(scene, state)


def disabled() -> Scene:
    scene = starting(lambda scene: scene.peer.allow_on.update({1: nothing}))
    scene.call(lambda now: scene.dut.port.disable_link(1, now))
    return arrived(scene, LinkState.DISABLED)


def refused() -> Scene:
    scene = starting(lambda scene: scene.peer.allow_on.update({1: nothing}))
    scene.give(FRAMES["HELLO_mismatch"])
    return arrived(scene, LinkState.DEAD)


def told(scene: Scene) -> Scene:
    """The peer says on link 0 that it has lost link 1."""
    scene.index = 1
    scene.give(bond_fail(0b01), index=0)
    return scene


DROPS: dict[LinkState, Callable[[], Scene]] = {
    LinkState.DISABLED: disabled,
    LinkState.DETECT: lambda: starting(lambda scene: scene.peer.allow_on.update({1: nothing})),
    LinkState.CONFIG: lambda: stays_in(LinkState.CONFIG, CtlOp.HELLO),
    LinkState.INIT: lambda: stays_in(LinkState.INIT, CtlOp.HELLO, CtlOp.CAPS),
    LinkState.ACTIVE: lambda: told(silent(up(links=2))),
    LinkState.RECOVERY: lambda: told(recovery(links=2)),
    LinkState.L1: lambda: told(asleep(links=2)),
    LinkState.DEAD: refused,
}


@pytest.mark.parametrize("state", DROPS)
def test_bond_drop(state: LinkState) -> None:
    """A link that is not, or no more, in the alive mask goes to DEAD, and the port goes on."""
    scene = DROPS[state]()
    count = scene.link.coverage["bond_drop", state]
    assert scene.run(lambda: scene.link.coverage["bond_drop", state] == count + 1)
    assert scene.state is (LinkState.DISABLED if state is LinkState.DISABLED else LinkState.DEAD)
    assert scene.dut.port.alive == 0b01


@pytest.mark.parametrize("state", [LinkState.ACTIVE, LinkState.RECOVERY])
def test_bond_timer(state: LinkState) -> None:
    """T_BOND goes to the lowest link that is alive, and BOND_FAIL is due again."""
    scene = silent(up(links=2))
    scene.call(lambda now: scene.dut.port.disable_link(1, now))
    if state is LinkState.RECOVERY:
        scene.call(scene.dut.port.retrain)
    assert scene.run(lambda: scene.link.coverage["T_BOND", state] == 2, 64 * TU)
    assert scene.state is state


def test_bond_work_wakes() -> None:
    """In L1 a loss of another link wakes the link at once: T_BOND never finds it asleep."""
    scene = asleep(links=2)
    scene.call(lambda now: scene.dut.port.disable_link(1, now))
    assert scene.run(lambda: scene.state is LinkState.RECOVERY, 1)
    assert scene.changes[-1].cause == "tx_work"


def test_merge_on_a_dead_link() -> None:
    """A flit that a link accepted before it died is merged later; when it is malformed the port is dead.

    [HSL-LNK-034]
    """
    scene = silent(up(links=2))
    scene.index = 1
    scene.give(malformed)
    scene.wait(4 * TU)
    scene.give(FRAMES["ERR_FATAL_link"])
    arrived(scene, LinkState.DEAD)
    assert scene.dut.port.alive == 0b01
    scene.give(FRAMES["PROT_in_sequence"], index=0)
    assert scene.run(lambda: scene.link.coverage["merge_fatal", LinkState.DEAD] == 1)
    assert scene.dut.port.state(0) is LinkState.DEAD
    assert scene.link.counters.errors[ErrorCode.MALFORMED] == 1
