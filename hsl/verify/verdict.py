"""The verdict of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hsl.errors import LinkError

__all__ = ["LinkLost", "Stopped", "Verdict"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`violation` "" when nothing forbidden was seen; `line`: where, if it is about one.

    `begun`, `ended`: operations; `messages`: that were sent; `time`: virtual ns; `trace`: what happened on
    the line last, in words; `details`: counters, and what else tells one run from another.
    """

    violation: str = ""
    line: int | None = None
    begun: int = 0
    ended: int = 0
    messages: int = 0
    time: int = 0
    trace: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)


class Stopped(Exception):
    """The caller has stopped the run: there is no verdict."""


class LinkLost(LinkError):
    """More faults than a link recovers from: it is gone, as it has to be, and there is no verdict."""
