"""The checker of memory order, beside machines that try everything and share nothing with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random

import pytest

from hsl.errors import ConfigError
from hsl.verify import checker
from hsl.verify.checker import CONSISTENT, UNDECIDED, VIOLATION, check
from hsl.verify.linearize import Attempt
from hsl.verify.memory_graph import MODELS
from hsl.verify.trace_operation import Trace, TraceOperation, read_trace

X, Y = 0, 64
# Traces of litmus outcomes, and by which models they can be.
OUTCOMES = {
    "SB": (["0: M[0] := 1", "0: M[1] == 0", "1: M[1] := 1", "1: M[0] == 0"], "tso hsl", 4),
    "MP": (["0: M[0] := 1", "0: M[1] := 1", "1: M[1] == 1", "1: M[0] == 0"], "hsl", 4),
    "LB": (["0: M[0] == 1", "0: M[1] := 1", "1: M[1] == 1", "1: M[0] := 1"], "hsl", 4),
    "2+2W": (
        ["0: M[0] := 1", "0: M[1] := 2", "1: M[1] := 1", "1: M[0] := 2",
         "final M[0] == 1", "final M[1] == 1"], "hsl", 4,
    ),
    "R": (["0: M[0] := 1", "0: M[1] := 1", "1: M[1] := 2", "1: M[0] == 0", "final M[1] == 2"], "tso hsl", 4),
    "S": (["0: M[0] := 2", "0: M[1] := 1", "1: M[1] == 1", "1: M[0] := 1", "final M[0] == 2"], "hsl", 4),
    "WRC": (["0: M[0] := 1", "1: M[0] == 1", "1: M[1] := 1", "2: M[1] == 1", "2: M[0] == 0"], "hsl", 5),
    "IRIW": (
        ["0: M[0] := 1", "1: M[1] := 1", "2: M[0] == 1", "2: M[1] == 0",
         "3: M[1] == 1", "3: M[0] == 0"], "hsl", 6,
    ),
    "SB+sync": (
        ["0: M[0] := 1", "0: sync", "0: M[1] == 0", "1: M[1] := 1", "1: sync", "1: M[0] == 0"], "", 4
    ),
    "MP+sync": (
        ["0: M[0] := 1", "0: sync", "0: M[1] := 1", "1: M[1] == 1", "1: sync", "1: M[0] == 0"], "", 4
    ),
    "CoRR": (["0: M[0] := 1", "1: M[0] == 1", "1: M[0] == 0"], "", 3),
    "CoWW": (["0: M[0] := 1", "0: M[0] := 2", "final M[0] == 1"], "", 2),
    "CoWR": (["0: M[0] := 1", "0: M[0] == 0"], "", 2),
    "CoRW": (["0: M[0] == 2", "0: M[0] := 1", "1: M[0] := 2", "final M[0] == 2"], "", 3),
    "RMW": (["0: <M[0] == 0; M[0] := 1>", "1: <M[0] == 0; M[0] := 2>"], "", 2),
    "forwarding": (
        ["0: M[0] := 1", "0: M[0] == 1", "0: M[1] == 0",
         "1: M[1] := 1", "1: M[1] == 1", "1: M[0] == 0"], "tso hsl", 4,
    ),
    "nowhere": (["0: M[0] == 7"], "", 1),
}  # fmt: skip


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", OUTCOMES)
def test_litmus_outcomes(name: str, model: str) -> None:
    """Each weak outcome is explained by the models that allow it, and a violation by the others."""
    lines, models, _ = OUTCOMES[name]
    finding = check(read_trace(lines, name), model)
    assert finding.verdict == (CONSISTENT if model in models.split() else VIOLATION), finding.sentence


@pytest.mark.parametrize("name", OUTCOMES)
def test_cycle_is_minimal(name: str) -> None:
    """A violation shows the shortest cycle, fences aside, and one sentence that names its operations."""
    lines, _, length = OUTCOMES[name]
    finding = check(read_trace(lines, name), "sc")
    real = [what for what, _ in finding.cycle if "fence" not in what]
    assert len(real) == length
    assert finding.sentence.endswith(".")
    assert all(what in finding.sentence for what in real)


def program(rng: Random) -> list[list[TraceOperation]]:
    """A small program on two lines; values are unique, reads are filled in by a run."""
    value = iter(range(1, 100))
    threads = []
    for agent in range(rng.randint(2, 3)):
        thread = []
        for _ in range(rng.randint(1, 4)):
            kind = rng.choice(["load", "load", "store", "store", "atomic", "fence"])
            addr = 0 if kind == "fence" else rng.choice((X, Y))
            written = next(value) if kind in ("store", "atomic") else None
            each = TraceOperation(agent, kind, addr, addr // 64, written)
            thread.append(each._replace(acquire=rng.random() < 0.2, release=rng.random() < 0.2))
        threads.append(thread)
    return threads


def interleaved(rng: Random) -> list[TraceOperation]:
    """What a run of a small program on one memory reads, in an order that the seed draws."""
    threads = program(rng)
    memory = {X: 0, Y: 0}
    done: list[TraceOperation] = []
    while left := [thread for thread in threads if thread]:
        each = rng.choice(left).pop(0)
        if each.kind in ("load", "atomic"):
            each = each._replace(read=memory[each.addr])
        if each.value is not None:
            memory[each.addr] = each.value
        done.append(each._replace(source=len(done) + 1))
    return done


def corrupted(rng: Random, operations: list[TraceOperation]) -> list[TraceOperation]:
    """The same, with some reads of other values of their address."""
    changed = list(operations)
    for at in rng.sample(range(len(changed)), min(2, len(changed))):
        each = changed[at]
        if each.read is not None:
            others = [o.value for o in operations if o.addr == each.addr and o.value is not None]
            changed[at] = each._replace(read=rng.choice([0, *others]))
    return changed


def before(model: str, one: TraceOperation, other: TraceOperation, between: Iterable[TraceOperation]) -> bool:
    """Must two operations of an agent keep their order, by the words of 5.9."""
    if model == "sc" or "fence" in (one.kind, other.kind) or any(each.kind == "fence" for each in between):
        return True
    return one.line == other.line or one.acquire or other.release


def one_memory(model: str, operations: list[TraceOperation]) -> bool:
    """Is there an order that the model allows in which every read finds the last write: all are tried."""
    needs: list[set[int]] = [set() for _ in operations]
    for j, other in enumerate(operations):
        for i, one in enumerate(operations[:j]):
            between = [each for each in operations[i + 1 : j] if each.agent == one.agent]
            if one.agent == other.agent and before(model, one, other, between):
                needs[j].add(i)
    todo: list[tuple[frozenset[int], int, int]] = [(frozenset(), 0, 0)]
    seen = set(todo)
    while todo:
        done, x, y = todo.pop()
        if len(done) == len(operations):
            return True
        for i, each in enumerate(operations):
            if i in done or not needs[i] <= done:
                continue
            found = x if each.addr == X else y
            if each.read is not None and each.read != found:
                continue
            new = each.value if each.value is not None else found
            state = (done | {i}, new if each.addr == X else x, y if each.addr == X else new)
            if state not in seen:
                seen.add(state)
                todo.append(state)
    return False


Buffers = tuple[tuple[tuple[int, int], ...], ...]
Machine = tuple[tuple[int, ...], Buffers, tuple[tuple[int, int], ...]]


def buffered(operations: list[TraceOperation]) -> bool:
    """Does a machine with a store buffer for each agent have a run that reads this: all are tried."""
    agents = sorted({each.agent for each in operations})
    threads = [[each for each in operations if each.agent == agent] for agent in agents]
    start: Machine = (tuple(0 for _ in agents), tuple(() for _ in agents), ((X, 0), (Y, 0)))
    todo, seen = [start], {start}
    while todo:
        state = todo.pop()
        if all(at == len(thread) for at, thread in zip(state[0], threads, strict=True)):
            return True
        for new in moves(threads, state):
            if new not in seen:
                seen.add(new)
                todo.append(new)
    return False


def moves(threads: list[list[TraceOperation]], state: Machine) -> Iterator[Machine]:
    places, buffers, cells = state
    memory = dict(cells)
    for p, thread in enumerate(threads):
        buffer = buffers[p]

        def put(at: int, kept: tuple[tuple[int, int], ...], change: dict[int, int], p: int = p) -> Machine:
            return (
                (*places[:p], at, *places[p + 1 :]),
                (*buffers[:p], kept, *buffers[p + 1 :]),
                tuple(sorted((memory | change).items())),
            )

        if buffer:
            yield put(places[p], buffer[1:], dict(buffer[:1]))
        if places[p] == len(thread):
            continue
        each = thread[places[p]]
        if each.kind == "store":
            assert each.value is not None
            yield put(places[p] + 1, (*buffer, (each.addr, each.value)), {})
        elif each.kind == "load":
            if dict(buffer).get(each.addr, memory[each.addr]) == each.read:
                yield put(places[p] + 1, buffer, {})
        elif not buffer and (each.kind == "fence" or memory[each.addr] == each.read):
            yield put(places[p] + 1, (), {} if each.value is None else {each.addr: each.value})


def test_interleavings_of_one_memory_are_accepted() -> None:
    """What a run on one memory reads is explained by every model."""
    for seed in range(100):
        operations = interleaved(Random(seed))
        for model in MODELS:
            assert check(Trace(operations), model).verdict == CONSISTENT, (seed, model)


def test_agrees_with_machines_that_try_everything() -> None:
    """Of small traces, sound and corrupted, the checker says what a search through all runs says."""
    verdicts = {model: {CONSISTENT: 0, VIOLATION: 0} for model in MODELS}
    for seed in range(250):
        rng = Random(seed)
        operations = corrupted(rng, interleaved(rng))
        for model in MODELS:
            possible = buffered(operations) if model == "tso" else one_memory(model, operations)
            finding = check(Trace(operations), model)
            assert finding.verdict == (CONSISTENT if possible else VIOLATION), (seed, model, operations)
            verdicts[model][finding.verdict] += 1
    assert all(count > 20 for each in verdicts.values() for count in each.values()), verdicts


def test_what_is_told_is_enough() -> None:
    """The operations of the cycle, and of what it follows from, are a violation without all others."""
    inferred = 0
    for seed in range(250):
        rng = Random(seed)
        told = [each._replace(flits=(at,)) for at, each in enumerate(corrupted(rng, interleaved(rng)))]
        for model in ("sc", "tso"):
            finding = check(Trace(told), model)
            if finding.verdict == VIOLATION:
                least = [each for at, each in enumerate(told) if at in finding.flits or each.kind == "fence"]
                assert check(Trace(least), model).verdict == VIOLATION, (seed, model, finding)
                inferred += bool(finding.because)
    assert inferred > 20


def test_order_of_writes_is_told() -> None:
    """Two readers who see two writes in two orders: the sentence says how each order of them is known."""
    lines = ["0: M[0] := 1", "1: M[0] := 2", "2: M[0] == 1", "2: M[0] == 2", "3: M[0] == 2", "3: M[0] == 1"]
    finding = check(read_trace(lines, "t"), "hsl")
    assert [relation for _, relation in finding.cycle] == ["is overwritten by"] * 2
    assert len({operation for operation, _ in finding.cycle}) == 2
    assert finding.because[0] == (
        "Agent 0's write of 0x0 := 1 (#1) is read by agent 2's read of 0x0 = 1 (#3), which must come before "
        "agent 2's read of 0x0 = 2 (#4), which found agent 1's write of 0x0 := 2 (#2)."
    )
    assert len(finding.because) == 2


def test_parts_of_a_trace_agree_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judged as long ones are, small traces get the same verdicts, or none; few get none."""
    monkeypatch.setattr(checker, "MAX_WHOLE", 0)
    open_ones = 0
    for seed in range(250):
        rng = Random(seed)
        operations = corrupted(rng, interleaved(rng))
        operations.sort(key=lambda each: each.agent)
        for model in ("sc", "hsl"):
            verdict = check(Trace(operations), model).verdict
            expected = CONSISTENT if one_memory(model, operations) else VIOLATION
            assert verdict in (expected, UNDECIDED), (seed, model, operations)
            open_ones += verdict == UNDECIDED
    assert open_ones < 25, open_ones


def long_trace(count: int) -> list[TraceOperation]:
    """What a run on one memory reads: four agents, 32 words on 8 lines."""
    rng, memory = Random(count), dict.fromkeys(range(0, 256, 8), 0)
    found = []
    for number in range(1, count + 1):
        agent, addr = rng.randrange(4), rng.choice(list(memory))
        if rng.random() < 0.5:
            memory[addr] = number
            found.append(TraceOperation(agent, "store", addr, addr // 64, number, source=number))
        else:
            found.append(TraceOperation(agent, "load", addr, addr // 64, read=memory[addr], source=number))
    return found


def with_stale_read(operations: list[TraceOperation], after: int) -> list[TraceOperation]:
    """The same, where a read finds again what its agent has seen overwritten already."""
    seen: dict[tuple[int, int], list[int]] = {}
    for at, each in enumerate(operations):
        if each.read is None:
            continue
        values = seen.setdefault((each.agent, each.addr), [])
        if at > after and len(values) > 3 and each.read != values[-1]:
            return [*operations[:at], each._replace(read=values[-2]), *operations[at + 1 :]]
        if each.read not in values:
            values.append(each.read)
    raise AssertionError("no such read")


@pytest.mark.parametrize("model", MODELS)
def test_long_traces(model: str) -> None:
    """A trace too long to be inferred whole is explained; a stale read in it is found, and shown small."""
    operations = long_trace(3 * checker.MAX_WHOLE // 2)
    assert check(Trace(operations), model).verdict == CONSISTENT
    finding = check(Trace(with_stale_read(operations, checker.MAX_WHOLE)), model)
    assert finding.verdict == VIOLATION
    assert len(finding.cycle) <= 4


def chain(length: int) -> list[str]:
    """Eight agents who count up one variable by turns."""
    return [f"{n % 8}: <M[0] == {n}; M[0] := {n + 1}>" for n in range(length)]


def test_long_chain_of_atomics() -> None:
    """One count that is taken twice in a long chain of atomics is found, and shown small."""
    lines = chain(checker.MAX_WHOLE + 100)
    assert check(read_trace(lines, "t"), "hsl").verdict == CONSISTENT
    lines[4000] = "0: <M[0] == 100; M[0] := 4001>"
    finding = check(read_trace(lines, "t"), "hsl")
    assert finding.verdict == VIOLATION
    assert len(finding.cycle) <= 6


def test_final_value_of_a_long_trace() -> None:
    """A final value that was overwritten long ago is found."""
    lines = [f"{n % 8}: M[{n % 3}] := {n + 1}" for n in range(checker.MAX_WHOLE + 100)]
    assert check(read_trace([*lines, "final M[0] == 4195"], "t"), "hsl").verdict == CONSISTENT
    finding = check(read_trace([*lines, "final M[0] == 7"], "t"), "hsl")
    assert finding.verdict == VIOLATION
    assert any("as the final value says" in relation for _, relation in finding.cycle)


def test_acquire_and_release() -> None:
    """By the profile, message passing with release and acquire is ordered."""
    lines = ['{"schema": "hsl.operations/1"}',
             '{"agent": 2, "kind": "store", "addr": 0, "value": 1, "flits": [3, 4]}',
             '{"agent": 2, "kind": "store", "addr": 64, "value": 1, "release": true, "flits": [5]}',
             '{"agent": 16, "kind": "load", "addr": 64, "read": 1, "acquire": true, "flits": [9]}',
             '{"agent": 16, "kind": "load", "addr": 0, "read": 0, "flits": [7]}']  # fmt: skip
    finding = check(read_trace(lines, "t"), "hsl")
    assert finding.verdict == VIOLATION
    assert finding.flits == [3, 4, 5, 7, 9]
    assert check(read_trace([line.replace("release", "acquire") for line in lines], "t"), "hsl").verdict != (
        VIOLATION
    )


def test_global_clock() -> None:
    """A read that began after a write ended finds it, if the clocks are one."""
    trace = read_trace(["0: M[0] := 1 @ 10:20", "1: M[0] == 0 @ 30:40"], "t")
    assert check(trace, "hsl").verdict == CONSISTENT
    assert check(trace, "hsl", global_clock=True).verdict == VIOLATION
    trace = read_trace(["0: M[0] := 1 @ 10:30", "1: M[0] == 0 @ 30:40"], "t")
    assert check(trace, "hsl", global_clock=True).verdict == CONSISTENT


def test_values_must_tell_writes_apart() -> None:
    """Two writes of one value to one address are refused, with the place of the second."""
    with pytest.raises(ConfigError, match="#2: 5 is written"):
        check(read_trace(["0: M[0] := 5", "1: M[0] := 5"], "t"), "sc")


def test_undecided_beyond_the_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the cap on tries is reached there is no verdict, and that is what is said."""
    monkeypatch.setattr(checker, "MAX_TRIES", 1)
    monkeypatch.setattr(Attempt, "complete", False)
    lines = ["0: M[0] := 1", "1: M[0] := 2", "2: M[1] := 1", "3: M[1] := 2"]
    finding = check(read_trace(lines, "t"), "sc")
    assert finding.verdict == UNDECIDED
    assert "No violation was found" in finding.sentence
