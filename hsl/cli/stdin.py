"""Standard input, which `-` stands for as a file name."""

import sys
from typing import IO

from hsl.errors import ConfigError
from hsl.files import STDIN

__all__ = ["STDIN", "standard_input"]


def standard_input() -> IO[bytes]:
    """Return the stream of stdin. Raises ConfigError if it was closed before the command began."""
    if sys.stdin is None:
        raise ConfigError(f"{STDIN}: there is no standard input")
    return sys.stdin.buffer
