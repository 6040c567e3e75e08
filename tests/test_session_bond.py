"""Sessions of several links: a connection for each, and the loss of one in mid-run."""

from __future__ import annotations

import asyncio

import pytest

from hsl.errors import ConfigError
from hsl.link.events import Event, StateChanged
from hsl.session import Attachment, Session
from hsl.transport.base import link_addresses
from tests.support.ports import PortDevice
from tests.support.sessions import device, run, until

LINKS = 3
TU = 20  # T_STATE, after which a link without a connection is lost, is four seconds
COUNT = 600
LOSSES = ("T_STATE", "bond_drop")  # one side sees that it is gone, the other too or is told


def session(side: PortDevice, uris: list[str], events: list[Event], *, listen: bool) -> Session:
    places = [Attachment(uri=uri, listen=listen, link=link, wait=5) for link, uri in enumerate(uris)]
    return Session(side, places, passive=not listen, observe=lambda port, event: events.append(event))


def test_a_connection_that_is_lost_for_good_in_mid_run() -> None:
    """The port goes on over the other connections, all messages arrive once and in order [HSL-BND-004]."""

    async def scenario() -> None:
        sides = [device(guid, COUNT, tu_exp=TU, links=LINKS) for guid in (1, 2)]
        first = link_addresses("tcp://127.0.0.1:0", LINKS, listen=True)
        events: list[Event] = []
        waiting = session(sides[0], first, events, listen=True)
        opened = asyncio.get_running_loop().create_future()
        tasks = [asyncio.create_task(waiting.run(opened.set_result))]
        uris = [str(address) for address in await opened]
        tasks.append(asyncio.create_task(session(sides[1], uris, events, listen=False).run()))
        await until(lambda: sides[0].got > 50 or tasks[0].done())
        lost = waiting.ends[0, 1].link
        await lost.stop()
        assert lost.connection is not None
        lost.connection.abort()
        assert sides[0].got < COUNT
        await asyncio.gather(*tasks)
        assert [side.got for side in sides] == [COUNT, COUNT]
        dead = [event.link for event in events if isinstance(event, StateChanged) and event.cause in LOSSES]
        assert dead == [1, 1]

    run(scenario())


def test_addresses_of_the_links() -> None:
    """One address stands for all: the next ports, a suffix of a path; a list with commas is taken as is."""
    assert link_addresses("tcp://host:7000", 3, listen=False) == [
        f"tcp://host:{p}" for p in (7000, 7001, 7002)
    ]
    assert link_addresses("tcp://h:0", 2, listen=True) == ["tcp://h:0"] * 2
    assert link_addresses("unix:///a", 2, listen=True) == ["unix:///a", "unix:///a.1"]
    assert link_addresses("unix:///a,unix:///b", 2, listen=True) == ["unix:///a", "unix:///b"]


@pytest.mark.parametrize(
    ("text", "links"),
    [("tcp://h:0", 2), ("tcp://h:65535", 2), ("unix:///a,unix:///b", 3), ("loopback:", 2), ("x", 2)],
)
def test_addresses_that_name_no_links(text: str, links: int) -> None:
    """A list of another length, ports beyond the last, and port 0 to call are refused."""
    with pytest.raises(ConfigError):
        link_addresses(text, links, listen=False)
