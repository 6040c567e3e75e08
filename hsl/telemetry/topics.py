"""Topics and payloads: `hsl/telemetry/1/<run>/<node>/<leaf>`, each payload one JSON object."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from hsl._generated.constants import LinkState
from hsl.errors import ConfigError

__all__ = [
    "ENDS", "FILTER", "LEAVES", "ONLINE", "BadMessage", "Broker", "Leaf", "Reading", "parse_message",
    "payload", "plain_words", "topic",
]  # fmt: skip

ROOT = "hsl/telemetry/1"
FILTER = f"{ROOT}/#"
DEFAULT_PORT = 1883  # that of MQTT
MAX_PAYLOAD = 1 << 16  # bytes; the counters of a port of eight links have a tenth of it
ONLINE = "online"
ENDS = ("ended", "failed", "lost")  # a good-bye, a run that ended with an error, and the last will
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


class BadMessage(Exception):
    """An invalid message under our topics; the text says why in one line."""


def plain_words(error: Exception) -> str:
    """Return what a library says of an error, without the number in brackets before it."""
    return re.sub(r"^\[[^\]]*\] ", "", str(error))


@dataclass(frozen=True, slots=True)
class Leaf:
    """The topic of one kind of message, and the types of its payload's required fields."""

    qos: int
    retain: bool
    types: dict[str, type | tuple[type, ...]]


LEAVES = {
    # What a late watcher must know is retained; what a newer one replaces soon needs no QoS 1.
    "state": Leaf(1, True, {"state": str}),
    "link": Leaf(1, True, {"now_ns": int, "port": int, "link": int, "state": str, "cause": str}),
    "counters": Leaf(0, True, {"now_ns": int, "ports": list}),
    "event": Leaf(0, False, {"now_ns": int, "port": int, "event": str, "text": str}),
}


@dataclass(frozen=True, slots=True)
class Broker:
    """The address of a broker; an empty host means the embedded one."""

    host: str
    port: int = DEFAULT_PORT

    @classmethod
    def parse(cls, uri: str) -> Broker:
        """From mqtt://host:port, mqtt://host, or mqtt: for the embedded one. Raises ConfigError."""
        legal = "a broker is mqtt://host:port, mqtt://host, or mqtt: for one of our own"
        try:
            parts = urlsplit(uri)
        except ValueError:  # brackets
            raise ConfigError(f"{uri}: invalid host; {legal}") from None
        try:
            port = parts.port
        except ValueError:
            raise ConfigError(f"{uri}: the port must be a number from 1 to 65535; {legal}") from None
        if parts.scheme != "mqtt" or parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ConfigError(f"{uri}: {legal}")
        if parts.username or parts.password:
            raise ConfigError(f"{parts.hostname}: a broker with a password is not supported; {legal}")
        try:
            (parts.hostname or "").encode("idna")  # as the resolver does: it raises what is no OSError
        except UnicodeError:
            raise ConfigError(f"{parts.hostname!r}: no name of a host; {legal}") from None
        if port == 0 and parts.hostname:
            raise ConfigError(f"{uri}: nobody listens at port 0; {legal}")
        return cls(parts.hostname or "", DEFAULT_PORT if port is None else port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"mqtt://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Reading:
    """A message that was read: `leaf` is a key of LEAVES."""

    run: str
    node: str
    leaf: str
    body: dict[str, Any]


def topic(run: str, node: str, leaf: str, *below: int) -> str:
    """The topic of a message; `below` is port and link of a link state."""
    return "/".join([ROOT, run, node, leaf, *map(str, below)])


def payload(leaf: str, body: dict[str, Any]) -> bytes:
    """The payload of a message."""
    return json.dumps({"schema": f"hsl.telemetry.{leaf}/1"} | body, separators=(",", ":")).encode()


def parse_message(name: str, data: object) -> Reading:
    """A message of a broker, which may hold anything. Raises BadMessage."""
    parts = name.removeprefix(f"{ROOT}/").split("/")
    if not name.startswith(f"{ROOT}/") or len(parts) < 3 or parts[2] not in LEAVES:
        raise BadMessage(f"{name[:100]!r}: no topic of ours")
    run, node, leaf = parts[:3]
    if len(parts) != (5 if leaf == "link" else 3) or not (NAME.fullmatch(run) and NAME.fullmatch(node)):
        raise BadMessage(f"{name[:100]!r}: no topic of ours")
    return Reading(run, node, leaf, body_of(name, leaf, data))


def body_of(name: str, leaf: str, data: object) -> dict[str, Any]:
    """The checked object of a payload. Raises BadMessage."""
    if not isinstance(data, bytes | bytearray) or len(data) > MAX_PAYLOAD:
        size = f"{len(data)} bytes" if isinstance(data, bytes | bytearray) else "no bytes"
        raise BadMessage(f"{name}: {size}; expected at most {MAX_PAYLOAD}")
    try:
        body = json.loads(bytes(data))
    except (ValueError, RecursionError) as error:
        raise BadMessage(f"{name}: no JSON: {type(error).__name__}") from None
    if not isinstance(body, dict) or body.get("schema") != f"hsl.telemetry.{leaf}/1":
        raise BadMessage(f"{name}: not of schema hsl.telemetry.{leaf}/1")
    for field, types in LEAVES[leaf].types.items():
        if not isinstance(body.get(field), types) or isinstance(body[field], bool):
            raise BadMessage(f"{name}: {field} is missing or of a wrong type")
    legal = {"state": (ONLINE, *ENDS), "link": LinkState.__members__}.get(leaf)
    if legal is not None and body["state"] not in legal:
        raise BadMessage(f"{name}: no such state")
    return body
