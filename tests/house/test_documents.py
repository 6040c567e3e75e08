"""tests/support/documents.py: the blocks of a page, and what a shown output matches."""

import pytest

from tests.support.documents import Block, blocks, expected

PAGE = """\
Text with `code`.

<!-- file: a.txt -->
```
content
```

<!-- together -->
<!-- exit: 7 0 -->
```sh
# a comment
hsl node cpu \\
    --listen x
hsl node gpu
make demo  # not run
```

```console
$ hsl one
shown
$ hsl two
```
"""


def test_blocks() -> None:
    """The marks, commands, outputs and exit codes of a page are found; installs and comments are left out."""
    content, pair, console = blocks(PAGE)
    assert content == Block("", "content\n", {"file": "a.txt"})
    assert content.commands == []
    assert [" ".join(command.split()) for command in pair.commands] == [
        "hsl node cpu --listen x",
        "hsl node gpu",
    ]
    assert ("together" in pair.marks, pair.codes) == (True, [7, 0])
    assert (console.commands, console.codes) == (["hsl one", "hsl two"], [0, 0])


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a\nb\n", "a\nb\n", True),
        ("a\nb\n", "a\nc\n", False),
        ("a\n", "a\nb\n", False),
        ("a\nb\n", "a\n", False),
        ("a\n...\nd\n", "a\nb\nc\nd\n", True),
        ("a\n...\nd\n", "a\nd\n", True),
        ("a\n...\nd\n", "a\nb\n", False),
        ("took ... s\n", "took 1.5 s\n", True),
        ("took ... s\n", "took 1.5 s\nmore\n", False),
        ("a (b)*\n", "a (b)*\n", True),
    ],
)
def test_expected(shown: str, printed: str, same: bool) -> None:
    """`...` stands for any text in its line, or alone for any lines; all else must be printed as shown."""
    assert bool(expected(shown).fullmatch(printed)) is same
