"""Progress in a pipe: plain lines that no other thread can cut."""

import io
import sys
from collections.abc import Callable

import pytest

from hsl.cli.meter import Meter
from hsl.cli.progress import LISTENING, Progress


class Pipe(io.StringIO):
    """Keeps each write apart."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def write(self, text: str) -> int:
        """Note it."""
        size = super().write(text)
        if text:  # click tries what it may write by writing nothing
            self.writes.append(text)
        return size


def progress() -> None:
    with Progress() as shown:
        shown.say(f"{LISTENING}tcp://127.0.0.1:7410")
        shown.show(3, 7)


def meter() -> None:
    with Meter("rows") as shown:
        shown.show(2, None)
        shown.show(3, 7)


@pytest.mark.parametrize("shows", [progress, meter])
def test_a_line_is_one_write(shows: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A line goes out with its end: a warning of another thread once stood between, inside the address."""
    pipe = Pipe()
    monkeypatch.setattr(sys, "stderr", pipe)
    shows()
    assert len(pipe.writes) >= 2
    assert all(text.endswith("\n") and text.count("\n") == 1 for text in pipe.writes)
