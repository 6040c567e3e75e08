"""Golden flits: from the short hexadecimal of spec/flits.toml to bytes."""

from __future__ import annotations

import re


class GoldenError(ValueError):
    """Invalid hexadecimal of a flit."""


def flit_bytes(text: str) -> bytes:
    """Bytes of words joined by blanks and `+`: hex, `56*00` (56 bytes 00), `00..3f` (counting up).

    Raises GoldenError.
    """
    return b"".join(_word(word) for word in text.replace("+", " ").split())


def _word(word: str) -> bytes:
    if match := re.fullmatch(r"(\d{1,4})\*([0-9a-f]{2})", word):
        return bytes([int(match[2], 16)]) * int(match[1])
    if match := re.fullmatch(r"([0-9a-f]{2})\.\.([0-9a-f]{2})", word):
        return bytes(range(int(match[1], 16), int(match[2], 16) + 1))
    if re.fullmatch(r"(?:[0-9a-f]{2})+", word):
        return bytes.fromhex(word)
    raise GoldenError(f"{word!r}; expected hexadecimal of bytes, N*xx or xx..yy")
