"""The engines that every codec test runs on."""

import pytest

from hsl.codec.engines import Engine
from hsl.codec.engines import engine as engine_of


@pytest.fixture(scope="session")
def engine(codec_engine: str) -> Engine:
    """Each engine of the codec in turn; an error, not a skip, where one is not built."""
    return engine_of(codec_engine)
