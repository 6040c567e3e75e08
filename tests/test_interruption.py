"""Signals of a process that has called `install`: where they raise, wait, and end it."""

import subprocess
import sys

import pytest

from hsl.cli.exits import ExitCode
from hsl.interruption import STATUS

# Around each script: `install` as the command does it, and `me` sends this process a signal.
FRAME = """
import os, signal, sys, time
from contextlib import suppress
from hsl import interruption
from hsl.interruption import Held, Interruption
def me(number=signal.SIGTERM): os.kill(os.getpid(), number)
def say(word): print(word, flush=True)
def run():
{body}
try:
    interruption.install()
    with suppress(Interruption):
        run()
finally:
    interruption.finish()
"""
LINE = "hsl: interrupted by SIGTERM\n"
# What a command does, what it says, its exit status; stderr has LINE for 2, else nothing.
CASES = {
    "a command without anything to undo ends in the handler": (
        "try: me()\nfinally: say('unwound')", "", 2
    ),
    "a working command is unwound": (
        "interruption.command_begins()\ntry: me()\nfinally: say('unwound')", "unwound", 2
    ),
    "a held block ends first": (
        "interruption.command_begins()\nwith Held(): me(), say('whole')\nsay('never')", "whole", 2
    ),
    "held blocks are nested": (
        "interruption.command_begins()\nwith Held():\n with Held(): me()\n say('whole')\nsay('never')",
        "whole", 2
    ),
    "cleanup after the exception is cut by no held block": (
        "interruption.command_begins()\ntry: me()\nfinally:\n with Held(): say('one')\n say('two')",
        "one two", 2
    ),
    "an exception that a finalizer swallows is raised again": (
        "interruption.command_begins()\nclass Late:\n def __del__(self): me(); sum(range(10))\n"
        "try:\n Late()\n time.sleep(60)\nfinally: say('unwound')", "unwound", 2
    ),
    "a coroutine is cancelled and can clean up": (
        "import asyncio\nfrom hsl.cli.processes import run_loop\ninterruption.command_begins()\n"
        "async def work():\n try:\n  me()\n  await asyncio.sleep(60)\n"
        " finally:\n  await asyncio.sleep(0)\n  say('clean')\nrun_loop(work())", "clean", 2
    ),
    "a loop that swallows the cancellation is interrupted all the same": (
        "import asyncio\nfrom hsl.cli.processes import run_loop\ninterruption.command_begins()\n"
        "async def work():\n me()\n with suppress(asyncio.CancelledError): await asyncio.sleep(60)\n"
        "run_loop(work())\nsay('never')", "", 2
    ),
    "an unwinding that hangs ends after the grace": (
        "interruption.GRACE_SECONDS = 0.01\ninterruption.command_begins()\n"
        "interruption.at_exit.folders[1] = lambda: say('removed')\ntry: me()\nfinally: time.sleep(60)",
        "removed", 2
    ),
    "an unwinding that hangs ends when the user asks again": (
        "interruption.AGAIN_SECONDS = 0\ninterruption.command_begins()\n"
        "interruption.at_exit.folders[1] = lambda: say('removed')\n"
        "try: me()\nfinally: me(signal.SIGINT); time.sleep(60)", "removed", 2
    ),
    "a signal that is sent twice at once lets the unwinding go on": (
        "interruption.AGAIN_SECONDS = 60\ninterruption.command_begins()\n"
        "try: me()\nfinally: me(); say('unwound')", "unwound", 2
    ),
    "a command that has its verdict keeps it": (
        "interruption.command_begins()\ninterruption.command_ended()\nme()\nsay('verdict')\nsys.exit(1)",
        "verdict", 1
    ),
    "what must be done at the end is done in order, after failures too": (
        "def fail(): say('fail'); raise OSError\nrows = interruption.at_exit\n"
        "rows.folders[1] = lambda: say('folder')\nrows.children[1] = lambda: say('child')\n"
        "rows.children[2] = fail", "fail child folder", 0
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_signal(case: str) -> None:
    """A signal unwinds the command where it can, ends it where it cannot, and is one line on stderr."""
    body, said, status = CASES[case]
    script = FRAME.format(body="".join(f"    {line}\n" for line in body.splitlines()))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.stdout.split(), done.returncode) == (said.split(), status), f"{case}: {done.stderr}"
    assert done.stderr == (LINE if status == STATUS else ""), case


def test_the_exit_status_is_that_of_the_table() -> None:
    """The number that is needed before the table of exit codes can be imported is the one in the table."""
    assert ExitCode(STATUS) is ExitCode.INTERRUPTED
