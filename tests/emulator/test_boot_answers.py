"""What the boot master makes of the answers of a device: repeats, defaults, refusals (HSL A.3)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hsl._generated.constants import LINE_BYTES, Err, NodeClass, Op, Register
from hsl._generated.layouts import PRODUCT_D0
from hsl.agents.access import Ticket
from hsl.agents.address_map import PAGE_BYTES
from hsl.codec.message import Message
from tests.emulator.boot_rig import System

Chosen = Callable[[Message], bool]


def ready(message: Message) -> bool:
    """True for the CfgWrite of READY."""
    return message.op == Op.CfgWrite and message.addr == Register.READY


def notify(message: Message) -> bool:
    """True for the doorbell of NOTIFY, the only one of a boot."""
    return message.op == Op.NcWrite


@pytest.mark.parametrize("err", [Err.BUSY, Err.DATA])
@pytest.mark.parametrize("chosen", [ready, notify])
def test_an_access_is_repeated(chosen: Chosen, err: Err) -> None:
    """Three answers that say "again" are borne."""
    system = System()
    system.answer(chosen, err, 3)
    system.boot()


@pytest.mark.parametrize("err", [Err.BUSY, Err.DATA])
def test_the_fourth_ends_the_port(err: Err) -> None:
    """[HSL-BOT-010]."""
    system = System()
    system.answer(ready, err, 4)
    assert "HSL-BOT-010" in system.refused()


def test_notify_may_be_missing_and_not_be_refused() -> None:
    """DECODE leaves the device at VECTOR 0, also at another port than the first; PROTO ends the port."""
    system = System(gpus=2)
    system.answer(notify, Err.DECODE, port=1)
    assert [system.boot()[port].vector for port in (0, 1)] == [0, 0]
    system = System()
    system.answer(notify, Err.PROTO)
    assert "NcWrite of NOTIFY ended with PROTO" in system.refused()


def test_a_kind_of_a_later_edition_is_another_device() -> None:
    """KIND is a hint: one that is unknown is OTHER. HSL 5.15.2."""
    system = System()
    read = system.registers().read

    def later(offset: int, size: int) -> bytes:
        return bytes(PRODUCT_D0.build({"kind": 99})) if offset == Register.PRODUCT else read(offset, size)

    system.registers().read = later
    assert system.boot()[0].findings.node_class == NodeClass.OTHER


def test_the_last_line_of_the_device_is_read_where_ranges_are_shared() -> None:
    """Of an odd number of pages the CPU has the last one: the one before proves the size. [HSL-BOT-010]."""
    system = System(device_bytes=17 * PAGE_BYTES)
    core, lines = system.host.master.core, list[int]()
    read = core.read_once

    def read_once(address: int, size: int = LINE_BYTES) -> Ticket:
        lines.append(address)
        return read(address, size)

    core.read_once = read_once  # type: ignore[method-assign]
    entry = system.boot()[0].regions["interleaved"]
    proofs = [line for line in lines if entry.base <= line <= entry.last]
    assert proofs == [entry.base + 16 * PAGE_BYTES - LINE_BYTES]
