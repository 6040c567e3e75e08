"""`hsl info`: what is installed, and what it is not."""

import json

import jsonschema
from click.testing import CliRunner

from hsl import __version__
from hsl._generated.constants import PROFILE_SENTENCE
from hsl.cli import main
from hsl.cli.schema import schema_bundle
from hsl.codec.crc import ENGINES

SCHEMA = {
    "type": "object",
    "required": ["version", "profile", "sentence", "python", "platform", "engines", "native"],
    "properties": {
        "version": {"const": __version__},
        "sentence": {"const": PROFILE_SENTENCE},
        "engines": {
            "type": "object",
            "required": ["codec", "link", "agents", "crc"],
            "additionalProperties": {"enum": list(ENGINES)},
        },
        "native": {
            "type": "object",
            "required": ["version", "cpu_features"],
            "properties": {
                "version": {"const": __version__},
                "cpu_features": {"type": "array", "items": {"type": "string"}},
            },
        },
    },
}


def test_json() -> None:
    """`hsl info --json` prints one document with the versions, the engines and the CPU features."""
    document = json.loads(CliRunner().invoke(main, ["info", "--json"]).stdout)
    jsonschema.validate(document, SCHEMA)
    jsonschema.validate(document, schema_bundle("hsl.info/1"))


def test_text() -> None:
    """`hsl info` tells a person the same."""
    text = " ".join(CliRunner().invoke(main, ["info"]).stdout.split())
    assert PROFILE_SENTENCE in text
    assert "hsl.info" not in text
    assert f"version {__version__}" in text
