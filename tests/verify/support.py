"""What tests of the verifiers share."""

import json
from importlib.resources import files

import jsonschema

# Knows each line of a .hslr file; made once, for a schema that is itself checked.
_SCHEMA = json.loads((files("hsl.verify") / "hslr.json").read_text())
jsonschema.Draft202012Validator.check_schema(_SCHEMA)
HSLR = jsonschema.Draft202012Validator(_SCHEMA)
