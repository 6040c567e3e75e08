"""The public names of the package."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hsl


def test_every_public_name_is_there() -> None:
    """What `__all__` promises can be imported, and the stub for type checkers promises the same."""
    stub = ast.parse((Path(hsl.__file__).parent / "__init__.pyi").read_text())
    typed = {alias.name for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert typed | {"__version__"} == set(hsl.__all__)
    for name in hsl.__all__:
        assert getattr(hsl, name) is not None


def test_another_name_is_not() -> None:
    """A name that is not public is an AttributeError, as in any module."""
    with pytest.raises(AttributeError, match="Nonsense"):
        hsl.Nonsense  # type: ignore[attr-defined]  # noqa: B018


def test_the_help_lists_every_name() -> None:
    """help(hsl) begins with one line for each public name, of at most 92 columns, and none for another."""
    assert hsl.__doc__ is not None
    lines = re.findall(r"^    (\w+) {2,}(\S.*)$", hsl.__doc__, re.MULTILINE)
    assert {name for name, _ in lines} | {"__version__"} == set(hsl.__all__)
    assert len(lines) == len(dict(lines))
    assert max(map(len, hsl.__doc__.splitlines())) <= 92


def test_dir_lists_every_name() -> None:
    """dir(hsl) lists the public names and no helper of the module."""
    public = {name for name in dir(hsl) if not re.fullmatch(r"__\w+__", name)}
    assert public == set(hsl.__all__) - {"__version__"}


@pytest.mark.parametrize("name", sorted(set(hsl.__all__) - {"__version__"}))
def test_every_name_has_a_docstring(name: str) -> None:
    """Each public name has a docstring of its own, not the signature that a dataclass makes up."""
    text = inspect.getdoc(getattr(hsl, name))
    assert text
    assert not text.startswith(f"{name}(")


def test_import_is_cheap() -> None:
    """`import hsl` and the names of nodes and flits import no numpy."""
    code = "import sys, hsl; hsl.Node, hsl.decode_flit, hsl.HslError; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
