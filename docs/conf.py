"""Sphinx configuration: `make docs`, or ``sphinx-build -W --keep-going -b html docs docs/_build/html``."""

import sys
from pathlib import Path

# The tree at hand, not an installed copy.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from stridiag._version import __version__

project = "stridiag"
author = "The stridiag developers"
copyright = "The stridiag developers. BSD 3-Clause License"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
]
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
# A name in single backticks is a reference where there is something to refer to, and code elsewhere.
default_role = "py:obj"

autosummary_generate = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "furo"
html_title = f"stridiag {release}"
html_static_path = ["_static"]
