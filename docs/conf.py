"""Sphinx configuration: `make docs`, or ``sphinx-build -W --keep-going -b html docs docs/_build/html``."""

import html
import re
import sys
from pathlib import Path

from docutils import nodes
from docutils.utils.math import latex2mathml
from sphinx.util import logging

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
html_css_files = ["math.css"]
html_math_renderer = "mathml"


def _mathml(tex, node, *, block):
    # The names that docutils knows are TeX's own; this one is LaTeX's.
    tex = tex.strip().replace(r"\dots", r"\ldots")
    if block and r"\\" in tex and r"\begin" not in tex:
        tex = rf"\begin{{aligned}}{tex}\end{{aligned}}"
    try:
        # Bars of one height: those that bear an index would not stretch with their partners.
        return re.sub(
            r"<mo[^>]*>([|‖⌊⌋⌈⌉])</mo>",
            r'<mo stretchy="false" lspace="0" rspace="0">\1</mo>',
            latex2mathml.tex2mathml(tex, as_block=block),
        )
    except SyntaxError as error:
        logging.getLogger(__name__).warning("formula not understood: %s: %s", error, tex, location=node)
        return f"<code>{html.escape(tex)}</code>"


def _visit_inline(self, node):
    self.body.append(_mathml(node.astext(), node, block=False))
    raise nodes.SkipNode


def _visit_block(self, node):
    self.body.append(self.starttag(node, "div", CLASS="math"))
    for formula in re.split(r"\n\s*\n", node.astext().strip()):
        self.body.append(_mathml(formula, node, block=True))
    self.body.append("</div>\n")
    raise nodes.SkipNode


def _close_examples(app, docname, source):
    # doctest needs an empty line behind the last result of an example; readers do not.
    source[0] = re.sub(r"\n\n```$", "\n```", source[0], flags=re.MULTILINE)


def setup(app):
    """Formulas become MathML when the pages are built, so that they need neither scripts nor a network to be read."""
    app.add_html_math_renderer("mathml", (_visit_inline, None), (_visit_block, None))
    app.connect("source-read", _close_examples)
