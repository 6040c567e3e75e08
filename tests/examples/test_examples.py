"""Every example is run, as a user would run it, and prints what it promises."""

import subprocess
import sys
from pathlib import Path

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
