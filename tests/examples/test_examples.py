"""Every example is run, as a user would run it, and prints what it promises."""

import subprocess
import sys
from pathlib import Path

import pytest

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
    assert (done.returncode, done.stdout) == (0, "8224 vectors, 0 answered wrong\n")


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
