"""The limits of a request agent."""

from __future__ import annotations

import pytest

from hsl._generated.constants import MAX_NID, MAX_TXN
from hsl.agents.address_map import AddressMap
from hsl.agents.request_config import MAX_PENDING, RequestConfig
from hsl.errors import ConfigError

LIMITS = {
    "nid": (0, MAX_NID),
    "mshrs": (1, MAX_TXN),
    "ncrs": (1, MAX_TXN),
    "pending": (1, MAX_PENDING),
    "max_txn": (1, MAX_TXN),
}


@pytest.mark.parametrize("name", LIMITS)
def test_limits(name: str) -> None:
    """The least and the greatest value of each number are taken, those beside them are refused."""
    least, most = LIMITS[name]
    given = {"nid": 0, "address_map": AddressMap([])}
    for value in (least, most):
        assert getattr(RequestConfig(**given | {name: value}), name) == value  # type: ignore[arg-type]
    for value in (least - 1, most + 1):
        with pytest.raises(ConfigError, match=f"request agent: {name} = {value}; expected {least}..{most}$"):
            RequestConfig(**given | {name: value})  # type: ignore[arg-type]
