"""Lines that strangers cause: each kind has one a second at most, and none is lost from the count."""

import itertools
import random
import re

from hsl.log_limit import MAX_KINDS, LogLimit

SECOND = 1_000_000_000


def test_the_first_of_a_kind_is_told_with_its_details() -> None:
    """The first event of a kind is a line at once; the next is told a second later, without details."""
    lines: list[str] = []
    limit = LogLimit(lines.append)
    limit.event("a", "it came", 5, " from 1.2.3.4:99")
    limit.event("a", "it came", 6, " from 1.2.3.4:100")
    limit.event("b", "it went", 7)
    assert lines == ["it came from 1.2.3.4:99", "it went"]
    assert limit.deadline() == 5 + SECOND
    limit.tick(4 + SECOND)
    assert len(lines) == 2
    limit.tick(5 + SECOND)
    assert lines[2:] == ["it came (1 more)"]
    assert limit.deadline() is None


def test_a_quiet_kind_is_told_at_once() -> None:
    """An event more than a second after the last line of its kind does not wait."""
    lines: list[str] = []
    limit = LogLimit(lines.append)
    for now in (0, 2 * SECOND, 4 * SECOND):
        limit.event("a", "it came", now, " from port 9")
    assert lines == ["it came from port 9", "it came (1 more)", "it came (1 more)"]


def test_kinds_without_end_share_a_line() -> None:
    """Whoever makes up kinds gets one line a second for all of them: memory and log are bounded."""
    lines: list[str] = []
    limit = LogLimit(lines.append)
    for number in range(10_000):
        limit.event(f"kind {number}", f"text {number}", number)
    assert len(lines) == MAX_KINDS + 1
    limit.tick(2 * SECOND)
    assert lines[MAX_KINDS + 1 :] == [f"other events ({10_000 - MAX_KINDS - 1} more)"]


def test_no_event_is_lost_and_no_second_has_two_lines_of_a_kind() -> None:
    """Random events: the counts add up, and two lines of a kind are a second apart."""
    rng, told = random.Random(1), dict[str, list[int]]()
    now, count = 0, 0

    def write(line: str) -> None:
        nonlocal count
        more = re.search(r"\((\d+) more\)", line)
        count += int(more[1]) if more else 1
        told.setdefault(line[0], []).append(now)

    limit = LogLimit(write)
    for _ in range(5000):
        now += rng.randrange(SECOND // 10)
        if (due := limit.deadline()) is not None and due <= now:
            limit.tick(now)
        limit.event(kind := rng.choice("abc"), kind, now)
    limit.flush()
    assert count == 5000
    for times in told.values():
        assert all(after - before >= SECOND for before, after in itertools.pairwise(times[:-1]))
