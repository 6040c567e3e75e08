"""The public names of the package."""

import ast
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
