"""The soak: a run with faults is verified, and no fault of the link itself stays unseen."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from hsl.errors import ConfigError
from hsl.link.credit import Credits
from hsl.link.link import Link
from hsl.link.port import Port
from hsl.link.replay import ReplayReceiver
from hsl.transport.faults import KINDS, FaultInjector, FaultKind, FaultPlan, Outcome
from hsl.transport.loopback import Loopback
from hsl.verify.soak import Soak, SoakPlan, floor


def plan(faults: str = "crc:0.01,drop:0.01", **changes: Any) -> SoakPlan:
    values: dict[str, Any] = {"flits": 600, "seed": 1, "faults": FaultPlan.parse(faults)}
    return SoakPlan(**values | changes)


@pytest.mark.parametrize("flit", ["L64", "B256"])
@pytest.mark.parametrize("codec", ["reference", "native"])
def test_verified(flit: str, codec: str) -> None:
    """With damaged and lost flits every message comes once, in order, and all counts agree.

    [HSL-LNK-015] [HSL-LNK-028]
    """
    report = Soak(plan(flit=flit, codec=codec)).run()
    assert (report["failures"], report["verified"]) == ([], True)
    assert report["flits"]["delivered"] >= 600
    assert report["messages"]["delivered"] == report["messages"]["sent"] > 600
    assert sum(sum(end["messages"].values()) for end in report["ends"].values()) == report["messages"]["sent"]
    for end in report["ends"].values():
        assert all(end["messages"].values()), "a VC has sent nothing"
        assert end["links"][0]["counters"]["crc_errors"] > 0
        assert end["links"][0]["counters"]["replays"] > 0


@pytest.mark.parametrize("faults", ["none", "truncate:0.01", "duplicate:0.01", "delay:0.01:5000"])
def test_other_faults(faults: str) -> None:
    """Whatever else happens to flits is verified and counted alike."""
    assert Soak(plan(faults)).run()["failures"] == []


def test_same_seed_same_run() -> None:
    """One seed gives one run: all counts, and the virtual time at the end."""
    one, two = (Soak(plan()).run() for _ in range(2))
    for report in (one, two):
        del report["cpu_seconds"], report["flits_per_cpu_second"]
    assert json.dumps(one) == json.dumps(two)
    assert Soak(plan(seed=2)).run()["virtual_ns"] != one["virtual_ns"]


def once(function: Callable[..., Any], spoil: Callable[..., Any], when: Callable[..., bool]) -> Any:
    """`function`; of its calls for which `when` holds number 20 is done by `spoil` instead."""
    calls = 0

    def called(*arguments: Any) -> Any:
        nonlocal calls
        calls += when(*arguments)
        return (spoil if calls == 20 and when(*arguments) else function)(*arguments)

    return called


def delivers(port: Port) -> bool:
    return len(port._delivered) > 0


def any_call(*arguments: Any) -> bool:
    return True


def miscounted(link: Link, event: str) -> None:
    COUNT(link, event)
    link.counters.prot_accepted += 1


MESSAGES, COUNT, TAKE = Port.messages, Link._count_prot, Credits.take
# What goes wrong once: where, the call that is spoilt, how, and what the report says.
BUGS: dict[str, tuple[Any, str, Callable[..., Any], Callable[..., bool], str]] = {
    "message doubled": (Port, "messages", lambda port: MESSAGES(port) * 2, delivers, "twice|release of"),
    "message lost": (Port, "messages", lambda port: MESSAGES(port)[1:], delivers, "never came"),
    "message changed": (
        Port,
        "messages",
        lambda port: [message._replace(txn=message.txn ^ 1) for message in MESSAGES(port)],
        delivers,
        "expected was",
    ),
    "credit lost": (Credits, "release", lambda *_: None, any_call, "not all credits are home"),
    "return not taken": (
        Credits,
        "take",
        lambda ours, cvc, ccnt: TAKE(ours, cvc, ccnt - 1),
        lambda _ours, _cvc, ccnt: ccnt > 1,
        "not all credits are home",
    ),
    "PROT counted twice": (Link, "_count_prot", miscounted, any_call, "PROT arrived"),
    "PROT not counted": (Link, "_count_prot", lambda *_: None, any_call, "PROT arrived"),
    "EXP not counted": (ReplayReceiver, "accept", lambda _: None, any_call, "."),
}


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link that is wrong a single time is found out."""
    target, name, spoil, when, says = BUGS[bug]
    monkeypatch.setattr(target, name, once(getattr(target, name), spoil, when))
    report = Soak(plan()).run()
    assert not report["verified"]
    assert any(re.search(says, failure) for failure in report["failures"]), report["failures"]


def test_silence_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that loses everything ends the run with a failure, in bounded virtual time."""
    report = Soak(plan("drop:1.0")).run()
    assert report["failures"][0].startswith("no flit was delivered")
    monkeypatch.setattr(Loopback, "step", lambda self: False)
    assert "no progress" in Soak(plan()).run()["failures"][0]


WRONG = [
    {"flits": 0},
    {"flit": "L32"},
    {"codec": "fast"},
    {"kills": ((1, 5),)},
    {"kills": ((0, 5),)},
    {"links": 9},
    {"faults": "crc:0.1:link=1"},
    {"links": 2, "kills": ((0, 600),)},
    {"links": 2, "kills": ((0, 5), (1, 7))},
    {"links": 2, "kills": ((0, -1),)},
]


@pytest.mark.parametrize("changes", WRONG)
def test_wrong_plans(changes: dict[str, Any]) -> None:
    """A plan that cannot be run is a ConfigError before anything runs."""
    with pytest.raises(ConfigError):
        Soak(plan(**changes))


def test_command_repeats_the_run() -> None:
    """The line of a report names all that was not the default."""
    kills = ((1, 30), (0, 40))
    text = plan(links=3, kills=kills, flit="B256", codec="reference", seed=7).command
    assert text == (
        "hsl link soak --flits 600 --seed 7 --faults crc:0.01,drop:0.01 --links 3 --kill-link 1@30 "
        "--kill-link 0@40 --flit B256 --codec reference"
    )


@pytest.mark.parametrize("codec", ["reference", "native"])
def test_floor(codec: str) -> None:
    """The codec alone is measured on the flits of the plan."""
    assert floor(plan(codec=codec, flits=20)) > 0


def test_links_that_are_killed() -> None:
    """Two of four links are cut under load: nothing is lost or doubled, and all counts agree to the flit.

    [HSL-BND-004] [HSL-BND-008]
    """
    report = Soak(plan("crc:1e-3,drop:1e-3", flits=1500, links=4, kills=((1, 300), (0, 600)))).run()
    assert (report["failures"], report["verified"]) == ([], True)
    for end in report["ends"].values():
        assert [link["state"] for link in end["links"]] == ["DEAD", "DEAD", "ACTIVE", "ACTIVE"]
        assert end["credits_home"]


# Every kind of fault in a spelling that hits within a short run, and what it may do to the counters.
SURVIVED: dict[FaultKind, str] = {
    FaultKind.CRC: "crc:0.02",
    FaultKind.DROP: "drop:0.02",
    FaultKind.TRUNCATE: "truncate:0.02",
    FaultKind.DUPLICATE: "duplicate:0.02",
    FaultKind.REORDER: "reorder:0.02",
    FaultKind.DELAY: "delay:0.02:ns=3000",
    FaultKind.SEQ: "seq:0.02",
    FaultKind.ACK: "ack:0.05,drop:0.02",
    FaultKind.POISON: "poison:0.05,drop:0.02",
    FaultKind.EPOCH: "epoch:0.3,drop:0.02",
    FaultKind.CTL_OP: "ctl-op:0.3,drop:0.02",
    FaultKind.LINK_DOWN: "link-down:x2:nth=50:ns=2000",
}
FATAL: dict[str, str] = {
    "credit:x1:nth=50:from=a": r"port b went down .*merge_fatal \(CREDIT_OVERFLOW\)",
    f"link-down:x1:nth=50:ns={10**7}": r"went down .*T_STATE \(LOST\)",
}


def injected(report: dict[str, Any], kind: str) -> int:
    links = [link for end in report["ends"].values() for link in end["links"]]
    return sum(sum(link["injected"]["kinds"].get(kind, {}).values()) for link in links)


@pytest.mark.parametrize("kind", SURVIVED)
@pytest.mark.parametrize(("flit", "links"), [("L64", 1), ("B256", 3)])
def test_every_kind_that_a_link_survives(kind: FaultKind, flit: str, links: int) -> None:
    """A kind that is not port-fatal hits, is verified, and what both ends count is what was injected."""
    assert set(SURVIVED) == {kind for kind, row in KINDS.items() if row.outcome is not Outcome.PORT_FATAL}
    report = Soak(plan(SURVIVED[kind], flits=300 * links, flit=flit, links=links)).run()
    assert (report["failures"], report["unbalanced_by"]) == ([], [])
    assert injected(report, kind) > 0
    assert report["worst_of_faults"] is not None
    assert (report["messages"]["poisoned"] > 0) == (kind is FaultKind.POISON)


@pytest.mark.parametrize("faults", FATAL)
def test_port_fatal_kinds(faults: str) -> None:
    """What kills a port ends the run with the error that it died of, and is named where nothing balances."""
    report = Soak(plan(faults)).run()
    assert not report["verified"]
    assert any(re.search(FATAL[faults], failure) for failure in report["failures"]), report["failures"]
    assert report["unbalanced_by"] == [kind for kind in ("credit",) if faults.startswith(kind)]


def uncounted(injector: FaultInjector, *arguments: Any) -> None:
    COUNT_HIT(injector, *arguments)
    injector.counts[injector.plan.faults[0].kind].clear()


def poisons(port: Port) -> list[Any]:
    return [message._replace(poison=int(message.data != b"")) for message in MESSAGES(port)]


COUNT_HIT = FaultInjector._count
# What is wrong with the account of a kind: its plan, what is planted, and what the report says.
MISCOUNTED: dict[str, tuple[str, Any, str, Callable[..., Any], str]] = {
    "ACK not counted": ("ack:0.05", FaultInjector, "_count", uncounted, "ACK_RANGE"),
    "EPOCH not counted": ("epoch:0.3,drop:0.02", FaultInjector, "_count", uncounted, "STALE"),
    "CTL_OP not counted": ("ctl-op:0.3,drop:0.02", FaultInjector, "_count", uncounted, "STALE"),
    "POISON not counted": ("poison:0.05", FaultInjector, "_count", uncounted, "came poisoned"),
    "POISON of our own": ("none", Port, "messages", poisons, "came poisoned"),
}


@pytest.mark.parametrize("bug", MISCOUNTED)
def test_a_kind_that_is_not_counted(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The account of each kind that peers log or messages carry notices what the injector does not tell."""
    faults, target, name, planted, says = MISCOUNTED[bug]
    monkeypatch.setattr(target, name, planted)
    report = Soak(plan(faults)).run()
    assert any(says in failure for failure in report["failures"]), report["failures"]
