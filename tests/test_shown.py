"""Values in messages: bounded, on one line, printable."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from hsl.shown import MAX_MESSAGE, MOST, quoted, shown, visible

DEEP: list[Any] = []
for _ in range(5000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("true", "true"),
        ("1979-05-27", "1979-05-27"),
        ("1979-05-27T07:32:00Z", "1979-05-27 07:32:00+00:00"),
        ("07:32:00", "07:32:00"),
        ("[true, 1]", "[true, 1]"),
        ("{a = 1.5}", "{'a': 1.5}"),
        ("0xffffffffffffffff", "18446744073709551615"),
        ("0x" + "f" * 6000, "a number of more than 40 digits"),
        ("-9" + "9" * 40, "a number of more than 40 digits"),
        ("'a'", "'a'"),
    ],
)
def test_a_value_of_a_document(text: str, said: str) -> None:
    """A value is shown as its document spells it."""
    assert shown(tomllib.loads(f"x = {text}")["x"]) == said


def test_null_is_of_json_and_none_of_python() -> None:
    """A Python caller is shown what Python calls it."""
    assert (shown(None), quoted(None), quoted(True)) == ("null", "None", "True")


LONG = (DEEP, "x" * 10_000, b"x" * 10_000, list(range(1000)), 10**6000, {"a": 10**6000})


@pytest.mark.parametrize("value", LONG, ids=lambda value: type(value).__name__)
def test_every_value_is_shown_in_part(value: object) -> None:
    """A value without end is shown in a few characters."""
    assert len(shown(value)) <= MOST + 20
    assert len(quoted(value)) <= MOST + 20


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a \u00e9 \u4e2d", "a \u00e9 \u4e2d"),
        ("\x1b[31m\r\n\t\0\x7f\x9b", r"\x1b[31m\r\n\t\x00\x7f\x9b"),
        ("\u202e\u2028\ufeff", r"\u202e\u2028\ufeff"),
        ("n\udcff", r"n\udcff"),
        ("\\x1b", r"\x1b"),
    ],
)
def test_nothing_that_a_terminal_obeys(text: str, said: str) -> None:
    """Control characters, marks of direction and halves of characters are escapes; letters stay."""
    assert visible(text) == said


def test_a_long_message_keeps_its_ends() -> None:
    """A message that is too long loses its middle."""
    said = visible("begin" + "x" * 10_000 + "end")
    assert len(said) <= MAX_MESSAGE
    assert said.startswith("begin")
    assert " ... " in said
    assert said.endswith("end")
