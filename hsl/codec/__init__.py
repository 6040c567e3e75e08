"""Bytes to flits to messages, and back: the reference engine's names, and `engine()` for either one."""

from hsl.codec.checks import Negotiated, check_request
from hsl.codec.ctl import Ctl, decode_ctl, encode_ctl
from hsl.codec.engines import Engine, engine
from hsl.codec.flit import FORMATS, Flit, FlitFormat, flit_type
from hsl.codec.message import Message
from hsl.codec.reference import (
    Packer,
    Unpacker,
    credit_return_fault,
    decode_flit,
    encode_flit,
    encode_message,
)

__all__ = [
    "FORMATS",
    "Ctl",
    "Engine",
    "Flit",
    "FlitFormat",
    "Message",
    "Negotiated",
    "Packer",
    "Unpacker",
    "check_request",
    "credit_return_fault",
    "decode_ctl",
    "decode_flit",
    "encode_ctl",
    "encode_flit",
    "encode_message",
    "engine",
    "flit_type",
]
