"""Values in messages: in a few characters, on one line, and nothing that a terminal obeys, whatever came."""

from __future__ import annotations

import reprlib
from typing import Any, Final

__all__ = ["TYPES", "quoted", "shown", "visible"]

# What a document calls a value of a type, as in "expected an integer".
TYPES: Final[dict[type, str]] = {
    int: "an integer",
    str: "text",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}
MOST: Final = 80  # characters of one value
DIGITS: Final = 40  # of a number: Python refuses to print one of thousands
MAX_MESSAGE: Final = 2000  # characters; the longest of ours without a value has a quarter of it
GAP: Final = " ... "


class _Quoted(reprlib.Repr):
    """Values as Python spells them, in part if they are long, nested deeply, or of many digits."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = MOST

    def repr_int(self, value: int, level: int) -> str:
        """Return a number, or that it has too many digits."""
        fits = -(10**DIGITS) < value < 10**DIGITS
        return str(value) if fits else f"a number of more than {DIGITS} digits"


class _Shown(_Quoted):
    """As _Quoted, but as JSON and TOML spell true, false, null and dates."""

    def repr_bool(self, value: bool, level: int) -> str:
        """Return true or false."""
        return "true" if value else "false"

    def repr_NoneType(self, value: None, level: int) -> str:  # noqa: N802 - reprlib looks for this name
        """Return null."""
        return "null"

    def repr_instance(self, value: Any, level: int) -> str:
        """Return a date or a time as TOML spells it; no other object comes out of a document."""
        return str(value) if hasattr(value, "isoformat") else super().repr_instance(value, level)


_QUOTED: Final = _Quoted()
_SHOWN: Final = _Shown()


def quoted(value: object) -> str:
    """Return an argument of a Python caller as a message shows it."""
    return _QUOTED.repr(value)


def shown(value: Any) -> str:
    """Return a value of a JSON or TOML document as a message shows it."""
    return _SHOWN.repr(value)


def visible(text: str) -> str:
    """Return a text in one line, its control characters as escapes, without its middle if it is long."""
    if len(text) > MAX_MESSAGE:
        half = (MAX_MESSAGE - len(GAP)) // 2
        text = text[:half] + GAP + text[-half:]
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
