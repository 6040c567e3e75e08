"""The choice of engines."""

from __future__ import annotations

import pytest

from hsl.engine import select
from hsl.engine.select import choose, engines
from hsl.errors import ConfigError

LAYERS = ["codec", "link", "agents"]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HSL_ENGINE", raising=False)


def test_default_is_the_first_engine_built() -> None:
    """Without a wish every layer says the engine that it has."""
    assert engines() == {layer: select.BUILT[layer][0] for layer in LAYERS}


def test_reference_runs_every_layer() -> None:
    """The reference is there for every layer."""
    assert engines("reference") == dict.fromkeys(LAYERS, "reference")


@pytest.mark.parametrize("layer", LAYERS)
def test_missing_engine_is_an_error_that_says_what_there_is(
    layer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing falls back silently: native for a layer without one names the engines that exist."""
    monkeypatch.setitem(select.BUILT, layer, ("reference",))
    with pytest.raises(ConfigError, match=f"the {layer} layer has no native engine.*agents: reference"):
        choose(layer, "native")
    monkeypatch.setenv("HSL_ENGINE", "native")
    with pytest.raises(ConfigError, match=layer):
        choose(layer)
    monkeypatch.setitem(select.BUILT, layer, ("native", "reference"))
    assert choose(layer) == "native"
    assert choose(layer, "reference") == "reference"


@pytest.mark.parametrize(("layer", "engine"), [("link", "fast"), ("link", ""), ("wire", None)])
def test_unknown_names_are_errors(layer: str, engine: str | None) -> None:
    """A name that is no engine or no layer is a ConfigError that lists the legal ones."""
    with pytest.raises(ConfigError, match="unknown"):
        choose(layer, engine)


def test_an_empty_variable_is_an_unset_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """HSL_ENGINE="" chooses nothing, as an empty variable does everywhere else."""
    monkeypatch.setenv("HSL_ENGINE", "")
    assert engines() == {layer: have[0] for layer, have in select.BUILT.items()}
