"""Addresses of links."""

import pytest

from hsl.errors import ConfigError
from hsl.transport.base import Address, parse_uri

LEGAL = {
    "tcp://127.0.0.1:0": Address("tcp", "127.0.0.1", 0),
    "tcp://[::1]:65535": Address("tcp", "::1", 65535),
    "tcp://host.example:7/": Address("tcp", "host.example", 7),
    "tcp://:9000": Address("tcp", "127.0.0.1", 9000),
    "unix:///tmp/a b": Address("unix", path="/tmp/a b"),
    "udp://127.0.0.1:0": Address("udp", "127.0.0.1", 0),
    "udp://[::1]:9": Address("udp", "::1", 9),
    "loopback:": Address("loopback"),
}
ILLEGAL = [
    "",
    "127.0.0.1:9",
    "tcp:",
    "tcp://host",
    "tcp://host:65536",
    "tcp://host:-1",
    "tcp://host:9/path",
    "tcp://user@host:9",
    "tcp://host:9?x=1",
    "tcp://[::1:9",
    "unix://relative",
    "unix:///" + "x" * 107,
    "unix:///nul\0byte",
    "unix:///query?x",
    "tcp://host\n:1",
    "loopback:1",
    "tcp://a..b:1",
    "tcp://" + "a" * 64 + ":1",
    "udp://host",
    "udp://host:9/path",
    "shm:///name",
    "mqtt://broker/topic",
    "http://host:1",
]


@pytest.mark.parametrize("text", LEGAL)
def test_legal_address_is_read(text: str) -> None:
    """A legal address gives its parts, and its own spelling gives them again."""
    assert parse_uri(text) == LEGAL[text]
    assert parse_uri(str(LEGAL[text])) == LEGAL[text]


@pytest.mark.parametrize("text", ILLEGAL)
def test_illegal_address_is_refused(text: str) -> None:
    """Whatever is no address of a binding that is built is a ConfigError that names what is expected."""
    with pytest.raises(ConfigError, match="expected"):
        parse_uri(text)
