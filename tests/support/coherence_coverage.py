"""`pytest --coherence-coverage DIR`: which cells of the coherence tables the tests that passed have reached.

What the agents of a test with the marker `conforming` reach counts as such: every message in it is one that a
conforming node sends. Agents whose table a test has stepped itself do not count at all.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hsl._generated.tables import RA_STATES
from hsl.agents.home import HomeAgent
from hsl.agents.interpreter import Interpreter
from hsl.agents.request import RequestAgent
from hsl.verify.coherence_coverage import KINDS
from hsl.verify.coverage_records import write_record
from tests.support.coverage import Recorder, register

OPTION = "--coherence-coverage"
STEPS = ((RequestAgent, "_run"), (HomeAgent, "_step"))  # what only the agent itself may call


class CoherenceRecorder(Recorder):
    """Notes the tables that a test makes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.counts: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
        self.tables: list[tuple[str, Interpreter]] = []
        self.touched: set[int] = set()  # id of coverages

    def install(self) -> None:
        make = Interpreter.__init__

        def made(table: Interpreter, *arguments: Any, **options: Any) -> None:
            make(table, *arguments, **options)
            if sys._getframe(1).f_globals["__name__"].startswith("hsl."):
                self.tables.append(("ra" if options["states"] == RA_STATES else "ha", table))

        self.patch.setattr(Interpreter, "__init__", made)
        for agent, name in STEPS:
            self.patch.setattr(agent, name, self.watched(getattr(agent, name)))

    def watched(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def called(agent: Any, *arguments: Any, **options: Any) -> Any:
            if not sys._getframe(1).f_globals["__name__"].startswith("hsl."):
                table = agent._interpreter if isinstance(agent, RequestAgent) else agent._table
                self.touched.add(id(table.coverage))
            return method(agent, *arguments, **options)

        return called

    def passed(self, item: pytest.Item) -> None:
        kind = "conforming" if item.get_closest_marker("conforming") else "hostile"
        for agent, table in self.tables:
            if id(table.coverage) not in self.touched:
                named = {f"{agent} {state} {event}": n for (state, event), n in table.coverage.items()}
                self.counts[kind].update(named)

    def forget(self) -> None:
        self.tables.clear()
        self.touched.clear()

    def write(self) -> None:
        write_record(self.path, self.counts)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(OPTION, metavar="DIR", help="Write the coverage of the coherence tables there.")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "conforming: every message in it is one that a conforming node sends")
    register(config, OPTION, CoherenceRecorder)
