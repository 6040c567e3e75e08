"""hsl.System: settings of the links and faults, and the report of what they did."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import hsl
from hsl._generated.constants import TU_EXPONENT_HARDWARE

SCENARIO = """
[[fault]]
kind = "crc"
count = 1
type = "PROT"
from = "cpu"
"""


def test_reprs(s: hsl.System) -> None:
    """System, agent and memory show what somebody at a prompt wants to know."""
    assert repr(s) == f"<hsl.System gpus=1, links=1, seed=0, faults='none', now={s.now} ns>"
    assert repr(s.gpu) == "<hsl.Agent gpu, NID 19, memory 0x1000000000..0x10000fffff (1 MiB)>"
    assert repr(s.host_memory) == "MemoryRange(base=0, size=1048576)"
    assert str(s.host_memory) == "0x0..0xfffff (1 MiB)"
    s.close()
    assert repr(s).endswith("ns, closed>")


def test_report(s: hsl.System) -> None:
    """The report is JSON and counts messages, accesses and flits."""
    s.gpu.store(0x40, b"x")
    s.cpu.load(0x40)
    s.close()
    report = json.loads(json.dumps(s.report()))
    assert report["nodes"]["gpu"]["messages_sent"]["ReadUnique"] == 1
    assert report["nodes"]["gpu"]["agents"]["19"]["misses"] == 1
    assert report["links"]["prot_sent"] == report["links"]["prot_accepted"]
    assert report["flits"] == sum(report["links"]["flits_sent"].values())
    assert report["wire_bytes"] == 64 * report["flits"]
    assert report["nodes"]["gpu"]["errors"] == {}


def test_report_counts_every_link_and_flit(tmp_path: Path) -> None:
    """The report counts the flits of all links of all ports, the lost and the long ones too."""
    path = tmp_path / "run.pcapng"
    shape: dict[str, Any] = {"gpus": 3, "topology": "mesh", "links": 2, "flit": "B256"}
    with hsl.System(seed=1, faults="drop:2e-2,crc:2e-2", capture=path, device_bytes=1 << 16, **shape) as s:
        for gpu in s.gpus:
            gpu.load_many(s.gpus[0].memory.lines[:50])
    report = s.report()
    assert report["flits"] == sum(report["links"]["flits_sent"].values())
    with path.open("rb") as stream:
        sizes = [len(packet.data) for packet in hsl.Reader(stream)]
    assert set(sizes) == {64, 256}
    assert report["wire_bytes"] == sum(sizes)
    sent = [node["messages_sent"] for node in report["nodes"].values()]
    assert report["messages"] == sum(sum(each.values()) for each in sent) > 0
    errors = [node["errors"] for node in report["nodes"].values()]
    assert sum(each.get("CRC", 0) for each in errors) == report["links"]["crc_errors"] > 0


@pytest.mark.parametrize("link", [0, 1])
def test_faults_of_each_link(link: int) -> None:
    """A fault of one link of a bonded port hits that link, the second as the first."""
    with hsl.System(seed=1, links=2, faults=f"crc:0.1:link={link}") as s:
        s.gpu.load_many(s.host_memory.lines[:100])
        hits = {place.link: lane.injector.counts for place, lane in s._machine._loopback.lanes.items()}
        assert {at for at, counts in hits.items() if any(map(Counter.total, counts.values()))} == {link}


def test_settings_of_the_ports() -> None:
    """Every port has the codec of `engine` and the time unit of hardware, not that of sockets."""
    for engine in ("native", "reference"):
        with hsl.System(engine=engine, memory_bytes=1 << 17) as s:
            configs = [port.config for node in s._machine.nodes for port in node.ports]
            assert {(each.codec, each.tu_exp) for each in configs} == {(engine, TU_EXPONENT_HARDWARE)}


def test_scenario_of_a_file(tmp_path: Path) -> None:
    """`faults` takes the path of a scenario, as a Path and as a str, and a rate of 1."""
    path = tmp_path / "s.toml"
    path.write_text(SCENARIO)
    for faults in (path, str(path)):
        with hsl.System(seed=1, faults=faults) as s:
            s.gpu.load(0x40)
        assert s.report()["injected"] == {"crc": 1}
    with pytest.raises(hsl.LinkError, match=r"crc:0\.5,drop:0\.5"):
        hsl.System(faults=1)


def test_topology_of_a_file(tmp_path: Path) -> None:
    """`topology` takes a file or its settings, which other arguments override."""
    path = tmp_path / "t.toml"
    path.write_text("gpus = 2\ncores = 3\nmemory_bytes = 131072\n")
    with hsl.System(topology=path, device_bytes=1 << 16) as s:
        assert (len(s.gpus), len(s.cpus), s.host_memory.size) == (2, 3, 1 << 17)
        assert len({agent.nid for agent in s.cpus + s.gpus}) == 5  # each has a cache of its own
    with hsl.System(1, topology={"gpus": 2, "cores": 5}, device_bytes=1 << 16) as s:
        assert (len(s.gpus), len(s.cpus)) == (1, 5)
