"""Each node has an address map and an access list of its own, which its registers change (HSL 5.1, 5.14)."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from hsl.agents.address_map import AddressMap
from hsl.agents.home import HomeConfig
from hsl.agents.io import IoConfig
from hsl.agents.request_config import RequestConfig
from hsl.agents.target import TargetConfig

__all__ = ["OwnMaps"]

Config = TypeVar("Config", HomeConfig, IoConfig, RequestConfig, TargetConfig)


class OwnMaps:
    """Configurations of one node with their map copied: agents that shared one share the copy."""

    def __init__(self) -> None:
        self._copies: dict[int, tuple[AddressMap, AddressMap]] = {}  # by identity; the original is kept alive

    def of(self, config: Config) -> Config:
        """The same configuration with the node's own map."""
        original = config.address_map
        _, copy = self._copies.setdefault(id(original), (original, original.copy()))
        return replace(config, address_map=copy)
