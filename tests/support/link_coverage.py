"""`pytest --link-coverage DIR`: which cells of the link table the tests that passed have reached, and how.

A port counts as driven by the loopback when it belongs to a device of one, and nothing outside hsl has called
its links.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hsl.link.link import Link
from hsl.transport.loopback import Loopback
from hsl.verify.link_coverage import KINDS, Cell, write_record
from tests.support.coverage import Recorder, register

OPTION = "--link-coverage"


class LinkRecorder(Recorder):
    """Notes the links that a test makes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.counts: dict[str, Counter[Cell]] = {kind: Counter() for kind in KINDS}
        self.links: list[Link] = []
        self.driven: set[int] = set()  # id of ports
        self.touched: set[int] = set()  # id of links

    def install(self) -> None:
        make, wire = Link.__init__, Loopback.__init__

        def made(link: Link, *arguments: Any) -> None:
            make(link, *arguments)
            self.links.append(link)

        def wired(loopback: Loopback, devices: Any, *arguments: Any, **options: Any) -> None:
            wire(loopback, devices, *arguments, **options)
            self.driven |= {id(port) for device in devices for port in device.node.ports}

        self.patch.setattr(Link, "__init__", made)
        self.patch.setattr(Loopback, "__init__", wired)
        for name in ("handle", "enter", "receive"):
            self.patch.setattr(Link, name, self.watched(getattr(Link, name)))

    def watched(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def called(link: Link, *arguments: Any) -> Any:
            if not sys._getframe(1).f_globals["__name__"].startswith("hsl."):
                self.touched.add(id(link))
            return method(link, *arguments)

        return called

    def passed(self, item: pytest.Item) -> None:
        for link in self.links:
            direct = id(link.port) not in self.driven or id(link) in self.touched
            self.counts[KINDS[direct]].update(link.coverage)

    def forget(self) -> None:
        for each in (self.links, self.driven, self.touched):
            each.clear()

    def write(self) -> None:
        write_record(self.path, self.counts)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(OPTION, metavar="DIR", help="Write the coverage of the link table there.")


def pytest_configure(config: pytest.Config) -> None:
    register(config, OPTION, LinkRecorder)
