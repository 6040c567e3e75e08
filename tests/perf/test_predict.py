"""The model of a port's speed: what the loopback tells, beside the closed form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hsl.errors import ConfigError
from hsl.perf.predict import Model, bounds, expected_goodput, predict


def rows(links: list[int], **changes: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = predict(Model(**{"messages": 600, "seed": 1} | changes), links)["rows"]
    return found


# Without errors: what is modelled -> what limits it.
CLEAN: list[tuple[dict[str, Any], str]] = [
    ({}, "line"),
    ({"flit": "B256"}, "line"),
    ({"lanes": 4, "rate": 16.0}, "line"),
    ({"slow": {0: 8.0}}, "line"),
]


@pytest.mark.parametrize(("changes", "limit"), CLEAN)
def test_closed_form(changes: dict[str, Any], limit: str) -> None:
    """Without errors goodput is within 2 % of the closed form, and latency on a quiet link equals it."""
    (row,) = rows([1], **changes)
    assert row["goodput_gb_per_s"]["limited_by"] == limit
    assert row["goodput_gb_per_s"]["ratio"] == pytest.approx(1, abs=0.02)
    latency = row["latency_ns"]
    assert latency["min"] == latency["p50"] == latency["p99"] == latency["expected"]


def test_window() -> None:
    """Where the window is the limit, the closed form with window and round trip is within a tenth."""
    (row,) = rows([1], window=64, delay_ns=200)
    assert row["goodput_gb_per_s"]["limited_by"] == "window"
    assert row["goodput_gb_per_s"]["ratio"] == pytest.approx(1, abs=0.1)


def test_long_way() -> None:
    """A way of 20 km gets a TU that covers its round trip, so that nothing is sent twice."""
    (row,) = rows([1], window=8, delay_ns=100_000)
    assert row["goodput_gb_per_s"]["ratio"] == pytest.approx(1, abs=0.1)
    assert row["latency_ns"]["p99"] == row["latency_ns"]["expected"]


def test_too_few() -> None:
    """Messages that all come before a window could fill tell nothing, and are refused."""
    with pytest.raises(ConfigError, match="within one round trip"):
        rows([1], messages=100, delay_ns=100_000)


def test_by_hand() -> None:
    """32 GT/s on 16 lanes are 64 GB/s; 56 of 64 bytes are payload, 64 of its 72 are data: 49.8 GB/s."""
    assert bounds(Model(), 1)["line"] == pytest.approx(64 * 56 / 64 * 64 / 72)
    assert Model(ber=1e-9).flit_error_rate == pytest.approx(512e-9, rel=1e-3)


def test_errors_cost() -> None:
    """Bit errors lower the goodput as the closed form says, and some messages on a quiet link come late."""
    (bad,) = rows([1], messages=3000, ber=2e-5)
    assert bad["goodput_gb_per_s"]["expected"] < 0.7 * bounds(Model(), 1)["line"]
    assert bad["goodput_gb_per_s"]["ratio"] == pytest.approx(1, abs=0.15)
    (worst,) = rows([1], messages=100, ber=1e-4)
    assert worst["latency_ns"]["p50"] == worst["latency_ns"]["expected"] < worst["latency_ns"]["p99"]


def test_same_seed_same_bytes() -> None:
    """The same seed gives the same document to the byte; another one draws other errors."""
    documents = [json.dumps(predict(Model(messages=200, ber=1e-4, seed=seed), [1])) for seed in (1, 1, 2)]
    assert documents[0] == documents[1]
    assert json.loads(documents[0])["rows"] != json.loads(documents[2])["rows"]


def test_limits() -> None:
    """A small window or a long way limits the goodput: the closed form says which. Credits never do."""
    assert expected_goodput(Model(window=8, delay_ns=100), 1)[1] == "window"
    assert expected_goodput(Model(delay_ns=1000), 8)[1] == "window"
    assert expected_goodput(Model(), 8)[1] == "line"


@pytest.mark.parametrize(
    "changes",
    [
        {"rate": 0.0},
        {"rate": 1e-8},
        {"slow": {1: -1.0}},
        {"slow": {8: 16.0}},
        {"lanes": 0},
        {"ber": 0.1},
        {"delay_ns": 0},
        {"window": 512},
        {"flit": "L32"},
        {"messages": 1},
    ],
)
def test_wrong_models(changes: dict[str, Any]) -> None:
    """What cannot be modelled is a ConfigError."""
    with pytest.raises(ConfigError):
        Model(**changes)


def test_goodput_grows_with_links() -> None:
    """4 links have at least 3.9 times the goodput of one, 8 at least 7.6 times, each within 2 % of the form.

    [HSL-BND-001]
    """
    found = {row["links"]: row for row in rows([1, 4, 8], messages=1200)}
    assert found[4]["times_first"] >= 3.9
    assert found[8]["times_first"] >= 7.6
    for row in found.values():
        assert row["goodput_gb_per_s"]["ratio"] == pytest.approx(1, abs=0.02)


def test_slow_link() -> None:
    """A bond with one slow link runs at n times the slowest: the rotation waits (4.3)."""
    (row,) = rows([3], slow={1: 8.0})
    assert row["goodput_gb_per_s"]["expected"] == pytest.approx(
        3 * bounds(Model(rate=8.0), 1)["line"], abs=1e-3
    )
    assert row["goodput_gb_per_s"]["ratio"] == pytest.approx(1, abs=0.02)
