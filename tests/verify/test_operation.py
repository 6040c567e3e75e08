"""Operations of a program: as JSON and back, and programs of which some are gone."""

import json
from random import Random
from typing import Any

import pytest

from hsl.agents.access import Access
from hsl.errors import ConfigError
from hsl.verify.operation import EXACT, Operation, without
from hsl.verify.stress import program, run
from hsl.verify.stress_config import StressConfig
from tests.verify.support import HSLR

GOOD = Operation(3, 0, 2, Access("load", 64, 8), gap=5, after=(1, 2), judge=EXACT).record()


def test_every_operation_survives_json() -> None:
    """What a program says is read back the same from its JSON, and the schema knows it."""
    for operation in program(StressConfig(ops=40, seed=4)):
        record = json.loads(json.dumps({"operation": operation.record()}))
        HSLR.validate(record)
        assert Operation.of(record["operation"]) == operation


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": -1}, "id = -1"),
        ({"agent": "2"}, "agent = '2'"),
        ({"gap": True}, "gap = true"),
        ({"kind": 1}, "kind = 1"),
        ({"kind": "steal"}, "steal"),
        ({"addr": 1.5}, "addr = 1.5"),
        ({"size": 100}, "stays inside the line"),
        ({"data": "0g"}, "not hexadecimal"),
        ({"data": 5}, "not hexadecimal"),
        ({"after": [3]}, "lower ids"),
        ({"after": list(range(3)) * 2000}, "at most"),
        ({"after": 1}, "lower ids"),
        ({"judge": "nobody"}, "judge 'nobody'"),
        ({"order": 99}, "order = 99"),
        ({"gap": 1 << 17}, "gap = 131072"),
        ({"size": 4}, "only whole words"),
        ({"addr": 68}, "only whole words"),
        ({"kind": "write_ptl", "data": "00" * 8, "be": 1}, "only whole words"),
        ({"kind": "atomic_load", "data": "02" + "00" * 7}, "only whole words"),
    ],
)
def test_wrong_records_are_refused(change: dict[str, Any], said: str) -> None:
    """A record that is no operation is refused, and the error says what came."""
    assert Operation.of(GOOD).id == 3
    with pytest.raises(ConfigError, match=said):
        Operation.of(GOOD | change)


def test_record_without_a_kind() -> None:
    """An operation needs a kind."""
    with pytest.raises(ConfigError, match="has no kind"):
        Operation.of({name: value for name, value in GOOD.items() if name != "kind"})


def test_what_is_gone_leaves_what_it_ensured() -> None:
    """Whoever waited for a removed operation waits for what that one had waited for, or had ordered."""
    load = Access("load", 0, 8)
    whole = [
        Operation(0, 0, 2, load),
        Operation(1, 0, 2, Access("fence"), orders=(0,)),
        Operation(2, 1, 3, load, after=(1,)),
        Operation(3, 2, 4, load, after=(2,)),
        Operation(4, 1, 3, Access("fence"), orders=(2,)),
    ]
    kept = without(whole, {0, 3, 4})
    assert [operation.after for operation in kept] == [(), (0,), (0,)]
    assert kept[2].orders == ()
    assert without(whole, {0, 1, 2, 3, 4}) == whole


@pytest.mark.parametrize("seed", range(4))
def test_parts_of_a_program_have_no_new_races(seed: int) -> None:
    """Any part of a program is judged clean on agents without a bug: what did not race still does not."""
    config = StressConfig(ops=300, seed=seed, lines=6)
    whole = list(program(config))
    rng = Random(seed)
    kept = {operation.id for operation in whole if rng.random() < 0.5}
    assert not run(config, without(whole, kept)).violation, f"seed {seed}"
