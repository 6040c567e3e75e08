"""`hsl telemetry`."""

import cloup

from hsl.cli.help import Branch, Example, Leaf
from hsl.cli.options import integer, json_only, time_limit

__all__ = ["command"]

DEFAULT = "mqtt://127.0.0.1:1883"
MAX_PORT = 65535

BROKER = Leaf(
    "broker",
    calls="hsl.cli.telemetry:broker",
    summary="Run an MQTT broker on 127.0.0.1 until interrupted.",
    text="The first line printed is its address.",
    options={
        "Run": [
            integer("--port", least=0, most=MAX_PORT, default=1883, help="TCP port; 0 takes a free one."),
            time_limit("End after SECONDS."),
        ]
    },
    output=json_only(),
    examples=[
        Example("hsl telemetry broker", "Run a broker at the usual port.", cheap=False),
        Example("hsl telemetry broker --port 0 --time-limit 1", "Run one at a free port, for a second."),
    ],
    ends={0: "--time-limit is over.", 3: "The mqtt extra is not installed."},
)
WATCH = Leaf(
    "watch",
    calls="hsl.cli.telemetry:watch",
    summary="Show what nodes publish, until all of them have ended.",
    arguments=[
        cloup.Argument(["uri"], default=DEFAULT, help=f"Broker to watch. Default: {DEFAULT}."),
    ],
    options={
        "Run": [
            integer("--count", least=1, help="End after N messages."),
            time_limit("End after SECONDS."),
        ]
    },
    output=json_only(),
    examples=[
        Example("hsl telemetry watch", "Watch the broker at the usual port.", cheap=False),
        Example(
            "hsl telemetry watch mqtt://127.0.0.1:1883 --count 100 --json", "Collect messages.", cheap=False
        ),
    ],
    ends={
        0: "A node was seen.",
        3: "The mqtt extra is not installed.",
        5: "No node was seen.",
        7: "The broker is lost or unreachable.",
    },
)
command = Branch(
    "telemetry",
    summary="Watch counters, link states and events over MQTT.",
    text="This needs the mqtt extra: pip install 'hsl-interconnect[mqtt]'.",
    commands=[BROKER, WATCH],
)
