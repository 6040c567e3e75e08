"""Numbers that a person spells in a command line: in ASCII, as 1, 0.5 and 1e-3."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["is_numeral"]

NUMERAL: Final = re.compile(r"[-+]?[0-9.]{1,40}([eE][-+]?[0-9]{1,9})?")


def is_numeral(text: str) -> bool:
    """True if `text` may be a number; Python also takes 1_000, blanks, and the digits of other scripts."""
    return NUMERAL.fullmatch(text) is not None
