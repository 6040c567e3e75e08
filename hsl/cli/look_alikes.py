"""Characters of a Chinese or Japanese input method that look like the ASCII ones a command line needs."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Final

__all__ = ["look_alike_hint"]

# Those that the compatibility form (NFKC) leaves as they are; it makes ASCII of all others.
PUNCTUATION: Final = str.maketrans(
    "\u201c\u201d\u2018\u2019\u2014\u2013\u2212\u3001\u3002",  # quotes, dashes, minus, comma, full stop
    "\"\"''---,.",
)


def look_alike_hint(words: Sequence[str]) -> str:
    """Return what an error message adds about the first word with a look-alike of ASCII, or "".

    A word that has ideographs too is a name, which is meant as it is written.
    """
    for word in words:
        meant = ascii_of(word)
        if meant.isascii() and not word.isascii():
            got = next(character for character in word if not character.isascii())
            return f"; {word!r} contains {got!r}, expected {ascii_of(got)!r}"
    return ""


def ascii_of(text: str) -> str:
    """Return a text with ASCII in place of its look-alikes."""
    return unicodedata.normalize("NFKC", text.translate(PUNCTUATION))
