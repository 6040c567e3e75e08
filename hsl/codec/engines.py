"""The engines of the codec by name, interchangeable: the reference in Python and the native one in C."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from hsl.codec import checks, ctl, reference
from hsl.codec.checks import Negotiated
from hsl.codec.crc import ENGINES
from hsl.codec.ctl import Ctl
from hsl.codec.flit import Flit
from hsl.codec.message import Message
from hsl.errors import CodecError, ConfigError
from hsl.nearest import expected

__all__ = ["Engine", "engine"]


class Engine(NamedTuple):
    """The functions of an engine; documented in `hsl.codec.reference`, `checks` and `ctl`."""

    name: str
    decode_flit: Callable[[bytes, str], Flit]
    encode_flit: Callable[[Flit], bytes]
    credit_return_fault: Callable[[Flit], CodecError | None]
    encode_message: Callable[[Message], bytes]
    check_request: Callable[[Message, Negotiated], int]
    decode_ctl: Callable[[bytes], Ctl]
    encode_ctl: Callable[..., bytes]
    Packer: type[Any]
    Unpacker: type[Any]


@cache
def engine(name: str) -> Engine:
    """The engine called `reference` or `native`.

    ConfigError for another name, and for `native` where the extension is not built: nothing falls back.
    """
    if name not in ENGINES:
        raise ConfigError(f"unknown engine {name!r}; {expected(ENGINES)}")
    if name == "reference":
        parts = vars(reference) | vars(ctl) | vars(checks)
    else:
        from hsl.codec import native  # here, because the reference must run without the extension

        parts = vars(native)
    return Engine(name, **{part: parts[part] for part in Engine._fields[1:]})
