"""`hsl spec`: the files of the specification, in a checkout and in an installed package."""

from __future__ import annotations

import click

from hsl.cli.exits import ExitCode, NothingSelected
from hsl.cli.json_text import print_json
from hsl.nearest import nearest
from hsl.spec_files import FILES, path_of, spec_folder

__all__ = ["list_files", "print_path"]

LIST_SCHEMA = "hsl.spec.list/1"
PATH_SCHEMA = "hsl.spec.path/1"


def list_files(as_json: bool) -> None:
    """Run `hsl spec list`."""
    if as_json:
        files = [{"name": file.name, "path": str(file.path), "about": file.about} for file in FILES]
        print_json({"schema": LIST_SCHEMA, "folder": str(spec_folder()), "files": files})
        return
    width = max(len(file.name) for file in FILES)
    for file in FILES:
        click.echo(f"{file.name:{width}}  {file.about}")


def print_path(name: str | None, as_json: bool) -> int:
    """Run `hsl spec path`; its exit code."""
    found = spec_folder() if name is None else path_of(name)
    if found is None:
        near = nearest(name, [file.name for file in FILES])
        hint = f"did you mean {near}?" if near else "`hsl spec list` lists the names"
        raise NothingSelected(f"the specification has no file {name}; {hint}")
    if as_json:
        print_json({"schema": PATH_SCHEMA, "name": name, "path": str(found)})
    else:
        click.echo(str(found))
    return ExitCode.OK
