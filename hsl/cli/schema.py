"""`hsl schema`: the JSON Schemas of the documents that commands print and read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any, Final

import click

from hsl.cli.exits import ExitCode, NothingSelected
from hsl.cli.json_text import print_json
from hsl.nearest import nearest

__all__ = ["print_schema", "schema_bundle", "schemas"]

URN: Final = "urn:hsl:schema:"  # begins the $id of each schema; the name and version of the document follow
LIST: Final = "hsl.schema.list/1"


def schemas() -> dict[str, dict[str, Any]]:
    """Return the schema of each document by its name, such as `hsl.demo/1`."""
    folder = files("hsl.cli") / "schemas"
    found = [json.loads(path.read_text("utf-8")) for path in folder.iterdir() if path.name.endswith(".json")]
    return {f"hsl.{schema['$id'].removeprefix(URN)}": schema for schema in sorted(found, key=name_key)}


def name_key(schema: dict[str, Any]) -> str:
    """Return the $id of a schema, which orders the list."""
    return str(schema["$id"])


def schema_bundle(name: str) -> dict[str, Any]:
    """Return a schema with the schemas that it refers to under `$defs`, so that any validator resolves it.

    Raises KeyError for a name that is not a key of `schemas()`.
    """
    known = {schema["$id"]: schema for schema in schemas().values()}
    root = schemas()[name]
    wanted, todo = set[str](), [root]
    while todo:
        for target in set(references(todo.pop())) - wanted - {root["$id"]}:
            wanted.add(target)
            todo.append(known[target])
    if not wanted:
        return root
    return root | {"$defs": root.get("$defs", {}) | {target: known[target] for target in sorted(wanted)}}


def references(node: Any) -> Iterator[str]:
    """Return the $id of each other schema that a part of a schema refers to."""
    if isinstance(node, dict):
        target = node.get("$ref")
        if isinstance(target, str) and target.startswith(URN):
            yield target.partition("#")[0]
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from references(part)


def short(name: str) -> str:
    """Return a name without `hsl.` and its version: `link.soak` for `hsl.link.soak/1`."""
    return name.removeprefix("hsl.").partition("/")[0]


def print_schema(name: str | None, as_json: bool) -> int:
    """Run `hsl schema`; its exit code."""
    if name is None:
        show_list(as_json)
        return ExitCode.OK
    found = {short(each): each for each in schemas()}
    known = found.get(short(name))
    if known is None or (name.partition("/")[1] and name.removeprefix("hsl.") != known.removeprefix("hsl.")):
        near = nearest(short(name), found)
        hint = f"did you mean {near}?" if near else "hsl schema lists all"
        raise NothingSelected(f"unknown schema {name!r}; {hint}")
    print_json(schema_bundle(known))
    return ExitCode.OK


def show_list(as_json: bool) -> None:
    """Print the name and title of each schema."""
    titles = {name: schema["title"] for name, schema in schemas().items()}
    if as_json:
        rows = [{"name": name, "title": title} for name, title in titles.items()]
        print_json({"schema": LIST, "schemas": rows})
        return
    width = max(map(len, titles))
    for name, title in titles.items():
        click.echo(f"{name:<{width}}  {title}")
