"""The parameter type of a time that a user gives."""

from __future__ import annotations

from math import nan
from typing import Any, Final

import click

from hsl.numeral import is_numeral

__all__ = ["Seconds", "decimal"]

MAX_SECONDS: Final = 366 * 86400  # a year: asyncio and sockets take it


class Seconds(click.FloatRange):
    """Seconds from 0 to `most`; click's own range lets "nan" pass."""

    name = "seconds"

    def __init__(self, most: float = MAX_SECONDS) -> None:
        """Accept 0 to `most` seconds."""
        super().__init__(0, most)
        self.most = most

    @property
    def limits(self) -> str:
        """The range, as help prints it."""
        return "at most 366 days" if self.max == MAX_SECONDS else f"0 to {self.max:g}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number. Fails as a usage error for what is none, is not finite, or is out of range."""
        seconds = decimal(value)
        if not 0 <= seconds <= self.most:
            self.fail(f"{value!r}; expected seconds, a number of 0..{self.most:g}", param, ctx)
        return seconds


def decimal(value: object) -> float:
    """Return the number that an argument spells in ASCII digits, nan if it spells none."""
    text = str(value).strip()
    try:
        return float(text) if is_numeral(text) else nan
    except ValueError:  # as 1.2.3
        return nan
