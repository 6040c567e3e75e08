"""The common part of the pytest plugins that record coverage."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Generator
from pathlib import Path

import pytest


class Recorder(ABC):
    """Sums what a test has reached when it has passed, and writes it at the end of the session."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"{os.environ.get('PYTEST_XDIST_WORKER', 'main')}-{os.getpid()}.json"
        self.patch = pytest.MonkeyPatch()

    @abstractmethod
    def install(self) -> None:
        """Patch what is to be watched."""

    @abstractmethod
    def passed(self, item: pytest.Item) -> None:
        """Add what the test has reached."""

    @abstractmethod
    def forget(self) -> None:
        """The test is over, well or not."""

    @abstractmethod
    def write(self) -> None:
        """Write the record."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if call.when == "call" and report.passed:
            self.passed(item)
        if call.when == "teardown":
            self.forget()
        return report

    def pytest_sessionfinish(self) -> None:
        self.patch.undo()
        self.write()


def register(config: pytest.Config, option: str, recorder: type[Recorder]) -> None:
    """Record where the option asks for it."""
    folder = config.getoption(option)
    if folder is not None:
        plugin = recorder(Path(folder))
        plugin.install()
        config.pluginmanager.register(plugin)
