"""Calls of an attached device, part by part: which error is raised, what ends them, what NOTIFY says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

import hsl
from hsl._generated.constants import PageRegister
from hsl._generated.layouts import NOTIFY_D0
from hsl.agents.access import Access
from hsl.agents.address_map import PAGE_BYTES
from hsl.agents.mmio import Doorbell
from hsl.attached.device import AttachedNode, Batch
from hsl.attached.node import device_node
from hsl.attached.settings import Settings

GIVEN: dict[str, Any] = {
    "listen": False, "nid": 16, "memory_bytes": 4096, "sets": 4, "ways": 1, "tu": 20, "wait": 0.0,
    "timeout": None, "faults": "none", "seed": 1, "capture": None,
}  # fmt: skip
URI = "tcp://127.0.0.1:1"


@pytest.fixture
def device() -> AttachedNode:
    """A device that nobody has reached."""
    return AttachedNode(device_node(Settings.of(URI, **GIVEN)), lambda: None)


class Failed:
    """A ticket of an access that has failed."""

    def __init__(self, text: str) -> None:
        self.text = text

    def result(self) -> bytes:
        """Raise the error."""
        raise hsl.TransactionError(self.text, code=hsl.Err.DECODE)


def test_the_error_of_a_call_is_that_of_its_first_access() -> None:
    """Not of the one that has ended first."""
    told: list[Batch] = []
    node: Any = SimpleNamespace(submit=lambda nid, access, now: Failed(access))
    accesses: Any = iter(["first", "second"])
    batch = Batch(accesses, told.append)
    tickets: list[Any] = [batch.begin(node, 19, 0) for _ in range(2)]
    assert batch.begin(node, 19, 0) is None
    for index in (1, 0):
        batch.take(index, tickets[index])
    batch.tell()
    assert told == [batch]
    assert str(batch.error) == "first"


def test_the_end_ends_calls_whose_accesses_are_all_under_way(device: AttachedNode) -> None:
    """They would wait for ever: nothing of them is left to begin."""
    told: list[Batch] = []
    device.node.submit = lambda nid, access, now: object()  # type: ignore[method-assign,assignment,return-value]
    batch = device.begin(iter([Access("load", 0, 8)]), told.append)
    for now in (0, 1):
        device.advance(now)
    assert (batch.drained, batch.open, told) == (True, 1, [])
    device.fail(hsl.ClosedError("closed"))
    assert told == [batch]
    assert isinstance(batch.error, hsl.ClosedError)


def test_notify_names_who_gets_the_interrupts(device: AttachedNode) -> None:
    """NID and first vector are those of the register. HSL A.4."""
    io = device.node.io
    assert io is not None
    base = 1 << 36
    io.mmio.place(base, PAGE_BYTES)
    data = bytes(NOTIFY_D0.build({"nid": 5, "vector": 8}))
    io.doorbells = lambda: [Doorbell(base + PageRegister.NOTIFY, data, 1)]  # type: ignore[method-assign]
    device._ring()
    assert (device.target, device.vector, device.notified) == (5, 8, True)


def test_faults_are_those_of_the_side_of_the_device() -> None:
    """`from=gpu` of a plan is what this device sends; `from=cpu` is no part of it."""
    plans = [
        Settings.of(URI, **GIVEN | {"faults": f"crc:0.03:from={side}"}).faults for side in ("gpu", "cpu")
    ]
    assert [bool(plan) for plan in plans] == [True, False]
