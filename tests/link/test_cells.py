"""Every legal cell of the link table, reached over the loopback by bytes, events and time [HSL-LNK-042]."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hsl._generated.constants import ErrorCode, LinkState, Op
from hsl._generated.tables import LINK_ROWS
from hsl.verify.link_coverage import DIRECT_ONLY, LEGAL
from tests.link.cells import (
    FRAMES,
    SCENES,
    Scene,
    asleep,
    hold_a_credit,
    silent,
    up,
)
from tests.link.pair import TU, message
from tests.link.test_state import ELSEWHERE, HANDSHAKE

ACTIVE, RECOVERY, L1 = LinkState.ACTIVE, LinkState.RECOVERY, LinkState.L1
ROWS = {row.event: row for row in LINK_ROWS}
# Where a cell leads elsewhere than in test_state, because L1 is negotiated here.
GRANTED = {("PM_REQ_idle", ACTIVE): L1}
# Cells of ports of more links.
OF_MORE_LINKS: set[tuple[str, LinkState]] = {
    *((event, state) for event in ("bond_drop", "T_BOND", "BOND_bonded") for state in LinkState),
    ("merge_fatal", LinkState.DEAD),
}


def held(scene: Scene) -> Scene:
    hold_a_credit(scene)
    return silent(scene)


def release(scene: Scene) -> None:
    scene.call(lambda _: scene.dut.port.release(scene.devices[0].got[0].vc))


def held_in_recovery() -> Scene:
    scene = held(up())
    scene.call(scene.dut.port.retrain)
    assert scene.run(lambda: scene.state is RECOVERY)
    return scene


def asking() -> Scene:
    """ACTIVE with a PM_REQ that is not answered."""
    scene = silent(up())
    scene.call(scene.dut.port.pm_idle)
    assert scene.run(lambda: scene.link.pm_open)
    return scene


def dead_while_asking() -> Scene:
    scene = asking()
    scene.call(lambda now: scene.dut.port.fatal(ErrorCode.MALFORMED, now))
    assert scene.run(lambda: scene.state is LinkState.DEAD)
    return scene


def released_in_l1() -> Scene:
    """L1 with a credit that is returnable, so that the port is not idle."""
    scene = asleep(held=True)
    release(scene)
    return scene


# Scenes of cells that need more than the state.
PREPARED: dict[tuple[str, LinkState], Callable[[], Scene]] = {
    ("T_CR", ACTIVE): lambda: held(up()),
    ("T_CR", RECOVERY): held_in_recovery,
    ("T_CR", L1): lambda: asleep(held=True),
    ("T_PM", ACTIVE): asking,
    ("PM_ACK_open", ACTIVE): asking,
    ("PM_ACK_open", LinkState.DEAD): dead_while_asking,
    ("PM_REQ_busy", L1): released_in_l1,
}
# A port that has not negotiated L1 is never idle.
SETTINGS: dict[str, dict[str, int]] = {"PM_REQ_busy": {"power": 0}}
# What makes an event happen; a received one is a frame, a timer that runs in the state needs time only.
CAUSES: dict[str, Callable[[Scene], None]] = {
    "sw_enable": lambda scene: scene.call(scene.dut.port.enable),
    "sw_disable": lambda scene: scene.call(scene.dut.port.disable),
    "port_down": lambda scene: scene.call(scene.dut.port.down),
    "port_fatal": lambda scene: scene.call(lambda now: scene.dut.port.fatal(ErrorCode.MALFORMED, now)),
    "sw_retrain": lambda scene: scene.call(scene.dut.port.retrain),
    "tx_work": lambda scene: scene.call(lambda _: scene.dut.port.send(message(Op.Cmp))),
    "pm_idle": lambda scene: scene.call(scene.dut.port.pm_idle),
    "PAL_UP": lambda scene: scene.loopback.set_wire(0, up=True),
    "PAL_DOWN": lambda scene: scene.loopback.set_wire(0, up=False),
    "PAL_RETRAIN": lambda scene: scene.call(lambda now: scene.dut.port.pal_retrain(0, now)),
    "T_ACK": lambda scene: scene.give(FRAMES["PROT_in_sequence"]),
    "T_NAK": lambda scene: scene.give(FRAMES["PROT_ahead"]),
    "T_REPLAY": lambda scene: scene.call(lambda _: scene.dut.port.send(message(Op.Cmp))),
    "T_CR": release,
}


def cause(scene: Scene, event: str) -> None:
    if event in CAUSES:
        CAUSES[event](scene)
    elif event in FRAMES:
        scene.give(FRAMES[event])


def after(event: str, state: LinkState, seen: bool) -> LinkState:
    """The state in which the cell ends."""
    cell = ROWS[event].cells[state]
    if cell.actions[:1] == ("J",):
        return after(event, ACTIVE, seen) if seen else state
    if cell.actions[:1] == ("I?",) and not seen:
        return state
    elsewhere = GRANTED.get((event, state)) or ELSEWHERE.get((event, state))
    return elsewhere or (state if cell.next is None else cell.next)


CASES = [
    (event, state, seen)
    for event, state in LEGAL
    if (event, state) not in DIRECT_ONLY and (event, state) not in OF_MORE_LINKS
    for seen in ((False, True) if state in HANDSHAKE else (False,))
    if (event, state, seen) != ("PM_REQ_idle", LinkState.CONFIG, False)  # L1 is not negotiated yet
]


@pytest.mark.parametrize(
    ("event", "state", "seen"), CASES, ids=[f"{event}-{state.name}-{seen:d}" for event, state, seen in CASES]
)
def test_cell(event: str, state: LinkState, seen: bool) -> None:
    """The event comes over the loopback, in the state, and the cell ends where the table says."""
    prepare = PREPARED.get((event, state))
    scene = prepare() if prepare else SCENES[state](seen, **SETTINGS.get(event, {}))
    assert scene.state is state
    before, told = scene.link.coverage[event, state], len(scene.changes)
    cause(scene, event)
    assert scene.run(lambda: scene.link.coverage[event, state] > before), "the event did not come"
    ends = [change.new for change in scene.changes[told:] if change.cause == event]
    assert (ends[-1] if ends else state) is after(event, state, seen)
    assert scene.link.coverage[event, state] == before + 1
    scene.wait(TU)
