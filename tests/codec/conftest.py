"""The engines that every codec test runs on."""

from types import ModuleType

import pytest

from hsl.codec import reference

ENGINES = {"reference": reference}


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> ModuleType:
    """A module with encode_flit, decode_flit, encode_message, Packer, Unpacker."""
    return ENGINES[request.param]
