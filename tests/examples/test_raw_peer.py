"""The raw peer shares no code with the project, and its codec agrees with every vector of spec/vectors."""

import ast
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from examples import raw_attacks, raw_flits, raw_link, raw_peer
from examples.raw_agents import Line
from examples.raw_flits import B256, CTL, EXCLUSIVE, L64, NOP, PROT, Flit, Message
from tests.attacks.judge import END_SECONDS, INPUT
from tests.attacks.nodes import Node
from tests.examples.test_examples import ROOT
from tests.support.vectors import Vector, load

VECTORS = load()
FORMS = {"L64": L64, "B256": B256}
FILES = (
    *("raw_flits.py", "raw_link.py", "raw_agents.py", "raw_peer.py", "raw_device.py"),
    *("raw_attacks.py", "raw_messages.py", "raw_boots.py"),
)
NOWHERE = (1 << 52) - 64  # an address that nobody serves
AT, SCRATCH, FREE = 0x10000, 0x2000, 0x100000  # of `hsl node cpu`: its input, lines its cores write, no use
DECODED = [chapter for chapter in VECTORS if chapter != "errors"]


def imports(name: str) -> set[str]:
    """The top packages that a file of examples/ imports, wherever in it."""
    tree = ast.parse((ROOT / "examples" / name).read_text())
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import hides where it leads"
            assert node.module != "examples", "import what is needed from a file"
            found.add((node.module or "").removeprefix("examples.").split(".")[0])
    return found


@pytest.mark.parametrize("name", FILES)
def test_standard_library_only(name: str) -> None:
    """The raw peer imports the standard library and its own files, and nothing else."""
    foreign = imports(name) - sys.stdlib_module_names - {file.removesuffix(".py") for file in FILES}
    assert not foreign, f"{name} must share no code with the project: it imports {foreign}"


def message(shown: dict[str, Any]) -> Message:
    """A message of a vector."""
    fields = {name: value for name, value in shown.items() if name not in ("op", "opcode")}
    fields["data"] = bytes.fromhex(fields.get("data", ""))
    return Message(shown["opcode"], **fields)


def ctl(shown: dict[str, Any]) -> bytes:
    """The payload of a CTL of a vector."""
    body = {
        name: bytes.fromhex(value) if isinstance(value, str) else value
        for name, value in shown["body"].items()
    }
    if shown["op"] == raw_flits.CAPS and "caps" in shown:
        body["record"] = raw_flits.pack_record(shown["caps"])
    if shown["op"] == raw_flits.INITFC:
        body.setdefault("credits", [0] * 7)
    if "raw" in body:
        body = {"body": body["raw"]}
    for name in ("magic", "record"):
        if name in raw_flits.BODIES.get(shown["op"], ("", ""))[1]:
            body.setdefault(name, b"")
    if "exp" in body and isinstance(body["exp"], list):
        body["exp"] = b"".join(n.to_bytes(2, "little") for n in body["exp"])
    elif shown["op"] == 0x50:
        body.setdefault("exp", b"")
    return raw_flits.pack_ctl(
        shown["op"], shown.get("epoch", 0), shown.get("peer", 0), shown.get("seen", 0), **body
    )


def encoded(vector: Vector) -> list[bytes]:
    """The flits that the raw peer makes of the fields of a vector."""
    fields, form = vector["fields"], FORMS[vector["format"]]
    queue, rest = deque(message(shown) for shown in fields.get("messages", [])), b""
    flits = []
    for shown in fields["flits"]:
        head = {name: value for name, value in shown.items() if name not in ("payload", "ctl")}
        payload, som = b"", 0
        if shown["ft"] == PROT:
            payload, som, rest = raw_flits.fill(rest, lambda: queue.popleft() if queue else None, form)
        elif shown["ft"] == CTL:
            payload = ctl(shown["ctl"])
        elif shown["ft"] != NOP:
            payload = bytes.fromhex(shown["payload"])
        flits.append(Flit(**{"som": som, "ack": 0} | head, payload=payload).pack(form))
    return flits


def decoded(vector: Vector) -> tuple[list[Flit], list[Message], bytes]:
    """What the raw peer makes of the bytes of a vector."""
    flits, messages, rest = [], [], b""
    for data in vector["bytes"]:
        flit = Flit.unpack(bytes.fromhex(data))
        assert flit is not None, f"{vector['id']}: a good flit was refused"
        flits.append(flit)
        if flit.ft == PROT:
            found, rest = Message.unpack(rest + flit.payload)
            messages += found
    return flits, messages, rest


def same_ctl(payload: bytes, shown: dict[str, Any]) -> bool:
    """True if the fields of a CTL are those that a vector shows."""
    op, seen, epoch, peer, body = raw_flits.unpack_ctl(payload)
    head = {"op": op, "seen": bool(seen), "epoch": epoch, "peer": peer}
    again = raw_flits.pack_ctl(op, epoch, peer, seen, **({"body": body["raw"]} if "raw" in body else body))
    expected = {"op": shown["op"], "seen": False, "epoch": 0, "peer": 0} | {
        name: shown[name] for name in ("seen", "epoch", "peer") if name in shown
    }
    return head == expected and again == ctl(shown)


@pytest.mark.parametrize("chapter", DECODED)
def test_encodes_as_the_vectors(chapter: str) -> None:
    """The fields of each vector become its bytes, CRC and SOM included, as those of our codec do."""
    for vector in VECTORS[chapter]:
        if not {"InteriorPad", "Unfinished"} & set(vector["flags"]):
            wanted = vector.get("reencoded", vector["bytes"])
            assert [flit.hex() for flit in encoded(vector)] == wanted, vector["id"]


@pytest.mark.parametrize("chapter", DECODED)
def test_decodes_as_the_vectors(chapter: str) -> None:
    """The bytes of each vector become its fields; bits that a receiver ignores are kept as they came."""
    for vector in VECTORS[chapter]:
        flits, messages, rest = decoded(vector)
        assert bool(rest) == vector["fields"].get("unfinished", False), vector["id"]
        if vector["result"] != "valid":
            continue
        for flit, shown in zip(flits, vector["fields"]["flits"], strict=True):
            head = {"ack": 0} | {k: v for k, v in shown.items() if k not in ("payload", "ctl")}
            assert flit._replace(payload=b"") == Flit(**head), vector["id"]
            assert flit.ft != CTL or same_ctl(flit.payload, shown["ctl"]), vector["id"]
        shown = vector["fields"].get("messages", [])
        assert messages == [message(each) for each in shown], vector["id"]


def test_refuses_what_is_damaged() -> None:
    """Each flit of a wrong size or a wrong CRC is refused, and no other flit of the vectors is."""
    damaged = taken = 0
    for vector in VECTORS["errors"]:
        data = bytes.fromhex(vector["bytes"][-1])
        flit = Flit.unpack(data)
        if vector["error"]["code"] != "CRC":
            assert flit is not None, vector["id"]
            taken += 1
        elif len(data) == FORMS[vector["format"]].size:
            assert flit is None, vector["id"]
            damaged += 1
    assert damaged
    assert taken


LISTED = {"strangers", "open-reads", "fuzz-messages", "gpu-doorbells", "flood-CfgWrite"}


def raw(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "examples" / "raw_peer.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_help_and_list() -> None:
    """--help names the options, --list the attacks of both files with their carriers."""
    shown = raw("--help")
    assert shown.returncode == 0
    assert {"--attack", "--seconds", "--seed", "--count", "--list"} <= set(
        shown.stdout.replace(",", " ").split()
    )
    listed = raw("--list")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert {line.split()[0] for line in listed.stdout.splitlines()} >= LISTED


def test_list_on_a_terminal() -> None:
    """No line of --list is wider than the terminal; in a pipe each attack has one line."""
    narrow = "\n".join(raw_attacks.listing(80)).splitlines()
    assert max(map(len, narrow)) <= 80
    piped = list(raw_attacks.listing(None))
    assert max(map(len, piped)) > 80
    assert " ".join(narrow).split() == " ".join(piped).split()


def test_another_host_must_be_meant() -> None:
    """A host that is not this one is not attacked without --anywhere."""
    refused = raw("tcp://192.0.2.1:7410", "--attack", "strangers")
    assert refused.returncode == 2
    assert "--anywhere" in refused.stderr


@pytest.mark.parametrize(
    "uri", ["nonsense", "tcp://127.0.0.1", "tcp://127.0.0.1:99999", "tcp://127.0.0.1:x", "ftp://127.0.0.1:1"]
)
def test_a_bad_uri_is_a_line(uri: str) -> None:
    """A URI that names no carrier or port is refused in a line that says what is, with status 2."""
    for options in ((), ("--anywhere",), ("--anywhere", "--attack", "silence")):
        refused = raw(uri, *options)
        assert (refused.returncode, "Traceback" in refused.stderr) == (2, False), refused.stderr
        assert "expected tcp://HOST:PORT" in refused.stderr


def test_an_attack_on_nobody_fails(tmp_path: Path) -> None:
    """An attack that reached nobody ends with status 1, and no line counts as wrong that was not read."""
    uri = f"unix://{tmp_path}/nobody"
    assert raw(uri, "--attack", "silence").returncode == 1
    behaved = raw(uri)
    assert (behaved.returncode, behaved.stdout.splitlines()[-1]) == (1, "nobody accepts connections")


class Quiet:
    """A carrier with nobody behind it."""

    def __init__(self, uri: str) -> None:
        self.uri = uri


@pytest.mark.parametrize(("snoop", "kept"), [("SnpShared", 0), ("SnpInv", 0), ("SnpCur", 3)])
def test_a_snoop_beside_its_write_back(monkeypatch: pytest.MonkeyPatch, snoop: str, kept: int) -> None:
    """In MI_A it answers a snoop with its data, and keeps nothing after SnpShared and SnpInv (5.5)."""
    monkeypatch.setattr(raw_link, "Wire", Quiet)
    cache = raw_peer.Peer("unix:///nobody").caches[0]
    cache.lines[FREE] = Line(raw_flits.MODIFIED, bytes(64), 1)
    cache.leaving.add(FREE)
    answer = cache.snoop(Message(raw_flits.OPS[snoop], len=3, addr=FREE))
    assert (answer.name, answer.st, answer.poison) == ("SnpRspData", kept, 1)
    assert (FREE in cache.lines) == bool(kept)


@pytest.fixture
def victim(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A CPU that listens as the parameter says."""
    scheme, *options = request.param
    (tmp_path / "input").write_bytes(INPUT)
    uri = f"unix://{tmp_path}/link" if scheme == "unix" else f"{scheme}://127.0.0.1:0"
    # With a TU of 4 ms a second of silence is no RECOVERY, which the raw peer cannot do.
    slow = ("--tu", "22")
    node = Node(tmp_path / "cpu.err", "cpu", "--listen", uri, "--input", "input", "--once", *slow, *options)
    try:
        yield node.uris()[0]
        assert node.ended(END_SECONDS) == 7, "the peer has left before the work was done"
    finally:
        node.kill()


WAYS = [("tcp",), ("unix",), ("udp",), ("tcp", "--flit", "B256")]


@pytest.mark.parametrize("victim", WAYS, ids=[way[-1] for way in WAYS], indirect=True)
def test_reads_and_writes_a_cpu(victim: str) -> None:
    """By default it is a device like another: it shares memory with `hsl node cpu`, coherent and not."""
    peer = raw_peer.Peer(victim, flit_sizes=3).up()
    try:
        rung = lambda message: message.name == "NcWrite" and message.addr % 4096 == 0  # noqa: E731
        assert peer.run(lambda: any(map(rung, peer.inbox)), 20.0), "no doorbell"
        lines = range(0, len(INPUT), raw_flits.LINE)
        found = b"".join(peer.read(AT + n) for n in lines)
        assert found[: len(INPUT)] == INPUT, "reads without a copy see what the CPU has written"
        assert peer.write(FREE, bytes(range(64))) == 0
        assert peer.write(FREE + 8, b"abcdefgh") == 0
        assert peer.load(FREE) == bytes(range(8)) + b"abcdefgh" + bytes(range(16, 64))
        peer.store(FREE, bytes(64))
        assert peer.evict(FREE) == 0
        assert peer.request("AtomicLoad", FREE, x=1, data=b"\7" + bytes(7)).data == bytes(8)
        assert peer.read(FREE) == b"\7" + bytes(63), "what was written back is what others see"
        assert peer.load(FREE)
        assert peer.write(FREE + 8, b"ijklmnop") == 0, "a line that it holds is written there (5.5)"
        assert peer.read(FREE)[8:16] == b"ijklmnop"
        assert peer.store(NOWHERE, bytes(64)) == 1, "nobody serves the address"
        held = peer.caches[0].lines
        assert NOWHERE not in held, "a line that was not granted is not held"
        shared = [peer.load(SCRATCH + raw_flits.LINE * n, EXCLUSIVE) for n in range(8)]
        assert peer.run(lambda: "SnpInv" in [m.name for m in peer.inbox] or len(held) < 8, 20.0)
        assert all(len(line) == raw_flits.LINE for line in shared), "snoops are answered while it works"
    finally:
        peer.close(disable=True)
