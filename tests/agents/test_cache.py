"""The set-associative cache."""

import pytest

from hsl._generated.constants import LINE_BYTES
from hsl.agents.access import Access, Ticket
from hsl.agents.cache import MAX_SETS, MAX_WAYS, Cache, Line
from hsl.errors import ConfigError


def filled(ways: int = 2, sets: int = 1) -> tuple[Cache, list[Line]]:
    cache = Cache(sets, ways)
    lines = [cache.line(LINE_BYTES * sets * i) for i in range(ways)]
    for line in lines:
        cache.take_way(line)
        line.state = "S"
    return cache, lines


def test_a_line_is_known_until_it_is_forgotten() -> None:
    """One line per address; forgetting it gives its way back."""
    cache, (first, _) = filled()
    assert cache.line(0) is first
    assert not cache.has_room(0)
    cache.forget(first)
    assert cache.has_room(0)
    assert cache.line(0) is not first


def test_sets_are_chosen_by_the_line_address() -> None:
    """Neighbouring lines are in neighbouring sets, and a full set does not fill another."""
    cache = Cache(2, 1)
    cache.take_way(cache.line(0))
    assert not cache.has_room(2 * LINE_BYTES)
    assert cache.has_room(LINE_BYTES)


def test_the_victim_is_the_least_recently_used_line() -> None:
    """Touching a line makes another one the victim."""
    cache, (first, second) = filled()
    assert cache.victim(0) is first
    cache.touch(first)
    assert cache.victim(0) is second


def test_a_line_that_is_needed_is_no_victim() -> None:
    """A transient line and one that an access waits for are passed over; if all are, there is no victim."""
    cache, (first, second) = filled()
    first.state = "IS_D"
    assert cache.victim(0) is second
    second.waiting.append(Ticket(Access("load"), 1, 0))
    assert cache.victim(0) is None


@pytest.mark.parametrize(("sets", "ways"), [(0, 1), (1, 0), (MAX_SETS + 1, 1), (1, MAX_WAYS + 1)])
def test_the_geometry_has_limits(sets: int, ways: int) -> None:
    """A cache without room or beyond the limits is a ConfigError that says the limit."""
    with pytest.raises(ConfigError, match=r"expected 1\.\."):
        Cache(sets, ways)


def test_the_widest_set_is_legal() -> None:
    """The limit itself is legal, and all its ways can be used."""
    cache, lines = filled(MAX_WAYS)
    assert not cache.has_room(0)
    assert cache.victim(0) is lines[0]
