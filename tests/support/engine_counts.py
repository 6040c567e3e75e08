"""Says at the end how many tests of the codec ran on each engine, so that none is left out unseen."""

from collections import Counter

import pytest

from hsl.codec.crc import ENGINES

ENGINE = "engine"


def pytest_itemcollected(item: pytest.Item) -> None:
    """A test that runs once per engine, by the fixture or a parameter, says on which: xdist carries that."""
    callspec = getattr(item, "callspec", None)
    params = {} if callspec is None else callspec.params
    for name in ("codec_engine", "engine"):
        if params.get(name) in ENGINES:
            item.user_properties.append((ENGINE, params[name]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    ran: Counter[str] = Counter()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            ran.update(str(engine) for name, engine in report.user_properties if name == ENGINE)
    if ran:
        counts = ", ".join(f"{ran[engine]} on {engine}" for engine in ENGINES)
        terminalreporter.write_line(f"codec engines: tests that ran: {counts}")
