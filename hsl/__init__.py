"""HSL Open Reference Profile: codec, link, coherence agents and emulators of a CPU-GPU interconnect."""

from importlib import import_module
from typing import Any

# Public names and where they live. They are imported when they are asked for: `hsl info` needs none of them,
# and the command handles no signal before this module is imported.
_HOMES = {
    "Access": "hsl.agents.access",
    "Attachment": "hsl.session",
    "HslError": "hsl.errors",
    "Message": "hsl.codec.message",
    "Node": "hsl.engine.node",
    "NodeConfig": "hsl.engine.node",
    "Port": "hsl.link.port",
    "PortConfig": "hsl.link.config",
    "Session": "hsl.session",
    "Ticket": "hsl.agents.access",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("hsl-interconnect")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
