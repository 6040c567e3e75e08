"""What tests of hsl.verify share."""

import importlib.resources
import json

HSLR = json.loads((importlib.resources.files("hsl.verify") / "hslr.json").read_text())
