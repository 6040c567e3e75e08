"""The errors of the library, each with the code of the profile and the requirement it broke, if any."""

from __future__ import annotations

import os


class HslError(Exception):
    """Base of all errors.

    `code` is an ErrorCode of the link (3.8) or an Err of a completion (2.6), 0 when neither fits;
    `requirement` is the id of the requirement that was broken, or "".
    """

    def __init__(self, text: str, *, code: int = 0, requirement: str = "") -> None:
        super().__init__(text)
        self.code = code
        self.requirement = requirement


class CodecError(HslError):
    """An invalid flit, message or CTL; `offset` is the first offending byte of the flit."""

    def __init__(self, text: str, *, code: int = 0, requirement: str = "", offset: int = 0) -> None:
        super().__init__(text, code=code, requirement=requirement)
        self.offset = offset


class ConfigError(HslError):
    """An invalid configuration or argument; the text says what came and what was expected."""


class AddressError(ConfigError):
    """An address outside all memories of a system; the text lists the ranges. `code` is Err.DECODE (5.1)."""


class ClosedError(HslError):
    """A system was used after `close` or after the end of its `with` block."""


class LinkError(HslError):
    """The link is down or has ended: refused by negotiation, lost, or stopped by a fatal error (3.8)."""


class TransactionError(HslError):
    """An access ended with an error; `code` is its Err (2.6)."""


class PoisonError(TransactionError):
    """A read or an atomic found data that are marked as poisoned; `code` is Err.DATA (6.1)."""


class TransportError(HslError):
    """A socket or a binding failed, or a loopback made no progress."""


class PeerUnreachable(TransportError):
    """Nobody answered at the given address, or nobody brought the link up."""


class PeerLost(TransportError):
    """The peer was there and is gone."""


class CaptureError(HslError):
    """A capture that cannot be written or read; `offset` is the first byte of the invalid block."""

    def __init__(self, text: str, *, offset: int = 0) -> None:
        super().__init__(text)
        self.offset = offset


class CaptureTruncated(CaptureError):
    """The capture ends inside a block, as that of a killed process may."""


def reason(error: OSError) -> str:
    """Return what the system says of an error, without the words of Python's libraries around it."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or "no answer"  # of a resolver; or nothing came in time
