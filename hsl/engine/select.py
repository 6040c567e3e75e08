"""Choice of the engine of each layer: the reference in Python, or the native one in C.

Nothing falls back silently: an engine that was asked for and is not there is an error that names those
that are.
"""

from __future__ import annotations

import os
from typing import Final

from hsl.errors import ConfigError
from hsl.nearest import expected
from hsl.shown import quoted

__all__ = ["BUILT", "ENGINES", "LAYERS", "choose", "engines"]

ENGINES: Final = ("reference", "native")
# The engines that exist, by layer, the default first. The reference codec runs on the native CRC
# (hsl.codec.crc); the reference link runs on either codec (PortConfig.codec).
BUILT: Final[dict[str, tuple[str, ...]]] = {
    "codec": ("native", "reference"),
    "link": ("reference",),
    "agents": ("reference",),
}
LAYERS: Final = tuple(BUILT)
VARIABLE: Final = "HSL_ENGINE"


def choose(layer: str, engine: str | None = None) -> str:
    """The engine of `layer`: `engine`, or the environment's HSL_ENGINE, or the layer's default for None.

    Raises ConfigError for an unknown engine, and for `engine="native"` where the layer has none.
    """
    if layer not in BUILT:
        raise ConfigError(f"unknown layer {layer!r}; {expected(LAYERS, layer)}")
    asked = engine if engine is not None else os.environ.get(VARIABLE) or None  # empty is unset
    if asked is not None and not (isinstance(asked, str) and asked in ENGINES):
        raise ConfigError(f"unknown engine {quoted(asked)}; {expected(ENGINES)}")
    if asked is None or asked in BUILT[layer]:
        return asked or BUILT[layer][0]
    there = ", ".join(f"{name}: {' or '.join(have)}" for name, have in BUILT.items())
    raise ConfigError(
        f"the {layer} layer has no {asked} engine yet; there are {there}. "
        f"Leave --engine and {VARIABLE} out for the default"
    )


def engines(engine: str | None = None) -> dict[str, str]:
    """The engine of every layer, as `hsl info` and every report print it; ConfigError as `choose`."""
    return {layer: choose(layer, engine) for layer in LAYERS}
