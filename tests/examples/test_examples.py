"""Every example is run, as a user would run it, and prints what it promises."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.attach.cpus import cpu_process

ROOT = Path(__file__).parents[2]
DECODED = """\
PROT: SEQ 5, ACK 3
returns 2 credits of RSP
ReadShared: from 1 to 2, TXN 0x123, ADDR 0x123456789a40
1000 flits, 1000 messages, all of them good: True
addresses: [20015998343744]
"""


def run(name: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "examples" / name), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60)


def test_decode_a_flit(tmp_path: Path) -> None:
    """decode_a_flit.py shows the fields of the golden flit V2, alone and a thousand times."""
    done = run("decode_a_flit.py", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, DECODED, "")


def test_decode_a_damaged_flit(tmp_path: Path) -> None:
    """decode_a_flit.py says what is wrong with a flit, and fails."""
    done = run("decode_a_flit.py", "00" * 64, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert "HSL-FLT-003, at byte 60" in done.stdout


def test_vectors_by_a_receiver(tmp_path: Path) -> None:
    """run_vectors.py finds no wrong answer of receiver.py, the codec of this project."""
    receiver = f"{sys.executable} {ROOT / 'examples/receiver.py'}"
    done = run("run_vectors.py", receiver, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "8302 vectors, 0 answered wrong\n")


PLANTED = {
    "a field of a message": ("messages.json", "message._asdict()", "message._replace(txn=0)._asdict()"),
    "a field of a header": ("flits.json", '{"format": None}', '{"format": None, "seq": 0}'),
    "the place of an error": ("errors.json", "error.offset}", "0}"),
    "a mask of 0": (
        "messages.json",
        "message._asdict()",
        "message._replace(be=message.be or None)._asdict()",
    ),
    "messages before an error": ("errors.json", '{"delivered": delivered} if delivered', "{} if delivered"),
}


@pytest.mark.parametrize(("vectors", "right", "wrong"), PLANTED.values(), ids=PLANTED)
def test_vectors_by_a_wrong_receiver(tmp_path: Path, vectors: str, right: str, wrong: str) -> None:
    """run_vectors.py finds a receiver with one fault, shows the vector, and fails."""
    text = (ROOT / "examples/receiver.py").read_text()
    assert right in text
    (tmp_path / "receiver.py").write_text(text.replace(right, wrong))
    receiver = f"{sys.executable} {tmp_path / 'receiver.py'}"
    done = run("run_vectors.py", receiver, str(ROOT / "spec/vectors" / vectors), cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "expected" in done.stdout


BROKEN = {
    "no such program": ("./nowhere", r"cannot start: .*\./nowhere.*"),
    "an end in the middle": ("sh -c 'read line; echo {}; exit 3'", r"\d+ vectors, 1 answers; exit code 3"),
    "an end at once": ("false", r"\d+ vectors, 0 answers; exit code 1"),
    "a quote without its end": ("sh -c 'x", r"cannot start: No closing quotation"),
    "answers that are not JSON": ("sed s/.*/segfault/", r"\d+ vectors, \d+ answered wrong"),
    "answers that are not text": (r"sed s/.*/\\xff/", r"\d+ vectors, \d+ answered wrong"),
    "answers that are not objects": ("sed s/.*/1/", r"\d+ vectors, \d+ answered wrong"),
}


@pytest.mark.parametrize(("receiver", "said"), BROKEN.values(), ids=BROKEN)
def test_vectors_by_a_broken_receiver(tmp_path: Path, receiver: str, said: str) -> None:
    """run_vectors.py says in a line what is wrong with a receiver that does not answer, and fails."""
    done = run("run_vectors.py", receiver, str(ROOT / "spec/vectors/flits.json"), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert re.fullmatch(said, done.stdout.splitlines()[-1])


TWO_NODES = r"""the CPU reads b'hello'
cpu finds 0
gpu finds 1
gpu finds 2
12800 bytes from the GPU to the CPU in \d+ ns of virtual time, good=True
\d+ flits, of them hit: \{'crc': \d+, 'drop': \d+\}, replayed: \d+
"""


def test_two_nodes(tmp_path: Path) -> None:
    """two_nodes.py moves data over a faulty link, and captures the same bytes each time."""
    captures = []
    for name in ("a.pcapng", "b.pcapng"):
        done = run("two_nodes.py", name, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert re.fullmatch(TWO_NODES, done.stdout), done.stdout
        captures.append((tmp_path / name).read_bytes())
    assert captures[0] == captures[1]


NODE_PAIR = r"""link up at \d+ ns
Ticket\(store 0x40 size 5, node 16, OK at \d+, data 68656c6c6f\)
b'hello'
"""


def test_node_pair(tmp_path: Path) -> None:
    """node_pair.py joins two nodes that it builds part by part."""
    done = run("node_pair.py", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(NODE_PAIR, done.stdout), done.stdout


ATTACH = r"""<hsl.AttachedDevice tcp://127\.0\.0\.1:\d+, NID 16, ready>
loaded b'hello'
the counter was 0
memory of the device: 0x1000000000\.\.0x1000ffffff \(16 MiB\) begins with b'mine'
the job was done; the sum is 10
500 loads over the link: \d+/s; in the cache: \d+/s; \d+\.\d to 1
"""


def test_attach(tmp_path: Path) -> None:
    """attach.py is a device of a CPU in another process."""
    with cpu_process() as cpu:
        done = run("attach.py", cpu.uri, "500", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(ATTACH, done.stdout), done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--help"], 0, "Start the CPU first"),
        ([], 2, "Missing argument 'URI'"),
        (["tcp://127.0.0.1:1", "0"], 2, "0 is not in the range x>=1"),
        (["x"], 1, "attach: 'x' is not the address of a link"),
    ],
    ids=["help", "nothing", "no-loads", "no-address"],
)
def test_attach_says_what_it_wants(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    """attach.py answers wrong arguments with a sentence, and `--help` with its text."""
    done = run("attach.py", *arguments, cwd=tmp_path)
    assert done.returncode == code
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_examples_need_no_inner_package(path: Path) -> None:
    """Each name that an example imports from hsl is a public name of `hsl` itself."""
    imported: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            imported.append(node.module or "")
        elif isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
    assert not [name for name in imported if name.startswith("hsl.")]
