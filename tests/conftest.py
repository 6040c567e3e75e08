"""What every test of the project has at hand."""

import pytest
from hypothesis import settings

from hsl.codec.crc import ENGINES

pytest_plugins = [
    "pytester",
    "tests.support.coherence_coverage",
    "tests.support.engine_counts",
    "tests.support.external_tools",
    "tests.support.link_coverage",
]

# No deadline: the clock on the wall decides nothing here. The blob reproduces a failure anywhere.
settings.register_profile("hsl", deadline=None, print_blob=True)
settings.load_profile("hsl")


@pytest.fixture(scope="session", params=ENGINES)
def codec_engine(request: pytest.FixtureRequest) -> str:
    """Each engine of the codec in turn: a test that takes this runs once on both."""
    engine: str = request.param
    return engine
