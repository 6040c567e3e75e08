"""`.hslr`: a run in a file, complete in itself, that comes to the same verdict whenever it is run again.

JSON lines. The first says what runs (`target`) with which configuration and seed; then what happens, in
order; the last, if the file is whole, the verdict of the run that was recorded. Schema: hsl/verify/hslr.json.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TextIO

from hsl._generated.constants import PROFILE_NAME, VERSION
from hsl.errors import ConfigError
from hsl.files import open_text
from hsl.shown import shown
from hsl.verify.given import check_program
from hsl.verify.json_line import json_object
from hsl.verify.operation import Operation
from hsl.verify.port_run import run_port
from hsl.verify.stress import run
from hsl.verify.stress_config import StressConfig
from hsl.verify.verdict import Verdict

__all__ = [
    "FORMAT",
    "MAX_OPERATIONS",
    "MAX_RECORDS",
    "SUFFIX",
    "Recording",
    "plain",
    "read",
    "replay",
    "same",
    "write",
]

FORMAT: Final = 1  # of the file; raised when an old reader would misread a new one
SUFFIX: Final = ".hslr"
PROFILE: Final = f"{PROFILE_NAME} {VERSION[0]}.{VERSION[1]}"
MAX_RECORDS: Final = 1 << 20  # about a GB of objects: more than a failure that anybody wants to look at
MAX_OPERATIONS: Final = MAX_RECORDS - 2  # beside the head and the verdict
MAX_SIZE: Final = 1 << 28  # characters of a file: so many records of 256
MAX_LINE: Final = 1 << 20  # characters: the longest record is an operation with all that it waits for


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """The contents of a file: `target`, a key of TARGETS, the records to play, and the recorded verdict."""

    target: str
    config: dict[str, Any]
    records: Sequence[dict[str, Any]]
    verdict: dict[str, Any] | None = None

    @classmethod
    def of_stress(cls, config: StressConfig, operations: Iterable[Operation], verdict: Verdict) -> Recording:
        """A run of the random tester."""
        records = [{"operation": operation.record()} for operation in operations]
        return cls(target=config.via, config=config.record(), records=records, verdict=plain(verdict))


def write(recording: Recording, stream: TextIO) -> None:
    """Write a file."""
    head = {"hslr": FORMAT, "profile": PROFILE, "target": recording.target, "config": recording.config}
    lines = [head, *recording.records]
    if recording.verdict is not None:
        lines.append({"verdict": recording.verdict})
    stream.writelines(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)


def read(path: Path) -> Recording:
    """Read a file back. Raises ConfigError with the invalid line and what was expected there."""
    with open_text(path, MAX_SIZE) as stream:
        lines = list(_lines(path, stream))
    if not lines:
        raise ConfigError(f"{path} is empty; the first line says what runs")
    head, *records = lines
    if head.get("hslr") != FORMAT:
        raise ConfigError(f"{path}, line 1: hslr = {json.dumps(head.get('hslr'))}; expected {FORMAT}")
    if head.get("profile") != PROFILE:
        raise ConfigError(f"{path}, line 1: profile {shown(head.get('profile'))}; this is {PROFILE}")
    if str(head.get("target")) not in TARGETS or not isinstance(head.get("config"), dict):
        raise ConfigError(
            f"{path}, line 1: target {shown(head.get('target'))}; expected a config, and as target one of "
            f"{', '.join(TARGETS)}"
        )
    verdict = records.pop()["verdict"] if records and "verdict" in records[-1] else None
    if verdict is not None and not isinstance(verdict, dict):
        raise ConfigError(f"{path}: the verdict is {shown(verdict)}; expected an object")
    return Recording(target=head["target"], config=head["config"], records=records, verdict=verdict)


def _lines(path: Path, stream: TextIO) -> Iterator[dict[str, Any]]:
    number = size = 0
    while text := stream.readline(MAX_LINE + 1):
        number += 1
        size += len(text)
        if len(text) > MAX_LINE or number > MAX_RECORDS or size > MAX_SIZE:
            raise ConfigError(
                f"{path}, line {number}: expected at most {MAX_RECORDS} lines of {MAX_LINE} characters, "
                f"{MAX_SIZE} characters in all"
            )
        yield json_object(text, f"{path}, line {number}")


def replay(recording: Recording, engine: str | None = None, *, trace: bool = False) -> Verdict:
    """Run it again. Raises ConfigError for records that are none, and for an engine that is not there."""
    return TARGETS[recording.target](recording, engine, trace)


def same(recorded: dict[str, Any] | None, verdict: Verdict) -> bool:
    """True if the verdict is the recorded one."""
    return recorded is not None and recorded == plain(verdict)


def plain(verdict: Verdict) -> dict[str, Any]:
    """The verdict as JSON, without the trace, which is for people."""
    return {name: value for name, value in asdict(verdict).items() if name != "trace"}


def _stress(recording: Recording, engine: str | None, trace: bool) -> Verdict:
    config = StressConfig.of(recording.config)
    if config.via != recording.target:
        raise ConfigError(f"target {shown(recording.target)}, but the config says via {shown(config.via)}")
    operations = [_operation(record) for record in recording.records]
    check_program(config, operations)
    return run(config, operations, engine=engine, trace=trace)


def _operation(record: dict[str, Any]) -> Operation:
    if set(record) != {"operation"} or not isinstance(record["operation"], dict):
        raise ConfigError(f"record {shown(record)}; expected an operation with this target")
    return Operation.of(record["operation"])


def _port(recording: Recording, engine: str | None, trace: bool) -> Verdict:
    return run_port(recording.config, recording.records, engine)


TARGETS: Final[dict[str, Callable[[Recording, str | None, bool], Verdict]]] = {
    "messages": _stress,
    "links": _stress,
    "port": _port,
}
