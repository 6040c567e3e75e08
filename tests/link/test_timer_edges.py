"""Every timer of the link at its edge, over the loopback: not a nanosecond before its length, and then."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hsl._generated.constants import LinkState
from hsl.link.timers import TIMER_ORDER
from tests.link.cells import FRAMES, SCENES, Scene, nothing, silent, up
from tests.link.pair import TU
from tests.link.test_cells import asking, cause, held

# Length in TU as HSL 3.1 says, and a port in which the timer will run without being stopped.
EDGES: dict[str, tuple[int, Callable[[], Scene]]] = {
    "T_HS": (16, lambda: SCENES[LinkState.DETECT](False)),
    "T_STATE": (4096, lambda: retraining()),
    "T_PM": (16, asking),
    "T_ACK": (4, lambda: silent(up())),
    "T_NAK": (32, lambda: silent(up())),
    "T_REPLAY": (64, lambda: silent(up())),
    "T_CR": (8, lambda: held(up())),
    "T_KA": (64, lambda: silent(up())),
    "T_DEADKA": (256, lambda: alive()),
    "T_BOND": (16, lambda: lonely(2)),
    "T_PORT": (4096, lambda: half_started()),
}


def lonely(links: int) -> Scene:
    """A port that has lost a link, and whose peer does not answer."""
    scene = silent(up(links=links))
    scene.call(lambda now: scene.dut.port.disable_link(1, now))
    return scene


def retraining() -> Scene:
    scene = silent(up())
    scene.call(scene.dut.port.retrain)
    return scene


def alive() -> Scene:
    """A last flit comes."""
    scene = silent(up())
    scene.give(FRAMES["NOP"])
    return scene


def half_started() -> Scene:
    """The peer of link 1 says nothing: the port waits for it."""
    scene = Scene(links=2)
    scene.peer.allow_on[1] = nothing
    return scene


def running(scene: Scene, name: str) -> int | None:
    """The deadline of a timer of the link or its port."""
    return (scene.link.timers.running | scene.dut.port.timers.running).get(name)


def starts(scene: Scene, name: str) -> int:
    """Run until the timer has been started in this instant; when that is."""
    before = running(scene, name)
    assert scene.run(lambda: running(scene, name) not in (None, before)), "it never starts"
    return scene.loopback.now


@pytest.mark.parametrize("name", EDGES)
def test_edge(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A timer of d TU that starts at t has not fired at t + d - 1 ns, and fires at t + d. HSL 3.1."""
    length, prepare = EDGES[name]
    scene = prepare()
    fired: list[int] = []
    cause(scene, name)
    start = starts(scene, name)
    for timers in (scene.link.timers, scene.dut.port.timers):
        watch(timers, name, fired, monkeypatch)
    edge = start + length * TU
    scene.wait(edge - 1 - scene.loopback.now)
    assert (scene.loopback.now, fired) == (edge - 1, [])
    scene.wait(1)
    assert fired == [edge]


def watch(timers: object, name: str, fired: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Note when a timer of this set expires."""
    kind = type(timers)
    expired = kind.expired  # type: ignore[attr-defined]

    def noted(self: object, asked: str, now: int) -> bool:
        found: bool = expired(self, asked, now)
        if found and asked == name and self is timers:
            fired.append(now)
        return found

    monkeypatch.setattr(kind, "expired", noted)


def test_all_timers_are_here() -> None:
    """No timer of the link or of the port is left out."""
    assert set(EDGES) == set(TIMER_ORDER)
