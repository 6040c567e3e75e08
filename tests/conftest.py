"""What every test of the project has at hand."""

import os
import signal

import pytest
from hypothesis import settings

from hsl.codec.crc import ENGINES

# A command tells each step of its progress at once, so that a test can wait for the middle of a run.
os.environ["HSL_PROGRESS"] = "lines"

# A script that starts the tests in the background has SIGINT ignored, and so would each of their processes,
# the ones that a test interrupts too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = [
    "pytester",
    "tests.support.coherence_coverage",
    "tests.support.engine_counts",
    "tests.support.external_tools",
    "tests.support.link_coverage",
]

# No deadline: the clock on the wall decides nothing here. The blob reproduces a failure anywhere. CI draws
# the same examples for the same code; elsewhere each run draws new ones.
settings.register_profile("hsl", deadline=None, print_blob=True, derandomize=os.environ.get("HSL_CI") == "1")
settings.load_profile("hsl")

SLOW = ("tests/house/", "tests/cli/")  # most of their tests start processes


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow tests: two processes that share the tests then end together."""
    items.sort(key=lambda item: not item.nodeid.startswith(SLOW))


@pytest.fixture(scope="session", params=ENGINES)
def codec_engine(request: pytest.FixtureRequest) -> str:
    """Each engine of the codec in turn: a test that takes this runs once on both."""
    engine: str = request.param
    return engine
