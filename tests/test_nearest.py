"""The nearest name, and the end of a message that names it."""

import pytest

from hsl.nearest import MAX_GIVEN, MAX_LISTED, expected, nearest

KINDS = ("drop", "duplicate", "truncate")


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("dupliacte", "duplicate"),
        ("DROP", "drop"),
        ("trunc", "truncate"),
        ("xyzzy", ""),
        ("", ""),
        (3, ""),
        (None, ""),
        ("d" * (MAX_GIVEN + 1), ""),
    ],
)
def test_nearest(given: object, name: str) -> None:
    """The nearest name is found whatever its capitals; a text that resembles none has none."""
    assert nearest(given, KINDS) == name


def test_capitals_of_the_name() -> None:
    """The name is returned as it is spelled, not as it was compared."""
    assert nearest("mp+dmbs", ["SB", "MP+DMBS"]) == "MP+DMBS"


@pytest.mark.parametrize(
    ("names", "given", "text"),
    [
        (KINDS, "dorp", "expected drop, duplicate or truncate; did you mean drop?"),
        (KINDS, "xyzzy", "expected drop, duplicate or truncate"),
        (KINDS, None, "expected drop, duplicate or truncate"),
        (("reference", "native"), "natve", "expected reference or native"),
        ((68,), 70, "expected 68"),
        (range(4), 9, "expected 0, 1, 2 or 3"),
    ],
)
def test_expected(names: tuple[object, ...], given: object, text: str) -> None:
    """All names are listed; the nearest is named only where it is not found at a glance."""
    assert expected(names, given) == text


def test_long_lists() -> None:
    """A message lists a bounded number of names, but the nearest is sought among all."""
    names = [f"name-{number}" for number in range(MAX_LISTED + 8)]
    text = expected(names, f"nmae-{MAX_LISTED + 3}")
    assert text.endswith(f"name-{MAX_LISTED - 1} or 8 more; did you mean name-{MAX_LISTED + 3}?")


def test_a_name_as_long_as_one_may_be() -> None:
    """A text of MAX_GIVEN characters is compared; a longer one is not."""
    name = "d" * MAX_GIVEN
    assert (nearest(name, [name]), nearest(name + "d", [name])) == (name, "")
