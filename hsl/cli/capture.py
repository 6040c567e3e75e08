"""`--capture` of every command that moves flits."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hsl.capture import Clock, Recorder, Sink, Tapped, capture_info, merge
from hsl.capture.sink import STDOUT
from hsl.engine.node import Node
from hsl.errors import ConfigError
from hsl.interruption import Held

__all__ = ["captured_apart", "recording", "view"]


def open_sink(options: dict[str, Any]) -> Sink:
    """Open the sink of the capture. Raises ConfigError if stdout is taken, CaptureError as Sink does."""
    target = options["capture"]
    if target == STDOUT and options["as_json"]:
        raise ConfigError("--capture - and --json both want stdout: give one of them a file (--out for JSON)")
    if target == STDOUT and sys.stdout.isatty():
        raise ConfigError("--capture - is for a pipe, not for a terminal")
    return Sink(target, options["capture_size"])


@contextlib.contextmanager
def recording(
    options: dict[str, Any], seed: int, clock: Clock, nodes: Sequence[Node], tapped: Sequence[Tapped]
) -> Iterator[Recorder | None]:
    """A recorder of what `nodes` send, as the first of them sees it; None when no capture is asked for."""
    if options["capture"] is None:
        yield None
        return
    with Recorder(open_sink(options), capture_info(clock, seed, nodes), tapped) as recorder:
        yield recorder


@contextlib.contextmanager
def captured_apart(
    options: dict[str, Any], names: Sequence[str], folder: Path
) -> Iterator[dict[str, list[str]]]:
    """For nodes in processes of their own: the arguments with which each captures, by name.

    At the end, however it comes, the captures become the one that was asked for; until then they lie beside
    it, with the name of the node before the suffix, or in `folder` when it is a pipe.
    """
    if options["capture"] is None:
        yield {name: [] for name in names}
        return
    sink = open_sink(options)
    beside = folder / "capture.pcapng" if sink.pipe else Path(options["capture"])
    parts = {name: beside.with_name(f"{beside.stem}.{name}{beside.suffix}") for name in names}
    try:
        yield {name: ["--capture", str(part)] for name, part in parts.items()}
    finally:
        with Held(), contextlib.ExitStack() as stack:
            stack.callback(sink.close)
            made = [part for part in parts.values() if part.exists()]
            for part in made:
                stack.callback(part.unlink)  # also if there is no room for the merged capture
            merge([stack.enter_context(part.open("rb")) for part in made], sink)


def view(options: dict[str, Any]) -> contextlib.AbstractContextManager[Any]:
    """Return the console of the report: stderr while stdout has the capture."""
    taken = options["capture"] == STDOUT
    return contextlib.redirect_stdout(sys.stderr) if taken else contextlib.nullcontext()
