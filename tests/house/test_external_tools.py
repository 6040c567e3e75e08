"""The `tool` marker of tests/support/external_tools.py, in a suite of its own."""

import pytest

SUITE = """
import pytest

@pytest.mark.tool("no-such-program", apt="no-such-package")
def test_absent():
    raise AssertionError("ran without its tool")

@pytest.mark.tool("sh", apt="dash")
def test_present():
    pass

def test_plain():
    pass
"""

FORBIDDEN = """
import pytest
from tests.support.external_tools import leave_out

@pytest.fixture
def wings(request):
    leave_out(request.node, "no wings", "grow some")

def test_flight(wings):
    pass
"""

PARALLEL = pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["one process", "xdist"])


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A suite with one test whose tool is absent, one whose tool is present, and one that needs none."""
    monkeypatch.delenv("HSL_CI", raising=False)
    pytester.makeconftest("pytest_plugins = ['tests.support.external_tools']")
    pytester.makepyfile(test_suite=SUITE)
    return pytester


@PARALLEL
def test_absent_tool_is_listed(suite: pytest.Pytester, workers: list[str]) -> None:
    """A test whose tool is absent is listed as NOT RUN, with the line that installs it; the run passes."""
    result = suite.runpytest("--strict-markers", *workers)
    assert result.ret == 0
    result.assert_outcomes(passed=2, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "*= NOT RUN =*",
            "no-such-program missing: apt-get install -y no-such-package",
            "    test_suite.py::test_absent",
        ]
    )


@PARALLEL
def test_absent_tool_fails_in_ci(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: list[str]
) -> None:
    """With HSL_CI=1 a test whose tool is absent fails, and says which package to install."""
    monkeypatch.setenv("HSL_CI", "1")
    result = suite.runpytest(*workers)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["no-such-program missing, and HSL_CI=1: apt-get install -y no-such-package"])
    result.stdout.no_fnmatch_line("*NOT RUN*")


@pytest.mark.parametrize(("ci", "outcome"), [("0", {"skipped": 1}), ("1", {"errors": 1})])
def test_what_a_fixture_cannot_do_is_left_out(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, ci: str, outcome: dict[str, int]
) -> None:
    """A test whose fixture finds that the machine forbids it is listed as NOT RUN; with HSL_CI=1 it fails."""
    monkeypatch.setenv("HSL_CI", ci)
    pytester.makeconftest("pytest_plugins = ['tests.support.external_tools']")
    pytester.makepyfile(FORBIDDEN)
    result = pytester.runpytest()
    result.assert_outcomes(**outcome)
    result.stdout.fnmatch_lines(["no wings: grow some" if ci == "0" else "no wings, and HSL_CI=1: grow some"])


def test_nothing_missing_nothing_listed(suite: pytest.Pytester) -> None:
    """When no test was left out the summary says nothing."""
    result = suite.runpytest("-k", "not absent")
    result.assert_outcomes(passed=2, deselected=1)
    result.stdout.no_fnmatch_line("*NOT RUN*")
