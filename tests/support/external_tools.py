"""The `tool` marker: tests of programs that are not Python packages.

`@pytest.mark.tool("tshark", apt="tshark")` names the program and the Debian package that has it. Where the
program is absent the test is listed as NOT RUN at the end, with the line that installs it; where HSL_CI=1 it
fails instead.
"""

import os
import shutil
from collections import defaultdict
from typing import NoReturn

import pytest

NOT_RUN = "not_run"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "tool(name, apt): needs this program, of the Debian package `apt`")


def apt_line(*packages: str) -> str:
    return "apt-get install -y " + " ".join(sorted(set(packages)))


def missing_tools(item: pytest.Item) -> list[tuple[str, str]]:
    """(program, Debian package) of the item's `tool` markers whose program is not on PATH."""
    tools = [(mark.args[0], mark.kwargs["apt"]) for mark in item.iter_markers("tool")]
    return [(name, package) for name, package in tools if shutil.which(name) is None]


def leave_out(item: pytest.Item, lack: str, remedy: str) -> NoReturn:
    """The test cannot run here: it is listed as NOT RUN with the remedy, or fails where HSL_CI=1."""
    if os.environ.get("HSL_CI") == "1":
        pytest.fail(f"{lack}, and HSL_CI=1: {remedy}", pytrace=False)
    list_as_not_run(item, f"{lack}: {remedy}")


def list_as_not_run(item: pytest.Item, reason: str) -> NoReturn:
    """The test cannot run on this system, whatever is installed: it is listed as NOT RUN."""
    item.user_properties.append((NOT_RUN, reason))  # the one thing that xdist carries over
    pytest.skip(reason)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    missing = missing_tools(item)
    if not missing:
        return
    names = ", ".join(name for name, _ in missing)
    leave_out(item, f"{names} missing", apt_line(*(package for _, package in missing)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    tests_of: dict[str, list[str]] = defaultdict(list)
    for report in terminalreporter.getreports("skipped"):
        for name, reason in report.user_properties:
            if name == NOT_RUN:
                tests_of[str(reason)].append(report.nodeid)
    if not tests_of:
        return
    terminalreporter.section("NOT RUN")
    for reason, tests in sorted(tests_of.items()):
        terminalreporter.write_line(reason)
        for test in sorted(tests):
            terminalreporter.write_line(f"    {test}")
