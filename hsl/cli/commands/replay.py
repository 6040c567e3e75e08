"""`hsl replay`."""

import cloup

from hsl.cli.help import Example, Leaf
from hsl.cli.options import FILE, engine, output

__all__ = ["command"]

command = Leaf(
    "replay",
    calls="hsl.cli.replay:replay_file",
    summary="Run a recorded run (.hslr) again.",
    text="'same' in the report says whether the verdict is the recorded one, to the last counter.",
    arguments=[cloup.Argument(["file"], type=FILE, help="Recording that hsl stress saved; - is stdin.")],
    options={"Run": [engine()]},
    output=output(),
    examples=[
        Example("hsl replay stress-1.hslr", "Repeat a failure.", cheap=False),
        Example("hsl replay stress-1.hslr --json", "Print the verdict as JSON.", cheap=False),
    ],
    ends={0: "Nothing forbidden is seen now.", 1: "Something forbidden is seen."},
)
