"""One port alone, driven by a list of calls: what a fuzzer or a conformance test has done to it (HSL 3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from hsl._generated.constants import AtomicClass, FlitSize, Role, Vc
from hsl.codec.crc import crc32c
from hsl.codec.message import Message
from hsl.engine.select import choose
from hsl.errors import ConfigError, HslError
from hsl.link.config import PortConfig
from hsl.link.events import Event
from hsl.link.port import Port
from hsl.shown import shown
from hsl.verify.verdict import Verdict

__all__ = ["CALLS", "make_config", "run_port"]

MAX_EPOCHS: Final = 1 << 12
MAX_BYTES: Final = 1 << 12  # of a frame that is received: more than any binding delivers
_ENUMS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "roles": Role,
    "atomics": AtomicClass,
    "flit_sizes": FlitSize,
    "min_version": tuple,
    "max_version": tuple,
    "credits": lambda pairs: {Vc(int(vc)): count for vc, count in pairs.items()},
}
Call = Callable[[Port, dict[str, Any], int], None]


class TooLong(ValueError):
    """A record with more bytes than a flit can have."""


def _receive(port: Port, record: dict[str, Any], now: int) -> None:
    data = bytes.fromhex(record["receive"])
    if len(data) > MAX_BYTES:
        raise TooLong(f"{len(data)} bytes; expected at most {MAX_BYTES}")
    port.receive(record.get("link", 0), data, now, bool(record.get("error", False)))


def _send(port: Port, record: dict[str, Any], now: int) -> None:
    message = dict(record["send"])
    message["data"] = bytes.fromhex(message.get("data", ""))
    port.send(Message(**message))


# What a record may have besides `at` (ns), by the key that says what it does. `injected` in a `receive` says
# what was done to the flit on its way; it is for people.
CALLS: Final[Mapping[str, Call]] = {
    "receive": _receive,
    "send": _send,
    "tick": lambda port, record, now: port.tick(now),
    "enable": lambda port, record, now: port.enable(now),
    "disable": lambda port, record, now: port.disable(now),
    "retrain": lambda port, record, now: port.retrain(now),
    "pm_idle": lambda port, record, now: port.pm_idle(now),
    "pal_up": lambda port, record, now: port.pal_up(record["pal_up"], now),
    "pal_down": lambda port, record, now: port.pal_down(record["pal_down"], now),
    "pal_retrain": lambda port, record, now: port.pal_retrain(record["pal_retrain"], now),
    "release": lambda port, record, now: port.release(record["release"], record.get("count", 1)),
    "link_down_done": lambda port, record, now: port.link_down_done(now),
}


def run_port(
    config: Mapping[str, Any], records: Sequence[dict[str, Any]], engine: str | None = None
) -> Verdict:
    """Call a port as `records` say; after each call it sends all that it has to send.

    The verdict's details have the number of flits that it sent and the CRC-32C of their bytes, its events by
    name with their times, and the states of its links. Raises ConfigError for an invalid record.
    """
    choose("link", engine)
    port = Port(make_config(dict(config) | {"codec": choose("codec", engine)}))
    sent, events, delivered, now = b"", [], 0, 0
    flits = 0
    for number, record in enumerate(records):
        now = _call(port, record, number, now)
        events += _named(port.events())  # before what it sends: 6.2 F4
        for _, data in port.transmit(now, lambda link: True):
            sent = crc32c(sent + data).to_bytes(4, "little")
            flits += 1
        delivered += len(port.messages())
    events += _named(port.events())
    return Verdict(
        begun=len(records),
        ended=len(records),
        messages=delivered,
        time=now,
        details={
            "flits": flits,
            "digest": sent.hex(),
            "events": events,
            "states": [link.state.name for link in port.links],
        },
    )


def _named(events: Sequence[Event]) -> list[str]:
    return [f"{event.now} {type(event).__name__}" for event in events]


def _call(port: Port, record: dict[str, Any], number: int, before: int) -> int:
    """Make one call; returns its time."""
    names = [name for name in record if name in CALLS]
    now = record.get("at")
    if len(names) != 1 or type(now) is not int or not before <= now < 1 << 63:
        raise ConfigError(
            f"record {number}: {shown(record)}; expected `at`, an integer of at least {before}, and "
            f"one of {', '.join(CALLS)}"
        )
    try:
        CALLS[names[0]](port, record, now)
    except HslError:
        pass  # the caller was told; the port must go on
    except TooLong as error:
        raise ConfigError(f"record {number}: {names[0]}: {error}") from error
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ConfigError(f"record {number}: {names[0]}: invalid fields in {shown(record)}") from error
    return now


def make_config(values: Mapping[str, Any]) -> PortConfig:
    """A port's configuration from JSON; `epochs` lists the EPOCH values that it takes, in order."""
    known = {field.name for field in fields(PortConfig)} - {"epoch"} | {"epochs"}
    epochs = values.get("epochs")
    if (
        not isinstance(epochs, list)
        or not 0 < len(epochs) <= MAX_EPOCHS
        or any(type(epoch) is not int or not 0 < epoch < 1 << 32 for epoch in epochs)
    ):
        raise ConfigError(
            f"port: epochs = {shown(epochs)}; expected a list of 1..{MAX_EPOCHS} values of 32 bits"
        )
    if unknown := sorted(values.keys() - known):
        raise ConfigError(f"port: no such setting: {', '.join(map(shown, unknown))}")
    optional = {each.name for each in fields(PortConfig) if each.default is not each.default_factory}
    if missing := sorted(known - optional - values.keys()):
        raise ConfigError(f"port: {', '.join(missing)}: missing")
    try:
        plain = {name: _ENUMS.get(name, _as_it_is)(values[name]) for name in values if name != "epochs"}
        return PortConfig(**plain, epoch=_Epochs(epochs))
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"port: invalid value in {shown(dict(values))}") from error


def _as_it_is(value: Any) -> Any:
    return value


class _Epochs:
    """The listed values, and then on from the last one."""

    def __init__(self, epochs: Sequence[int]) -> None:
        self._left = list(epochs)

    def __call__(self) -> int:
        epoch = self._left[0]
        self._left = self._left[1:] or [(epoch + 1) % (1 << 32) or 1]
        return epoch
