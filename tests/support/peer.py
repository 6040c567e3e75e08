"""A process with a session on a bare port: `tests.support.peer listen|connect URI COUNT EXPECTED TU`."""

from __future__ import annotations

import logging
import secrets
import sys

from hsl.errors import HslError
from hsl.session import Attachment, Session
from tests.support.ports import PortDevice, port_config


def main(how: str, uri: str, count: str, expected: str, tu: str) -> int:
    """Run the session; the address on stdout, the error on stderr."""
    logging.basicConfig(level=logging.WARNING)
    guid = 1 if how == "listen" else 2
    config = port_config(guid, tu_exp=int(tu), epoch=lambda: secrets.randbits(32))
    device = PortDevice(config, count=int(count), expected=int(expected))
    session = Session(device, [Attachment(uri=uri, listen=how == "listen", wait=10)])
    try:
        session.run_blocking(lambda addresses: print(addresses[0], flush=True))
    except HslError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 7
    print(device.sent, device.got, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
