"""Settings of sphinx: `make docs` builds the site offline, with the root of the tree as its source folder."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

project = "hsl"
author = "The hsl maintainers"
project_copyright = author
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "command_reference",
    "contents",
    "spec_links",
]

# The source folder is the root, so that a relative link means the same here and on a code host.
root_doc = "docs/index"
include_patterns = ["docs/**.md", "spec/text/*.md", "spec/model/README.md", "spec/vectors/README.md", "*.md"]
exclude_patterns = [".*", "build", "dist", "hsl", "native", "tests", "fuzz", "README*.md"]

myst_heading_anchors = 4  # anchors as a code host makes them from headings
myst_links_external_new_tab = False
highlight_language = "text"
nitpicky = True

# docs/api.md: docstrings have their types in words, and fields in a section "Attributes".
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "none"
napoleon_attr_annotations = False
napoleon_use_ivar = True
default_role = "code"  # what stands between backticks in a docstring

html_theme = "furo"
html_title = "hsl: the HSL Open Reference Profile"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
