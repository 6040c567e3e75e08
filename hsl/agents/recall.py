"""A recall of the lines of a range, which a home works through (HSL 5.1.4, 5.4 T10)."""

from __future__ import annotations

__all__ = ["Recall"]


class Recall:
    """An open recall: `lines` it has still to take; done when there is none."""

    def __init__(self, lines: int) -> None:
        self.lines = lines

    @property
    def done(self) -> bool:
        """True if each line that was listed, busy or waited for has been taken."""
        return self.lines == 0
