"""The random tester: silent on agents that are right, loud on every planted bug, the same every time."""

from itertools import islice
from typing import Any
from unittest import mock

import pytest

from hsl._generated.constants import Op
from hsl.agents.access import Access
from hsl.agents.home import HomeAgent
from hsl.agents.home_actions import HomeActions
from hsl.agents.target import MemoryTarget
from hsl.agents.transaction import Transaction
from hsl.codec.message import Message
from hsl.errors import ConfigError
from hsl.verify import network, stack
from hsl.verify.fences import Fences
from hsl.verify.issuer import Issuer
from hsl.verify.last_writer import READS, WRITES
from hsl.verify.layout import CPU_NIDS
from hsl.verify.operation import EXACT, GAP_LIMIT, NOTHING, Operation
from hsl.verify.stack import Stack
from hsl.verify.stress import minimize, program, run
from hsl.verify.stress_config import NONE, StressConfig
from hsl.verify.verdict import LinkLost, Stopped
from tests.verify.planted import OPS, PLANTED, SMALL, find, small

# Bugs that are found late, or are made small only with more patience than a quick test has.
HARD = (
    "ReadOnce of an owned line reads memory",
    "SnpInv in SM_A keeps the copy",
    "SnpInv in MI_A answers without data",
    "stale WbFull is written",
    "RECALL counts listed lines only",
    "WbFull of a quiesced range is BUSY",
    "DECODE while a range moves",
)
QUICK = 2000  # operations that making a failure small may run


@pytest.mark.parametrize("seed", range(3))
def test_clean_agents_are_clean(seed: int) -> None:
    """Nothing forbidden is seen on agents without a bug [HSL-COH-031]."""
    verdict = run(StressConfig(ops=1200, seed=seed))
    assert not verdict.violation, f"seed {seed}"
    assert verdict.begun == verdict.ended == 1200
    assert verdict.details["hits"] > 100
    assert verdict.details["snoops"] > 100


@pytest.mark.parametrize(
    "settings",
    [
        {"cpu": 0, "gpu": 3},
        {"cpu": 1, "gpu": 0},
        {"lines": 1},
        {"tshrs": 1, "mshrs": 1},
        {"sets": 1, "ways": 1, "threads": 4},
        {"lines": 200, "sets": 16, "ways": 4},
    ],
)
def test_any_shape(settings: dict[str, Any]) -> None:
    """Whatever the number of caches, their size and the number of lines, runs end and are clean."""
    verdict = run(StressConfig(ops=500, seed=1, **settings))
    assert not verdict.violation
    assert verdict.ended == 500


@pytest.mark.parametrize("via", ["messages", "links"])
def test_small_directory(via: str) -> None:
    """Homes whose directory has room for one line recall others to make room, and that is clean too.

    [HSL-TXN-009, HSL-TXN-010].
    """
    verdict = run(StressConfig(ops=300, seed=4, lines=4, via=via, directory_lines=1, kinds="moves"))
    assert (verdict.violation, verdict.ended) == ("", 300)
    assert verdict.details["victims"] > 20


@pytest.mark.parametrize("faults", ["none", "crc:0.01,drop:0.01"])
def test_whole_stack(faults: str) -> None:
    """Over links, with faults that the links recover from, nothing forbidden is seen either."""
    verdict = run(StressConfig(ops=400, seed=5, via="links", faults=faults))
    assert not verdict.violation
    assert verdict.ended == 400
    assert (verdict.details["replays"] > 0) == (faults != "none")


@pytest.mark.parametrize("via", ["messages", "links"])
@pytest.mark.parametrize(
    ("home", "op"), [("host", "MemRd"), ("device", "ReadShared"), ("interleaved", "MemWr")]
)
def test_lines_of_several_homes(home: str, op: str, via: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines in memory targets, at GPU nodes, or dealt to all of these are raced for; nothing is forbidden."""
    asked: set[int] = set()  # NIDs of GPU nodes
    for server in (HomeAgent, MemoryTarget):
        receive = server.receive

        def seen(self: Any, message: Message, *more: Any, receive: Any = receive) -> None:
            if message.op == Op[op] and self.nid >= CPU_NIDS:
                asked.add(self.nid)
            receive(self, message, *more)

        monkeypatch.setattr(server, "receive", seen)
    config = StressConfig(ops=250, seed=5, via=via, home=home)
    verdict = run(config)
    assert (verdict.violation, verdict.ended) == ("", 250)
    assert len(asked) == 2  # both have memory of their own


@pytest.mark.parametrize("via", ["messages", "links"])
def test_same_seed_same_run(via: str) -> None:
    """The same configuration gives the same verdict to the last counter; another seed another one."""
    config = StressConfig(ops=100, seed=9, via=via)
    assert run(config) == run(config)
    assert run(config) != run(StressConfig(ops=100, seed=10, via=via))


@pytest.mark.parametrize("name", PLANTED)
def test_planted_bugs_are_found(name: str) -> None:
    """Each planted bug is found, and made small; what is left fails with the bug and not without it."""
    config, verdict = find(name, seed=3)
    assert verdict.violation, f"{OPS} operations of seed 3 do not find: {name}"
    if name not in HARD:
        assert small(name, config, verdict, budget=QUICK) < SMALL


def test_busy_is_found_where_no_range_ever_moves() -> None:
    """A home that answers BUSY breaks a rule also in a program without moves. [HSL-COH-055]."""
    with PLANTED["BUSY though no range moves"]():
        verdict = run(StressConfig(ops=300, seed=1, kinds=NONE))
    assert "no move of that range is under way" in verdict.violation


def test_planted_bug_is_found_over_links() -> None:
    """A bug of the agents is found through the whole stack too, and the flits of the failure are told."""
    name = "SnpShared in M answers without data"
    config = StressConfig(ops=2000, seed=1, via="links", cpu=0)
    with PLANTED[name]():
        verdict = run(config)
        assert verdict.violation
        least, kept = minimize(config, verdict, budget=3000)
        again = run(least, kept, trace=True)
    assert again.violation
    assert len(kept) < SMALL
    assert any("SnpShared" in line and line.startswith("flit") for line in again.trace)


def test_report_names_the_last_writer() -> None:
    """A stale value is reported with who wrote it and who wrote last."""
    with PLANTED["a store in S hits without Upgrade"]():
        assert "holds" in run(StressConfig(seed=2)).violation or "has" in run(StressConfig(seed=2)).violation
    with PLANTED["a fence does not wait"](), mock.patch.object(Fences, "performed"):
        assert "the last writer is #" in run(StressConfig(ops=OPS, seed=3, kinds=NONE)).violation


def test_lost_message_is_a_deadlock(monkeypatch: pytest.MonkeyPatch) -> None:
    """When nothing is under way and operations wait, that is a deadlock, and the report says who waits."""
    monkeypatch.setattr(stack, "PATIENCE", 1000 << stack.TU_EXPONENT)
    right = HomeAgent.receive

    def deaf(home: HomeAgent, message: Message, now: int, viral: bool = False) -> None:
        if now < 3000:
            right(home, message, now, viral)

    with mock.patch.object(HomeAgent, "receive", deaf):
        verdict = run(StressConfig(seed=1))
        assert "deadlock" in verdict.violation
        assert "operations wait: #" in verdict.violation
        assert "deadlock" in run(StressConfig(seed=1, ops=200, via="links", kinds=NONE)).violation


@pytest.mark.parametrize("faults", ["drop:1", "credit:x1"])
def test_link_that_faults_end_is_no_verdict(faults: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """More faults than the links recover from end the run without a verdict: nothing forbidden was seen."""
    monkeypatch.setattr(stack, "PATIENCE", 2000)
    with pytest.raises(LinkLost, match="Fewer faults"):
        run(StressConfig(ops=300, seed=0, via="links", faults=faults))


def test_lost_link_without_faults_is_forbidden() -> None:
    """Where nothing is done to flits, a link that goes down is a violation."""
    right = Stack._begin

    def cut(system: Stack, operation: Operation) -> None:
        right(system, operation)
        system.loopback.set_wire(0, up=False)

    with mock.patch.object(Stack, "_begin", cut):
        assert "a link was lost" in run(StressConfig(ops=50, seed=0, via="links")).violation


@pytest.mark.parametrize(
    "config",
    [
        StressConfig(ops=400, seed=1, via="links", gpu=1, cpu=0),
        StressConfig(ops=400, seed=1, via="links", faults="drop:1"),
        StressConfig(ops=3000, seed=1, cpu=1, gpu=0, lines=1),
    ],
)
def test_progress_is_told_whatever_happens(config: StressConfig) -> None:
    """A run can be stopped before any operation has ended, and when hardly any message is sent."""

    def stop(issuer: Issuer) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        run(config, progress=stop)


def test_pause_of_a_program_is_no_deadlock(monkeypatch: pytest.MonkeyPatch) -> None:
    """While an operation is still to begin, however late, nothing is deadlocked."""
    monkeypatch.setattr(stack, "PATIENCE", 100 << stack.TU_EXPONENT)
    access = Access("load", 0, 8)
    operations = [Operation(number, 0, 16, access, gap=GAP_LIMIT) for number in range(3)]
    assert not run(StressConfig(ops=3, seed=1, via="links"), operations).violation


def test_lost_atomic_is_seen_over_links() -> None:
    """An atomic that returns nothing and is not done is seen at rest, or by the next one that returns."""
    right = HomeActions.do_alu

    def bug(home: HomeActions, t: Transaction) -> None:
        if t.request.op == Op.AtomicStore and t.request.txn % 2 == 0:
            t.request = t.request._replace(data=bytes(8))
        right(home, t)

    with mock.patch.object(HomeActions, "do_alu", bug):
        verdict = run(StressConfig(ops=600, seed=1, via="links", kinds=NONE))
    assert "with every atomic" in verdict.violation or "had ended when it began" in verdict.violation


def test_operation_that_never_ends_starves(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operation that others overtake without end is told from a deadlock."""
    monkeypatch.setattr(network, "MAX_WAIT", 3)
    monkeypatch.setattr(network, "SWEEP", 1)
    assert "starves" in run(StressConfig(seed=1)).violation


def test_agent_that_raises_is_a_violation() -> None:
    """An exception inside an agent is a verdict, with the place, and not a crash of the tester."""
    with mock.patch.object(HomeAgent, "directory_of", side_effect=KeyError("lost")):
        assert "KeyError" in run(StressConfig(ops=50, seed=1)).violation


def test_caller_may_stop() -> None:
    """A run that its caller stops has no verdict."""

    def stop(issuer: Issuer) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        run(StressConfig(ops=5000, seed=1), progress=stop)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"ops": 0}, "ops = 0"),
        ({"cpu": True}, "cpu = true"),
        ({"lines": 1 << 20}, "lines"),
        ({"via": "air"}, "via 'air'"),
        ({"cpu": 0, "gpu": 0}, "no cache"),
        ({"faults": "crc:0.1"}, "--via links"),
        ({"via": "links", "gpu": 0}, "at least one gpu"),
        ({"via": "links", "faults": "poison:0.1"}, "poison"),
        ({"flavour": 1}, "no such setting: .flavour"),
    ],
)
def test_wrong_configurations_are_refused(settings: dict[str, Any], said: str) -> None:
    """A setting outside its limits is refused, with what is legal."""
    with pytest.raises(ConfigError, match=said):
        StressConfig.of(settings)


def test_program_has_everything() -> None:
    """A program has reads, writes and atomics that race and that do not, and lines that all kinds share."""
    operations = list(islice(program(StressConfig(ops=4000, seed=1)), 4000))
    kinds = {operation.access.kind for operation in operations}
    assert kinds >= READS | WRITES | {"atomic_load", "atomic_store", "evict", "flush", "fence"}
    assert {operation.judge for operation in operations} == {"exact", "words", "nothing", "poison", "pages"}
    lines: dict[int, set[str]] = {}
    for operation in operations:
        if operation.judge != NOTHING:
            lines.setdefault(operation.access.addr // 64, set()).add(operation.judge)
    assert any(len(judges) == 2 for judges in lines.values())


def test_exact_operations_do_not_race() -> None:
    """A program orders two exact operations on one word of which one is a write."""
    operations = list(program(StressConfig(ops=3000, seed=6)))
    before: dict[int, set[int]] = {}
    previous: dict[int, Operation] = {}
    for operation in operations:
        sure: set[int] = set()
        for each in (*operation.after, *operation.orders):
            sure |= {each} | before[each]
        last = previous.get(operation.thread)
        if last is not None:
            same_line = last.access.addr // 64 == operation.access.addr // 64
            sure |= before[last.id] | {last.id} if same_line else set()
        before[operation.id] = sure
        previous[operation.thread] = operation
    last_write: dict[int, int] = {}
    checked = 0
    for operation in operations:
        if operation.judge != EXACT:
            continue
        word = operation.access.addr
        if word in last_write and operations[last_write[word]].thread != operation.thread:
            assert last_write[word] in before[operation.id], str(operation)
            checked += 1
        if operation.access.kind in WRITES:
            last_write[word] = operation.id
    assert checked > 100


def test_codec_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The native codec under the links gives the verdict of the reference codec to the last counter."""
    config = StressConfig(ops=120, seed=2, via="links", faults="crc:0.02,drop:0.02")
    monkeypatch.delenv("HSL_ENGINE", raising=False)
    used: list[str] = []

    def stack_of(*arguments: Any, codec: str, **more: Any) -> Stack:
        used.append(codec)
        return Stack(*arguments, codec=codec, **more)

    with mock.patch("hsl.verify.stress.Stack", stack_of):
        assert run(config) == run(config, engine="reference")
    assert used == ["native", "reference"]
