"""Telemetry of nodes over MQTT: what is published, by whom, and how it is read (needs the `mqtt` extra).

The data path only appends to a bounded queue; a thread of its own talks to the broker.
"""

from hsl.telemetry.broker import EmbeddedBroker
from hsl.telemetry.publisher import Publisher
from hsl.telemetry.reporter import Reporter
from hsl.telemetry.topics import BadMessage, Broker, parse_message
from hsl.telemetry.watcher import Watcher

__all__ = ["BadMessage", "Broker", "EmbeddedBroker", "Publisher", "Reporter", "Watcher", "parse_message"]
