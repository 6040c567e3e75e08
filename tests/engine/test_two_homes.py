"""Recalls, progress and old requests of a node with two homes and two agents (HSL 5.1.4)."""

from __future__ import annotations

from hsl._generated.constants import Err
from hsl.agents.access import Access
from hsl.agents.address_map import AddressMap, SamEntry
from hsl.agents.home import HomeConfig
from hsl.agents.memory import Memory
from hsl.agents.request_config import RequestConfig
from hsl.agents.waiting import RECALL_LIMIT
from hsl.engine.management import NodeServices
from hsl.engine.node import Node, NodeConfig
from hsl.errors import ConfigError

PAGE = 4096
LINE = 64
HOMES, A, B = (0, 1), 2, 3
FIRST, SECOND = 0, PAGE  # a line of each home


def node() -> tuple[Node, AddressMap]:
    """A node without ports: a page of each home, two caches; and the map that all its agents share."""
    sam = AddressMap([SamEntry(PAGE * home, PAGE * (home + 1) - 1, home=home) for home in HOMES])
    homes = [(HomeConfig(nid=home, address_map=sam), Memory(PAGE * home, PAGE)) for home in HOMES]
    agents = [RequestConfig(nid=nid, address_map=sam) for nid in (A, B)]
    made = Node(NodeConfig(agents=agents, homes=homes))
    return made, made.homes[0].config.address_map


def quiesce(sam: AddressMap) -> None:
    for index, entry in enumerate(list(sam)):
        sam.put(index, entry._replace(quiesced=True))


def services(made: Node) -> NodeServices:
    return made._services


def recall(made: Node, first: int, last: int) -> Err | None:
    """The end of a recall; None if it is refused by an exception."""
    try:
        return services(made).recall(first, last, 0)
    except ConfigError:
        return None


def test_recalling_counts_the_lines_of_all_homes() -> None:
    """A line of each home is held: RECALLING is 2, then 0. [HSL-COH-058]."""
    made, sam = node()
    for addr in (FIRST, SECOND):
        made.store(A, addr, bytes(8), 0)
        made.advance(0)
    quiesce(sam)
    assert recall(made, 0, 2 * PAGE - 1) is Err.OK
    assert services(made).recalling() == 2
    made.advance(0)
    assert services(made).recalling() == 0


def test_a_recall_begins_at_every_home_or_at_none() -> None:
    """One home has as many recalls open as it may: BUSY, and the other home takes no line. HSL 5.1.4."""
    made, sam = node()
    for line in range(RECALL_LIMIT):
        made.store(A, FIRST + line * LINE, bytes(8), 0)
    made.store(A, SECOND, bytes(8), 0)
    made.advance(0)
    quiesce(sam)
    for line in range(RECALL_LIMIT):
        at = FIRST + line * LINE
        assert recall(made, at, at + LINE - 1) is Err.OK
    assert recall(made, 0, 2 * PAGE - 1) is Err.BUSY
    assert made.homes[1].recalling == 0


def test_a_request_of_one_agent_to_the_old_home_is_enough() -> None:
    """A has a request under way to the home of the old map, B has none. [HSL-COH-061]."""
    made, sam = node()
    made.agents[A].submit(Access("store", FIRST, 8, bytes(8)), 0)
    quiesce(sam)
    entry = sam.entries[0]
    assert entry is not None
    sam.put(0, entry._replace(home=1))
    assert services(made).outdated(0, PAGE - 1)
    assert not services(made).outdated(PAGE, 2 * PAGE - 1)
