"""The long comparison of both codecs, in small: what it covers, and that it sees a difference."""

import pytest

from hsl.codec import reference
from tests.differential import long_run

FLITS = 4000


@pytest.fixture(scope="module")
def result() -> long_run.Result:
    """A few thousand flits of L64."""
    return long_run.run(long_run.Shard(1, 0, "L64", FLITS))


def test_no_difference(result: long_run.Result) -> None:
    """A shard ends with all its flits compared and no difference."""
    assert result.difference == ""
    assert result.flits == FLITS
    assert result.messages > FLITS // 4


def test_every_fault_is_met(result: long_run.Result) -> None:
    """The damage reaches every check that a flit can fail, but for its size."""
    wide = long_run.run(long_run.Shard(1, 1, "B256", 500))
    assert wide.difference == ""
    found = set(result.faults) | set(wide.faults)
    checks = {
        "FLT-003",
        "FLT-004",
        "FLT-005",
        "FLT-007",
        "FLT-008",
        "FLT-010",
        "LNK-030",
        "LNK-031",
        "LNK-034",
    }
    assert found == {f"HSL-{name}" for name in checks}


def test_shards() -> None:
    """All flits are dealt to shards, one in ten in B256."""
    work = long_run.shards(5, 1_000_000)
    assert sum(shard.flits for shard in work) == 1_000_000
    assert sum(shard.flits for shard in work if shard.format == "B256") == 100_000
    assert [shard.number for shard in work] == list(range(len(work)))


def test_difference_is_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A codec that loses a field ends the run with the flit, the seed and exit code 1."""
    original = reference._message
    monkeypatch.setattr(reference, "_message", lambda *args: original(*args)._replace(src=0))
    found = long_run.run(long_run.Shard(1, 0, "L64", FLITS))
    assert "Shard(seed=1, number=0" in found.difference


def test_command(capsys: pytest.CaptureFixture[str]) -> None:
    """The command says what ran, how fast, and that nothing differed."""
    assert long_run.main(["--flits", "500", "--processes", "1"]) == 0
    assert "500 flits" in capsys.readouterr().out.replace(",", "")
