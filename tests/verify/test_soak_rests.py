"""The soak with low power and link-down: rests are verified, and what is wrong about L1 or RC is found."""

from __future__ import annotations

import re
from typing import Any

import pytest

from hsl._generated.constants import LinkState
from hsl.errors import ConfigError
from hsl.link import state
from hsl.link.link import Link
from hsl.transport.faults import FaultPlan
from hsl.verify.soak import Soak, SoakPlan


def plan(faults: str = "none", **changes: Any) -> SoakPlan:
    values: dict[str, Any] = {"flits": 3000, "seed": 1, "low_power": 150, "faults": FaultPlan.parse(faults)}
    return SoakPlan(**values | changes)


# Five cuts of the wire under load, with progress between them.
CUTS = ",".join(f"link-down:x1:nth={nth}:ns=20000:from=a" for nth in range(300, 1300, 200))


@pytest.mark.parametrize("faults", [
    "none", "crc:0.02,drop:0.02", "seq@CTL:0.3", "ctl-op:0.3,drop:0.02",
    "link-down:x3:nth=300:ns=20000",
])  # fmt: skip
@pytest.mark.parametrize(("flit", "links"), [("L64", 1), ("B256", 2)])
def test_rests_are_verified(faults: str, flit: str, links: int) -> None:
    """Both ends sleep and wake under faults: nothing is lost, each L1 is left again, no wake is a recovery.

    3.7, 3.7.3 [HSL-LNK-033] [HSL-LNK-039]
    """
    report = Soak(plan(faults, flit=flit, links=links, flits=3000 // links)).run()
    assert (report["failures"], report["verified"]) == ([], True)
    power = report["low_power"]
    assert power["rests"] > power["slept"] > 1
    asleep = sum(link["state"] == "L1" for end in report["ends"].values() for link in end["links"])
    assert power["entered"] == power["left"] + asleep > 2 * power["slept"]
    if faults == "none":
        assert not any(
            link["counters"]["recoveries"] for end in report["ends"].values() for link in end["links"]
        ), "a wake was counted as a recovery (3.7.3)"


def test_link_downs_under_load_are_survived() -> None:
    """A link whose wire is cut again and again under load goes on: each progress clears RC (3.4.3).

    [HSL-LNK-024]
    """
    report = Soak(plan(CUTS, low_power=0)).run()
    assert report["failures"] == []
    for end in report["ends"].values():
        assert end["links"][0]["counters"]["recoveries"] == 5


def test_no_low_power_is_no_l1() -> None:
    """Without rests L1 is not offered, and the report says so."""
    report = Soak(plan(low_power=0, flits=300)).run()
    assert report["low_power"] == {"every": 0, "rests": 0, "slept": 0, "entered": 0, "left": 0}


def test_the_command_has_the_rests() -> None:
    """The line that repeats the run names the rests; fewer than none is refused."""
    assert plan().command == "hsl link soak --flits 3000 --seed 1 --low-power 150"
    with pytest.raises(ConfigError, match="every -1 flits"):
        plan(low_power=-1)


def no_work_in_l1() -> dict[str, Any]:
    """The link table with no way out of L1 for a message."""
    cells = list(state._CELLS["tx_work"])
    cells[LinkState.L1] = ((), None)
    return {"hsl.link.state._CELLS": state._CELLS | {"tx_work": tuple(cells)}}


def rc_stays(link: Link, now: int) -> None:
    kept = link.rc
    PROGRESSED(link, now)
    link.rc = kept


def wake_counts(link: Link, new: LinkState, cause: str, now: int) -> None:
    link.counters.recoveries += link.state is LinkState.L1
    ENTER(link, new, cause, now)


def nop_in_l1(link: Link, now: int) -> bytes | None:
    """Say something each time that the line is free, once at an instant."""
    asleep = link.state is LinkState.L1 and now not in SAID
    SAID.add(now)
    if asleep:
        link.ack_now = True
    return link.send_nop("NOP", now) if asleep else NEXT_FLIT(link, now)


SAID: set[int] = set()
PROGRESSED, ENTER, NEXT_FLIT = Link.progressed, Link.enter, Link.next_flit
LINK = "hsl.link.link.Link."
# What is wrong, the plan that shows it, and what the report says.
BUGS: dict[str, tuple[dict[str, Any], SoakPlan, str]] = {
    "PM_ACK with a gap is taken": (
        {f"{LINK}idle_after": lambda link, flit: link._l1 and link.port.idle_but(link)},
        plan("seq@CTL:0.3"),
        "is in L1 with a gap",
    ),
    "every request is granted": (
        {f"{LINK}idle_after": lambda link, flit: True, f"{LINK}idle": True},
        plan("drop:0.02"),
        "in L1 with a gap or unacknowledged",
    ),
    "work does not wake": (no_work_in_l1(), plan(), "no flit was delivered|no progress"),
    "L1 is never entered": ({f"{LINK}_l1": False}, plan(), "not in L1 in the"),
    "a wake counts as recovery": ({f"{LINK}enter": wake_counts}, plan(), "recoveries counted"),
    "a sleeper sends": (
        {f"{LINK}next_flit": nop_in_l1, f"{LINK}pending": True},
        plan(),
        "flits had been sent, .* when both ends were asleep",
    ),
    "progress leaves RC": (
        {f"{LINK}progressed": rc_stays},
        plan(CUTS, low_power=0),
        "LOST at .* though BASE advanced",
    ),
}


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link that sleeps, wakes or counts recoveries wrongly is found out."""
    wrong, soak, says = BUGS[bug]
    for name, planted in wrong.items():
        monkeypatch.setattr(name, planted)
    report = Soak(soak).run()
    assert any(re.search(says, failure) for failure in report["failures"]), report["failures"]


@pytest.mark.parametrize("low_power", [-1, 3000, 5000])
def test_a_run_without_room_for_a_rest_is_refused(low_power: int) -> None:
    """A soak that asks for rests has at least one: a distance that the run never reaches is a ConfigError."""
    with pytest.raises(ConfigError, match=r"expected 0 for none, or 1\.\.2999"):
        plan(low_power=low_power)


@pytest.mark.parametrize("seed", [5, 6])
def test_heavy_loss_is_no_failure(seed: int) -> None:
    """Where half of the flits are lost or damaged the ends take long to be in L1, and the run is verified."""
    report = Soak(plan("crc:0.3,drop:0.3", flits=300, low_power=3, seed=seed)).run()
    assert report["verified"], report["failures"]
