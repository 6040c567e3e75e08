"""A port that no other process of the machine is given while it is held."""

from __future__ import annotations

import socket

__all__ = ["LOCALHOST", "hold_port", "port_of"]

LOCALHOST = "127.0.0.1"


def hold_port() -> socket.socket:
    """Return a bound tcp socket that does not listen; close it when its port is of no use any more.

    Calls to its port are refused, and only a program that is told the port can listen there. A port that was
    found free and given back may be another test's by the time it is needed.
    """
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a program with this option may listen there
    held.bind((LOCALHOST, 0))
    return held


def port_of(held: socket.socket) -> int:
    """Return the number of the port that is held."""
    number: int = held.getsockname()[1]
    return number
