"""`hsl schema`: each document of each command is valid for a stock validator that has its schema alone."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from hsl.cli import main
from hsl.cli.exits import ExitCode
from hsl.cli.schema import schema_bundle, schemas
from hsl.telemetry import Broker, EmbeddedBroker, Publisher
from tests.codec import cases

# Validates each DOCUMENT of argv by its SCHEMA: no registry, no module of ours, no network.
STOCK = """
import json, sys
from jsonschema import Draft202012Validator
for schema, document in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
    rules = json.load(open(schema))
    Draft202012Validator.check_schema(rules)
    for error in Draft202012Validator(rules).iter_errors(json.load(open(document))):
        print(document, error.json_path, error.message)
"""
TRACE = '{"schema": "hsl.operations/1"}\n{"agent": 0, "kind": "store", "addr": 0, "value": 1}\n'
LACKEY = " L 1000,8\n S 1008,8\n"
# Command -> its arguments, with the fixtures of `arguments` in braces.
DOCUMENTS = {
    "check": "check {trace} --json",
    "codec decode": "codec decode --input {flits} --json",
    "codec encode": "codec encode --input {document} --json",
    "demo": "demo --transport loopback --input {text} --json",
    "demo of arrays": "demo --kernel saxpy --size 1024 --json",
    "info": "info --json",
    "inject list": "inject list --json",
    "link predict": "link predict --links 1 --messages 1000 --json",
    "link soak": "link soak --flits 200 --seed 1 --json",
    "litmus list": "litmus list --json",
    "litmus run": "litmus run SB@cpu-gpu --runs 4 --json",
    "perf program": "perf program {lackey} --json",
    "replay": "replay {recording} --json",
    "schema": "schema --json",
    "spec list": "spec list --json",
    "spec path": "spec path vectors --json",
    "stress": "stress --ops 40 --seed 1 --json",
    "telemetry broker": "telemetry broker --port 0 --time-limit 0 --json",
    "telemetry watch": "telemetry watch {broker} --count 1 --json",
}
# Commands whose documents need more than a call -> the test that validates them.
ELSEWHERE = {
    "node cpu": "tests/cli/test_demo.py",
    "node gpu": "tests/cli/test_demo.py",
    "node memory": "tests/cli/test_demo.py",
    "coverage link": "tests/cli/test_coverage.py",
    "coverage coherence": "tests/cli/test_coverage.py",
    "model link": "tests/model/test_link.py",
    "model coherence": "tests/model/test_coherence.py",
}
NEEDS_MORE = {"hsl.model/1", "hsl.coverage.link/1", "hsl.coverage.coherence/1"}  # made there
INSIDE = {"hsl.node/1"}  # the documents of `node` are parts of the demo's


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Files and a broker that the commands of DOCUMENTS need."""
    folder = tmp_path_factory.mktemp("documents")
    files = {name: folder / name for name in ("trace", "flits", "document", "text", "lackey", "recording")}
    files["trace"].write_text(TRACE)
    files["flits"].write_bytes(cases.V1 + cases.V2)
    files["document"].write_text(call("codec", "decode", "--hex", cases.V2.hex(), "--json").stdout)
    files["text"].write_text("words of a text\n")
    files["lackey"].write_text(LACKEY)
    assert call("stress", "--ops", "20", "--save", str(files["recording"])).exit_code == ExitCode.OK
    with EmbeddedBroker() as broker:
        publisher = Publisher(Broker.parse(str(broker.address)), f"{1:016x}", "cpu", lambda line: None)
        publisher.put("state", {"state": "ended", "verified": True})
        publisher.close()
        yield {name: str(path) for name, path in files.items()} | {"broker": str(broker.address)}


def test_each_document_of_each_command(arguments: dict[str, str], tmp_path: Path) -> None:
    """A stock validator accepts each document by what `hsl schema` prints for the name in the document."""
    files: list[str] = []
    names: set[str] = set()
    for command, line in DOCUMENTS.items():
        result = call(*(word.format(**arguments) for word in line.split()))
        assert result.exit_code == ExitCode.OK, (command, result.stderr)
        name = json.loads(result.stdout)["schema"]
        schema, document = tmp_path / f"{len(files)}.schema", tmp_path / command
        schema.write_text(call("schema", name).stdout)
        document.write_text(result.stdout)
        files += [str(schema), str(document)]
        names.add(name)
    stock = [sys.executable, "-I", "-c", STOCK, *files]
    done = subprocess.run(stock, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert names | NEEDS_MORE | INSIDE == set(schemas())


def test_every_command_with_a_document_is_tried() -> None:
    """Each command that has --json is in DOCUMENTS, or its documents are validated elsewhere."""

    def leaves(command: click.Command, path: tuple[str, ...]) -> Iterator[str]:
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                child = command.get_command(context, name)
                assert child is not None
                yield from leaves(child, (*path, name))
        elif any("--json" in parameter.opts for parameter in command.params):
            yield " ".join(path)

    tried = {*DOCUMENTS, *ELSEWHERE} - {"demo of arrays"}
    assert set(leaves(main, ())) == tried
    for path in set(ELSEWHERE.values()):
        assert "valid" in Path(path).read_text()


@pytest.mark.parametrize("name", sorted(schemas()))
def test_schemas(name: str) -> None:
    """Each schema is one of draft 2020-12, has title and URN, and describes the document of its name."""
    schema = schemas()[name]
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:hsl:schema:{name.removeprefix('hsl.')}"
    assert schema["title"]
    assert schema["properties"]["schema"] == {"const": name}


@pytest.mark.parametrize("name", sorted(schemas()))
def test_fields_are_described(name: str) -> None:
    """Each field of a schema has a description, a constant value, or refers to a schema of its own."""

    def bare(schema: object, path: str) -> Iterator[str]:
        if isinstance(schema, list):
            for part in schema:
                yield from bare(part, path)
        if not isinstance(schema, dict):
            return
        for key, value in schema.get("properties", {}).items():
            if isinstance(value, dict) and not value.keys() & {"description", "const", "$ref"}:
                yield f"{path}.{key}"
            yield from bare(value, f"{path}.{key}")
        yield from bare([value for key, value in schema.items() if key != "properties"], path)

    assert list(bare(schemas()[name], name)) == []


def test_bundle_refuses_a_bad_node() -> None:
    """The schema of the demo holds that of its nodes: a node without a field is refused."""
    bundle = schema_bundle("hsl.demo/1")
    assert "urn:hsl:schema:node/1" in bundle["$defs"]
    nodes = Draft202012Validator({"$defs": bundle["$defs"]} | bundle["properties"]["nodes"])
    (error, *_) = nodes.iter_errors({"cpu": {}, "gpu": {}})
    assert "required property" in error.message


def test_list() -> None:
    """Without NAME each schema is a line with its name and title."""
    lines = call("schema").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(schemas())
    assert "hsl.link.soak/1           Report of `hsl link soak`" in lines


@pytest.mark.parametrize("name", ["link.soak", "hsl.link.soak", "link.soak/1", "hsl.link.soak/1"])
def test_names(name: str) -> None:
    """A schema is found by the name in its document, with or without `hsl.` and the version."""
    assert json.loads(call("schema", name).stdout)["properties"]["schema"]["const"] == "hsl.link.soak/1"


@pytest.mark.parametrize(
    ("name", "text"),
    [("dmeo", "did you mean demo?"), ("demo/2", "did you mean demo?"), ("xyzzy", "lists all")],
)
def test_unknown(name: str, text: str) -> None:
    """An unknown name selects nothing; the nearest is named."""
    result = call("schema", name)
    assert (result.exit_code, result.stdout) == (ExitCode.NOTHING, "")
    assert text in result.stderr
