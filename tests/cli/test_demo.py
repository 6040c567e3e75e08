"""`hsl demo`: the main job, verified to the flit, and every way in which it may end."""

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from hsl._generated.constants import LINE_BYTES, Op
from hsl.agents.home_actions import HomeActions
from hsl.agents.transaction import Transaction
from hsl.capture import Reader
from hsl.cli import main
from hsl.cli.demo import NodeFailed, blame
from hsl.cli.schema import schema_bundle
from hsl.codec.crc import Buffer
from hsl.codec.flit import FORMATS
from hsl.codec.message import Message
from hsl.emulator import KERNELS
from hsl.emulator.gpu import Wavefront
from hsl.errors import PeerLost
from hsl.link import Port, PortConfig
from hsl.transport.faults import KINDS, FaultKind, Outcome

TEXT = b"Home agents serialise; caches answer.\n\tSnoops, credits and flits \x00\xff. " * 40
TIMEOUT = 120  # no run hangs


def hsl(*arguments: str, timeout: float = TIMEOUT) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    command = [sys.executable, "-m", "hsl", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)


def demo(*arguments: str) -> dict[str, Any]:
    """The report of a demo that must be verified, checked against its schema."""
    done = hsl("demo", "--json", *arguments)
    assert done.returncode == 0, done.stderr + done.stdout
    report: dict[str, Any] = json.loads(done.stdout)
    validate(report, "demo")
    assert report["verified"] is True
    return report


def validate(report: dict[str, Any], name: str) -> None:
    """Assert that a document is of schema `name`, and that a validator without a registry accepts it."""
    assert report["schema"] == f"hsl.{name}/1"
    Draft202012Validator(schema_bundle(report["schema"])).validate(report)


@pytest.fixture
def text(tmp_path: Path) -> str:
    path = tmp_path / "input.txt"
    path.write_bytes(TEXT)
    return str(path)


def test_the_default_run_shows_every_kind_of_traffic() -> None:
    """Over tcp the default input makes reads, upgrades, snoops, writebacks, atomics, doorbell, interrupt."""
    report = demo()
    messages = report["messages"]
    names = (
        "ReadShared",
        "SnpShared",
        "SnpInv",
        "WbFull",
        "Evict",
        "AtomicStore",
        "NcRead",
        "NcWrite",
        "Intr",
    )
    assert {name: messages.get(name, 0) for name in names if not messages.get(name)} == {}
    assert messages.get("ReadUnique", 0) + messages.get("Upgrade", 0) > 0
    assert report["checks"]["messages_agree"]
    assert report["result"] == report["expected"]
    reads = report["nodes"]["gpu"]["reads"]
    assert reads["p99_ns"] >= reads["p50_ns"] > 0
    assert reads["count"] >= report["result"]["bytes"] // LINE_BYTES, "the latency of each line is measured"


@pytest.mark.parametrize("seed", range(10))
def test_a_clean_run_replays_nothing(seed: int, text: str) -> None:
    """Without faults there are no replays, no recoveries and nothing stale over tcp.

    Tests share the cores: a TU of 4 ms keeps 16 TU above the round trip of processes that wait for one.
    """
    report = demo("--input", text, "--seed", str(seed), "--tu", "22")
    assert (report["replays"], report["recoveries"], report["stale"]) == (0, 0, 0)


@pytest.mark.parametrize("transport", ["tcp", "unix", "loopback"])
def test_faults_are_repaired_and_counted_to_the_flit(transport: str, text: str) -> None:
    """With damage and loss the result is right, and what was injected is what the other end counted."""
    report = demo("--input", text, "--faults", "0.02", "--seed", "7", "--transport", transport)
    assert report["replays"] > 0
    assert sum(line["damaged_injected"] for line in report["directions"]) > 0
    for line in report["directions"]:
        assert line["damaged_injected"] == line["crc_errors"]
        assert (
            line["prot_sent"] == line["prot_accepted"] + line["prot_lost_by_injection"] + line["prot_dropped"]
        )


@pytest.mark.parametrize("transport", ["tcp", "unix", "loopback"])
def test_flits_of_256_bytes(transport: str, text: str) -> None:
    """With --flit B256 both ends use it on every transport, faults are repaired, and it takes fewer flits."""
    arguments = ("--input", text, "--faults", "0.1", "--seed", "7", "--transport", transport)
    wide, narrow = demo(*arguments, "--flit", "B256"), demo(*arguments, "--flit", "L64")
    assert {node["flit"] for node in wide["nodes"].values()} == {"B256"}
    assert {node["flit"] for node in narrow["nodes"].values()} == {"L64"}
    assert wide["replays"] > 0
    assert wide["flits"] < narrow["flits"]


@pytest.mark.parametrize("transport", ["tcp", "loopback"])
def test_low_power_between_the_work(transport: str, text: str, tmp_path: Path) -> None:
    """With l1_idle_tu the link sleeps in L1 and wakes, under faults too, and the counters still agree."""
    path = tmp_path / "low.toml"
    path.write_text('l1_idle_tu = 1\nflit = "B256"\n')
    report = demo(
        "--input", text, "--faults", "0.01", "--seed", "7", "--transport", transport, "--topology", str(path)
    )
    for node in report["nodes"].values():
        assert node["states"]["entries"]["L1"] > 0


# Faults of each kind that a run survives: link-down only in a session, and not as often as N_RECOV.
SURVIVED = {
    FaultKind.LINK_DOWN: "link-down@PROT:x2:nth=40:ns=5000",
    FaultKind.EPOCH: "epoch:x2,drop:0.02",
    FaultKind.CTL_OP: "ctl-op:x2,drop:0.02",
    FaultKind.ACK: "ack@PROT:x2,ack:0.01",
}
REPAIRED = [
    kind
    for kind in FaultKind
    if KINDS[kind].outcome is not Outcome.PORT_FATAL and kind is not FaultKind.POISON
]


# On sockets those that the binding itself has to do with.
ON_SOCKETS = (FaultKind.TRUNCATE, FaultKind.REORDER, FaultKind.DELAY, FaultKind.LINK_DOWN)


@pytest.mark.parametrize(
    ("kind", "transport"),
    [
        *((kind, "loopback") for kind in REPAIRED),
        *((kind, "tcp") for kind in ON_SOCKETS),
        (FaultKind.TRUNCATE, "unix"),
    ],
)
def test_every_kind_of_fault_is_repaired(kind: FaultKind, transport: str, text: str) -> None:
    """Whatever happens to flits the result is right and both ends' counts agree."""
    # Not in the first flits: a connection that is cut while only one side is up is another session.
    faults = SURVIVED.get(kind, f"{kind}@PROT:x2:nth=30,{kind}@PROT:0.01:nth=30")
    report = demo("--input", text, "--faults", faults, "--seed", "7", "--transport", transport)
    assert sum(node["injected_kinds"].get(kind, 0) for node in report["nodes"].values()) > 0
    cut = kind in (FaultKind.TRUNCATE, FaultKind.LINK_DOWN) and transport != "loopback"
    for line in report["directions"]:
        assert bool(line["reconnections"]) == cut
        assert line["unbalanced_by"] == (["reconnection"] if cut else [])


@pytest.mark.parametrize(
    ("transport", "faults", "code", "says"),
    [
        ("loopback", "credit:x1:nth=5:from=cpu", 7, ("CREDIT_OVERFLOW", "port-fatal")),
        ("tcp", "credit:x1:nth=5:from=cpu", 7, ("CREDIT_OVERFLOW", "port-fatal")),
        ("loopback", "poison@PROT:x8:nth=80:from=cpu", 1, ("poisoned", "non-fatal")),
        ("tcp", "poison@PROT:x8:nth=80:from=cpu", 7, ("poisoned", "non-fatal")),  # the CPU loses its peer
    ],
)
def test_fatal_faults_end_as_announced(
    transport: str, faults: str, code: int, says: tuple[str, str], text: str
) -> None:
    """A fault that no link repairs ends the run with its error, and the worst that it may do is told."""
    done = hsl("demo", "--input", text, "--faults", faults, "--seed", "7", "--transport", transport)
    assert done.returncode == code, done.stderr
    for word in says:
        assert word in done.stderr


def test_faults_from_a_scenario_and_for_one_direction(text: str, tmp_path: Path) -> None:
    """A scenario file, --nth and --burst reach both processes; what is from the GPU hits nothing else."""
    path = tmp_path / "scenario.toml"
    path.write_text('[[fault]]\nkind = "drop"\ntype = "PROT"\nfrom = "gpu"\n')
    for transport in ("udp", "loopback"):
        report = demo(
            *("--input", text, "--faults", str(path), "--nth", "7", "--burst", "3"),
            *("--seed", "7", "--transport", transport),
        )
        assert report["faults"] == "drop@PROT:x1:nth=7:burst=3:from=gpu"
        assert report["nodes"]["cpu"]["injected_kinds"] == {}
        assert report["nodes"]["gpu"]["injected_kinds"] == {"drop": 3}


@pytest.mark.parametrize("size", [0, 1, LINE_BYTES - 1, LINE_BYTES, LINE_BYTES + 1, 40_000])
@pytest.mark.parametrize("kernel", KERNELS)
def test_any_size(size: int, kernel: str, tmp_path: Path) -> None:
    """Empty, around a line, larger than the GPU's cache: every kernel counts right and writes a line back."""
    path = tmp_path / "input"
    path.write_bytes((TEXT * (size // len(TEXT) + 1))[:size])
    report = demo("--input", str(path), "--kernel", kernel, "--transport", "loopback", "--seed", "1")
    assert report["result"]["bytes"] == size
    assert report["messages"]["WbFull"] > 0  # its completion record at least, which no CPU core takes from it


def test_the_loopback_is_deterministic(text: str) -> None:
    """The same seed gives the same report, faults included."""
    first, second = (
        demo("--input", text, "--transport", "loopback", "--faults", "0.02", "--seed", "5") for _ in "ab"
    )
    assert first == second


def test_the_topology_file_decides(text: str, tmp_path: Path) -> None:
    """Sizes and caches come from the TOML file; an unknown setting is refused with the legal ones."""
    path = tmp_path / "small.toml"
    path.write_text("l2_sets = 2\nl2_ways = 1\ncores = 3\n")
    assert demo("--input", text, "--topology", str(path), "--transport", "loopback")["messages"]["Evict"] > 0
    path.write_text("l2_stes = 2\n")
    done = hsl("demo", "--topology", str(path))
    assert done.returncode == 4
    assert "l2_stes" in done.stderr
    assert "l2_sets" in done.stderr
    for line, says in (
        ('flit = "L128"', "B256"),
        ("l1_idle_tu = -1", "l1_idle_tu"),
        ('codec = "reference"', "unknown setting codec; expected "),
    ):
        path.write_text(f"{line}\n")
        done = hsl("demo", "--topology", str(path))
        assert done.returncode == 4
        assert says in done.stderr


def test_out_writes_the_document(text: str, tmp_path: Path) -> None:
    """--out puts the JSON document into a file, and a person still gets the view."""
    done = hsl("demo", "--input", text, "--transport", "loopback", "--out", str(tmp_path / "report.json"))
    assert done.returncode == 0, done.stderr
    document = (tmp_path / "report.json").read_text()
    validate(json.loads(document), "demo")
    assert document.endswith("}\n")
    assert done.stdout.startswith("VERIFIED  ")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--input", "/nonexistent"], 4, "/nonexistent"),
        (["--faults", "crc:2"], 4, "crc:2"),
        (["--faults", "melt:0.1"], 4, "melt"),
        (["--kernel", "raytrace"], 4, "raytrace"),
        (["--transport", "smoke"], 4, "smoke"),
        (["--flit", "L128"], 4, "L128"),
    ],
)
def test_bad_arguments(arguments: list[str], code: int, says: str) -> None:
    """Bad input ends with code 4 and one line that names it."""
    done = hsl("demo", *arguments)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_input_that_is_no_file_is_refused(tmp_path: Path) -> None:
    """What has no size, such as a pipe nobody writes to, is refused at once: it is not waited for."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for source in (pipe, tmp_path, Path("/dev/zero")):
        done = hsl("demo", "--input", str(source), timeout=60)
        assert (done.returncode, "Traceback" in done.stderr) == (4, False)
        assert str(source) in done.stderr


def test_a_file_larger_than_any_memory_is_not_read(tmp_path: Path) -> None:
    """A file above every host memory is refused by its size, before a byte of it is read."""
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate(1 << 40)
    done = hsl("demo", "--input", str(huge), "--transport", "loopback")
    assert done.returncode == 4
    assert "huge: larger than the limit of" in done.stderr


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_a_frozen_node_is_no_hang(name: str) -> None:
    """A node process that is stopped in mid-run is given up: code 7 and a line that says which one."""
    command = [sys.executable, "-m", "hsl", "demo", "--seed", "1", "--tu", "18"]  # short timers
    nothing = subprocess.DEVNULL
    with subprocess.Popen(
        command, stdin=nothing, stdout=nothing, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if re.match(r"counted [1-9]", line))
        found = [pid for pid in children(process.pid) if f"hsl\0node\0{name}" in command_line(pid)]
        assert len(found) == 1
        os.kill(found[0], signal.SIGSTOP)
        try:
            said = process.communicate(timeout=TIMEOUT)[1]
        finally:
            process.kill()
            with suppress(ProcessLookupError):
                os.kill(found[0], signal.SIGKILL)
        assert process.returncode == 7, said
        assert f"the {name} process" in said
        assert "Traceback" not in said


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def test_too_much_input_is_refused_with_the_limit(tmp_path: Path) -> None:
    """What does not fit the host memory is refused, and the limit is named."""
    small = tmp_path / "small.toml"
    small.write_text(f"memory_bytes = {1 << 17}\n")
    big = tmp_path / "big"
    big.write_bytes(bytes(1 << 17))
    done = hsl("demo", "--input", str(big), "--topology", str(small))
    assert done.returncode == 4
    assert "at most" in done.stderr


# ---- planted bugs: each must make the result unverified


def not_verified(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """The report of a run in this process that must end with 1."""
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--transport", "loopback", "--json", "--seed", "3", *arguments])
    out, err = capsys.readouterr()
    assert ended.value.code == 1, err
    report: dict[str, Any] = json.loads(out)
    assert report["verified"] is False
    return report


def test_a_home_that_does_not_snoop_is_caught(
    text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted bug: the home answers its snoops itself; stale lines make the counts wrong."""
    snoop = HomeActions.do_snoop

    def silent(self: HomeActions, t: Transaction, name: str, whom: str) -> None:
        snoop(self, t, name, whom)
        for index, message in enumerate(self.outbox):
            if message.op == Op[name]:
                self.outbox[index] = Message(Op.SnpRsp, src=message.dst, dst=message.src, txn=message.txn)

    monkeypatch.setattr(HomeActions, "do_snoop", silent)
    assert not_verified(capsys, "--input", text)["checks"]["counters"] is False


def test_a_link_that_does_not_check_its_crc_is_caught(
    text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted bug: every CRC is taken for right; damage of data goes through and makes the counts wrong."""

    def blind(data: Buffer, crc: int = 0) -> int:
        return 0

    monkeypatch.setitem(FORMATS, "L64", FORMATS["L64"]._replace(crc=blind))
    for seed in ("49", "76"):  # whose damage is of data: other damage ends the link or an access
        # The reference codec is what can be blinded.
        faulty = ("--engine", "reference", "--faults", "crc@PROT:0.002", "--seed", seed)
        report = not_verified(capsys, "--input", text, *faulty)
        assert report["directions"][0]["damaged_injected"] > report["directions"][0]["crc_errors"]
        assert report["checks"]["flits_agree"] is False


def test_a_gpu_that_skips_a_line_is_caught(
    text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted bug: a wavefront reads its first line in place of its second."""
    gather = Wavefront.gather

    def skipping(self: Wavefront, address: int, size: int, width: int, **options: bool) -> Any:
        data = yield from gather(self, address, size, width, **options)
        if len(data) > LINE_BYTES:
            data = data.copy()
            data[LINE_BYTES : 2 * LINE_BYTES] = data[:LINE_BYTES][: len(data) - LINE_BYTES]
        return data

    monkeypatch.setattr(Wavefront, "gather", skipping)
    assert not_verified(capsys, "--input", text)["checks"]["counters"] is False


@pytest.mark.parametrize("transport", ["loopback", "unix", "tcp"])
def test_four_links_are_one_port(transport: str, text: str, tmp_path: Path) -> None:
    """--links 4: a connection for each link, each with a share; the capture has all its flits, both ways."""
    path = tmp_path / "bond.pcapng"
    report = demo("--links", "4", "--transport", transport, "--input", text, "--capture", str(path))
    for node in report["nodes"].values():
        assert node["alive"] == 0b1111
        assert all(link["prot_accepted"] for link in node["links"])
        assert sum(link["prot_sent"] for link in node["links"]) == node["link"]["prot_sent"]
    with path.open("rb") as stream:
        reader = Reader(stream)
        seen = Counter(str(reader.lanes[packet.interface]) for packet in reader)
    assert seen == {
        f"link{link} {way}": sum(report["nodes"][way[:3]]["links"][link]["flits_sent"].values())
        for link in range(4)
        for way in ("cpu->gpu", "gpu->cpu")
    }


@pytest.mark.parametrize(("engine", "codec"), [(None, "native"), ("reference", "reference")])
def test_the_engines_are_those_that_ran(
    engine: str | None,
    codec: str,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The codec of a report is that of every port: native by default, the reference when asked for."""
    monkeypatch.delenv("HSL_ENGINE", raising=False)
    made, init = set(), Port.__init__

    def remembering(port: Port, config: PortConfig) -> None:
        init(port, config)
        made.add(port.codec.name)

    monkeypatch.setattr(Port, "__init__", remembering)
    wish = [] if engine is None else ["--engine", engine]
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--json", "--transport", "loopback", "--input", text, *wish])
    assert ended.value.code == 0
    report = json.loads(capsys.readouterr().out)
    assert made == {codec}
    for node in report["nodes"].values():
        assert node["engines"] == {"codec": codec, "link": "reference", "agents": "reference"}


def test_link_that_is_cut_in_mid_run(text: str) -> None:
    """A link that stays cut leaves the port, and the others go on: the result is right [HSL-BND-004]."""
    cut = "link-down:x1:nth=20:from=cpu:link=1:ns=2000000"
    report = demo("--links", "4", "--transport", "loopback", "--input", text, "--seed", "3", "--faults", cut)
    for node in report["nodes"].values():
        assert node["alive"] == 0b1101
    for direction in report["directions"]:
        assert direction["unbalanced_by"] == ["link lost"]


def test_the_cause_of_a_failure_is_told_and_not_what_follows_from_it() -> None:
    """A node that cannot go on comes before one that was killed, and that before one that lost its peer."""
    full, lost, killed = NodeFailed(4), NodeFailed(7), PeerLost("killed")
    assert min([lost, full, killed], key=blame) is full
    assert min([lost, killed], key=blame) is killed
    assert min([lost, NodeFailed(1)], key=blame) is lost
