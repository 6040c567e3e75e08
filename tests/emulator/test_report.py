"""Reports of what a peer has sent, whatever that was."""

from collections import Counter

from hsl._generated.constants import Op
from hsl.emulator.report import by_name


def test_an_opcode_of_no_table_is_reported_by_its_number() -> None:
    """A request of a later version is answered UNSUP [HSL-LNK-034]; the report shows its number."""
    counts = Counter({int(Op.ReadShared): 2, 0x4A: 1, int(Op.Cmp): 0})
    assert by_name(counts) == {"ReadShared": 2, "0x4a": 1}, (
        "HSL-LNK-034: an unknown request must not end a node"
    )
