"""No test waits for the clock: what it waits for is an event, with a time-out that only a failure reaches."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
LONGEST = 2.0  # seconds


def test_no_test_sleeps_long() -> None:
    """No call of `sleep` in tests and examples is for more than LONGEST; each says how long."""
    seen = 0
    for path in sorted([*ROOT.glob("tests/**/*.py"), *ROOT.glob("examples/**/*.py")]):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "sleep":
                where = f"{path.relative_to(ROOT)}:{node.lineno}"
                seconds = ast.literal_eval(node.args[0])  # ValueError for what is no number
                assert float(seconds) <= LONGEST, f"{where}: sleeps {seconds} s"
                seen += 1
    assert seen
