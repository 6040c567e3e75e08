#!/usr/bin/env python3
"""The codec of `hsl` as a receiver for run_vectors.py: the smallest example of what yours must answer."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any

import hsl
from hsl import CtlOp, Flit, FlitType, Message, Op, Vc


def shown_ctl(ctl: hsl.Ctl) -> dict[str, Any]:
    """Return a control flit as a vector has it."""
    body = {name: item.hex() if isinstance(item, bytes) else item for name, item in ctl.body.items()}
    fields: dict[str, Any] = {
        "op": ctl.op,
        "seen": ctl.seen,
        "epoch": ctl.epoch,
        "peer": ctl.peer,
        "body": body,
    }
    if ctl.op in set(CtlOp):
        fields["name"] = CtlOp(ctl.op).name
    if ctl.op == CtlOp.CAPS:
        fields["caps"] = hsl.CAPS.decode(ctl.body["record"])
    return fields


def shown_flit(flit: Flit) -> dict[str, Any]:
    """Return a flit as a vector has it."""
    fields = flit._asdict() | {"format": None}
    del fields["payload"]
    if flit.ft == FlitType.CTL:
        fields["ctl"] = shown_ctl(hsl.decode_ctl(flit.payload))
    elif flit.ft not in (FlitType.NOP, FlitType.PROT):
        fields["payload"] = flit.payload.hex()
    return fields


def shown_message(message: Message) -> dict[str, Any]:
    """Return a message as a vector has it."""
    fields = message._asdict()
    fields["opcode"] = fields.pop("op")
    fields["op"] = Op(message.op).name if message.op in set(Op) else None
    fields["data"] = message.data.hex() or None
    return fields


class Receiver:
    """A receiver of one format that has just started, with the credits that it has given."""

    def __init__(self, limit: str) -> None:
        pairs = (part.split("=") for part in limit.split(",") if "=" in part)
        self._credits = None if limit == "-" else Counter({vc: int(n) for vc, n in pairs})
        self._unpacker = hsl.Unpacker()
        self.messages: list[Message] = []

    def take(self, data: bytes, form: str) -> dict[str, Any]:
        """Take one flit. Raises CodecError."""
        flit = hsl.decode_flit(data, form)
        if flit.ft == FlitType.PROT:
            problem = hsl.credit_return_fault(flit)
            if problem is None:
                som = flit.som if hsl.FORMATS[form].has_som else None
                messages, problem = self._unpacker.feed(flit.payload, som, self._admit)
                self.messages += messages
            if problem is not None:
                raise problem
        return shown_flit(flit)

    def result(self, flits: list[dict[str, Any]]) -> dict[str, Any]:
        """Return `fields` of a vector."""
        messages = [shown_message(message) for message in self.messages]
        unfinished = {"unfinished": True} if self._unpacker.unfinished else {}
        return {"flits": flits, **({"messages": messages} if messages else {}), **unfinished}

    def _admit(self, vc: int) -> bool:
        if self._credits is None:
            return True
        self._credits[Vc(vc).name] -= 1
        return self._credits[Vc(vc).name] >= 0


def answer(form: str, limit: str, *frames: str) -> dict[str, Any]:
    """Return the answer to one line of run_vectors.py."""
    receiver, flits = Receiver(limit), list[dict[str, Any]]()
    try:
        for frame in frames:
            flits.append(receiver.take(bytes.fromhex(frame.replace(".", "")), form))
    except hsl.CodecError as error:
        code = hsl.ErrorCode(error.code)
        where = {"requirement": error.requirement, "flit": len(flits), "offset": error.offset}
        delivered = [shown_message(message) for message in receiver.messages]
        told = {"code": code.name, "number": code.value} | where
        return {"error": told | ({"delivered": delivered} if delivered else {})}
    return {"fields": receiver.result(flits)}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(answer(*line.split())))
