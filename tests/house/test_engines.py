"""Both engines of the codec are tested: the counts at the end, and what happens without the extension."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUITE = """
import pytest

@pytest.fixture(params=["reference", "native"])
def codec_engine(request):
    return request.param

def test_both(codec_engine):
    pass

def test_one_fails(codec_engine):
    assert codec_engine != "native"

@pytest.mark.parametrize("engine", ["reference"])
def test_parameter(engine):
    pass

def test_none():
    pass
"""
WITHOUT_EXTENSION = (
    "import sys, pytest; sys.modules['hsl._native'] = None; sys.exit(pytest.main(sys.argv[1:]))"
)


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["one process", "xdist"])
def test_counts(pytester: pytest.Pytester, workers: list[str]) -> None:
    """The summary counts the tests that ran on each engine, failed ones too, and no others."""
    pytester.makeconftest("pytest_plugins = ['tests.support.engine_counts']")
    pytester.makepyfile(test_suite=SUITE)
    result = pytester.runpytest(*workers)
    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(["codec engines: tests that ran: 3 on reference, 2 on native"])


def test_no_counts(pytester: pytest.Pytester) -> None:
    """A run without tests of the codec says nothing."""
    pytester.makeconftest("pytest_plugins = ['tests.support.engine_counts']")
    pytester.makepyfile("def test(): pass")
    pytester.runpytest().stdout.no_fnmatch_line("*codec engines*")


def test_without_the_extension() -> None:
    """Where the extension is missing the native tests fail, saying how to build it, and none is skipped."""
    chosen = ["tests/codec/test_reference.py", "-k", "test_link_header", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTENSION, *chosen],
        cwd=ROOT,
        env={"HSL_ENGINE": "reference"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    assert "2 errors" in done.stdout
    assert "skipped" not in done.stdout
    assert "the native engine is not built: `make venv` builds it" in done.stdout
