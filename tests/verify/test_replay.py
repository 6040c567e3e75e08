"""Replay files: what was recorded runs again to the same verdict, and what is no replay file is refused."""

import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from hsl.errors import ConfigError
from hsl.link.port import Port
from hsl.verify import replay as replay_module
from hsl.verify.port_run import CALLS, make_config
from hsl.verify.replay import Recording, plain, read, replay, same, write
from hsl.verify.stress import program, run
from hsl.verify.stress_config import StressConfig
from tests.support.ports import ALL_ROLES, numbered
from tests.verify.planted import PLANTED
from tests.verify.support import HSLR


def saved(recording: Recording, path: Path) -> Path:
    with path.open("w") as stream:
        write(recording, stream)
    for line in path.read_text().splitlines()[:50]:
        HSLR.validate(json.loads(line))
    return path


def recorded(config: StressConfig) -> Recording:
    operations = list(program(config))
    return Recording.of_stress(config, operations, run(config, operations))


@pytest.mark.parametrize("settings", [{}, {"via": "links", "faults": "crc:0.02,drop:0.02"}])
def test_same_verdict(settings: dict[str, Any], tmp_path: Path) -> None:
    """A file alone is enough to come to the same verdict, to the last counter."""
    config = StressConfig(ops=60, seed=3, **settings)
    recording = read(saved(recorded(config), tmp_path / "run.hslr"))
    assert same(recording.verdict, replay(recording))


def test_same_violation(tmp_path: Path) -> None:
    """A failure is replayed as the same failure; when the bug is gone, it is not the recorded verdict."""
    with PLANTED["a store in E does not make the line M"]():
        recording = read(saved(recorded(StressConfig(ops=200, seed=1)), tmp_path / "run.hslr"))
        verdict = replay(recording)
        assert verdict.violation
        assert same(recording.verdict, verdict)
    verdict = replay(recording)
    assert not verdict.violation
    assert not same(recording.verdict, verdict)


def port_config(guid: int) -> dict[str, Any]:
    """A port as a file has it."""
    nids = {"nid_base": 16 * guid, "nid_count": 16}
    return {"guid": guid, "roles": int(ALL_ROLES), "tu_exp": 6, "epochs": [7 * guid, 9], **nids}


def session(seed: int) -> tuple[list[Port], list[Recording]]:
    """Two ports that talk over a bad line, and what each was called with."""
    rng = Random(seed)
    configs = [port_config(guid) for guid in (1, 2)]
    ports = [Port(make_config(config)) for config in configs]
    records: list[list[dict[str, Any]]] = [[], []]
    lines: list[list[bytes]] = [[], []]
    sent = 0

    def call(side: int, now: int, name: str, value: Any = True, **more: Any) -> None:
        record = {"at": now, name: value, **more}
        records[side].append(record)
        CALLS[name](ports[side], record, now)
        lines[1 - side] += [data for _, data in ports[side].transmit(now, lambda link: True)]

    for side in (0, 1):
        call(side, 0, "enable")
        call(side, 0, "pal_up", 0)
    for now in range(64, 8_000, 64):
        for side in (0, 1):
            inbox, lines[side] = lines[side], []
            for data in inbox:
                damaged = rng.random() < 0.05
                frame = bytes([data[0] ^ 1, *data[1:]]) if damaged else data
                call(side, now, "receive", frame.hex(), **({"injected": "crc"} if damaged else {}))
            for message in ports[side].messages():
                call(side, now, "release", message.vc)
            call(side, now, "tick")
            if ports[side].up and rng.random() < 0.3:
                fields = numbered(sent)._asdict()
                call(side, now, "send", fields | {"data": fields["data"].hex()})
                sent += 1
    assert sent > 10
    recordings = [Recording(target="port", config=configs[i], records=records[i]) for i in (0, 1)]
    return ports, recordings


def test_port_is_driven_again(tmp_path: Path) -> None:
    """A port that is called again as it was called sends the same bytes and tells the same events."""
    ports, recordings = session(seed=5)
    for port, recording in zip(ports, recordings, strict=True):
        first = replay(recording)
        again = read(saved(replace(recording, verdict=plain(first)), tmp_path / "port.hslr"))
        assert same(again.verdict, replay(again))
        assert first.details["states"] == [link.state.name for link in port.links] == ["ACTIVE"]
        assert first.details["flits"] == sum(port.links[0].counters.flits_sent.values())
        shorter = [record for record in recording.records if "injected" not in record]
        assert replay(replace(recording, records=shorter)).details != first.details


HEAD = {"hslr": 1, "profile": replay_module.PROFILE, "target": "messages", "config": {"ops": 5}}
PORT = HEAD | {"target": "port", "config": port_config(1)}
LOAD = {"id": 0, "thread": 0, "agent": 2, "gap": 0, "kind": "load", "size": 8, "judge": "words"}
BYTE = LOAD | {"id": 1, "kind": "store", "size": 1, "data": "00", "judge": "nothing"}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "is empty"),
        (["no json"], "line 1"),
        (["[1]"], "expected a JSON object"),
        (["[" * 100_000], "line 1"),
        ([HEAD | {"hslr": 2}], "hslr = 2"),
        ([HEAD | {"profile": "CXL"}], "profile 'CXL'"),
        ([HEAD | {"target": "moon"}], "target 'moon'"),
        ([HEAD | {"target": []}], "target"),
        ([HEAD | {"config": []}], "expected a config"),
        ([HEAD | {"config": {"ops": "many"}}], "ops = 'many'"),
        ([HEAD | {"config": {"faults": 5}}], "faults"),
        ([HEAD | {"config": {"home": {}}}], "home {}"),
        ([HEAD | {"config": {"kinds": []}}], "kinds = .. must be text"),
        ([HEAD | {"config": {"via": "links"}}], "the config says via"),
        ([HEAD, {"operation": 5}], "expected an operation"),
        ([HEAD, {"tick": True}], "expected an operation"),
        ([HEAD, {"operation": LOAD | {"agent": 5}}], r"agents \[5\]"),
        ([HEAD, {"operation": LOAD | {"addr": 1 << 30}}], "the 16 lines are"),
        ([HEAD, {"operation": LOAD | {"kind": "ncread"}}], "no such register"),
        ([HEAD, {"operation": LOAD}, {"operation": LOAD}], "ids must rise"),
        ([HEAD, {"operation": LOAD}, {"operation": LOAD | {"id": 1, "agent": 3}}], "a thread has one agent"),
        ([HEAD, *({"operation": LOAD | {"id": n, "thread": n}} for n in range(3))], "at most 2 threads"),
        ([HEAD, {"operation": LOAD}, {"operation": BYTE}], "0x0 is for writes"),
        ([HEAD, {"verdict": 1}], "the verdict is 1"),
        ([PORT | {"config": {}}], "epochs = null"),
        ([PORT | {"config": port_config(1) | {"colour": 1}}], "no such setting: .colour"),
        ([PORT | {"config": port_config(1) | {"window": 5000}}], "window"),
        ([PORT | {"config": port_config(1) | {"roles": "many"}}], "port: "),
        ([PORT | {"config": port_config(1) | {"roles": 1 << 40}}], "roles is"),
        ([PORT | {"config": port_config(1) | {"max_version": [300, 1]}}], "max_version"),
        ([PORT | {"config": port_config(1) | {"max_version": [1]}}], "max_version"),
        ([PORT | {"config": port_config(1) | {"\ud800": 1}}], "no such setting: '.ud800'"),
        ([HEAD | {"config": {"\ud800": 1}}], "no such setting: '.ud800'"),
        ([PORT | {"config": port_config(1) | {"credits": 3}}], "port: "),
        ([PORT, {"at": -1, "tick": True}], "record 0"),
        ([PORT, {"at": 0}], "record 0"),
        ([PORT, {"at": 0, "tick": True, "enable": True}], "record 0"),
        ([PORT, {"at": 5, "tick": True}, {"at": 4, "tick": True}], "record 1"),
        ([PORT, {"at": 0, "receive": "xy"}], "record 0: receive"),
        ([PORT, {"at": 0, "receive": "00" * 9999}], "at most"),
        ([PORT, {"at": 0, "receive": 7}], "record 0: receive"),
        ([PORT, {"at": 0, "send": {"colour": 1}}], "record 0: send"),
        ([PORT, {"at": 0, "pal_up": "x"}], "record 0: pal_up"),
    ],
)
def test_what_is_no_recording_is_refused(lines: list[Any], said: str, tmp_path: Path) -> None:
    """A file that says nothing that can be run is refused, with the place and what is legal."""
    path = tmp_path / "bad.hslr"
    path.write_text("".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines))
    with pytest.raises(ConfigError, match=said):
        replay(read(path))


def test_port_goes_on_after_a_refused_call() -> None:
    """A call that the port refuses, as the fuzzer's caller may make, is part of the run."""
    records: list[dict[str, Any]] = [
        {"at": 0, "send": {"op": 0x80}},
        {"at": 0, "pal_up": 3},
        {"at": 1, "enable": True},
    ]
    verdict = replay(Recording(target="port", config=port_config(1), records=records))
    assert verdict.details["states"] == ["DETECT"]


def test_files_have_a_cap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of too many or too long lines is refused before it fills the memory."""
    path = tmp_path / "big.hslr"
    path.write_text(json.dumps(HEAD) + "\n" + "{}\n" * 20)
    monkeypatch.setattr(replay_module, "MAX_RECORDS", 10)
    with pytest.raises(ConfigError, match="line 11"):
        read(path)
    monkeypatch.setattr(replay_module, "MAX_LINE", 50)
    with pytest.raises(ConfigError, match="line 1"):
        read(path)


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_unreadable(content: bytes | None, tmp_path: Path) -> None:
    """A file that is no text, or not there, is refused."""
    path = tmp_path / "x.hslr"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"x\.hslr"):
        read(path)


def test_unknown_engine() -> None:
    """An engine that the layers have not is an error that names those there are."""
    with pytest.raises(ConfigError, match="engine"):
        replay(recorded(StressConfig(ops=1)), "native")
