"""Sphinx configuration: `make docs`, or ``sphinx-build -W --keep-going -b html docs docs/_build/html``."""

import html
import re
import sys
from importlib.util import find_spec
from pathlib import Path

from docutils import nodes
from docutils.utils.math import MathError, latex2mathml
from sphinx.util import logging

# The tree at hand, not an installed copy.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
sys.path.insert(0, str(Path(__file__).resolve().parent / "_ext"))

from stridiag._version import __version__

ROOT = Path(__file__).resolve().parents[1]

project = "stridiag"
author = "The stridiag developers"
copyright = "The stridiag developers. BSD 3-Clause License"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "local_links",
]
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "_ext"]
# A name in single backticks is a reference where there is something to refer to, and code elsewhere.
default_role = "py:obj"

autosummary_generate = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

# Names of our own must resolve. Names of others would need their sites, and the build does without a network.
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r"(?!stridiag\b).*")]


def _left_out():
    """Pattern of the examples that need what is not installed, and of nothing if all is there."""
    absent = [name for name in ("torch", "zuko", "pylops") if find_spec(name) is None]
    wants = re.compile(rf"^(?:import|from) (?:{'|'.join(absent)})\b", re.MULTILINE)
    files = [path for path in (ROOT / "examples").rglob("*.py") if absent and wants.search(path.read_text("utf-8"))]
    return "|".join(["__init__", *(re.escape(path.name) for path in files)])


sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"plot_",
    "ignore_pattern": _left_out(),
    "within_subsection_order": "FileNameSortKey",
    "doc_module": ("stridiag",),
    "reference_url": {"stridiag": None},
    "backreferences_dir": "gallery/backreferences",
    "image_srcset": ["2x"],
    "remove_config_comments": True,
    "show_signature": False,
    "download_all_examples": False,
    # What a page shows should not differ from one build to the next: no running times.
    "min_reported_time": 1e9,
    "write_computation_times": False,
}

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True

html_theme = "furo"
pygments_style = "friendly"
pygments_dark_style = "github-dark"
html_title = f"stridiag {release}"
html_static_path = ["_static"]
html_css_files = ["math.css", "site.css"]
html_show_sphinx = False
html_copy_source = False
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
    except (SyntaxError, MathError) as error:
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


def _link_pages(app, what, name, obj, options, lines):
    # Docstrings name pages as files of the tree, which is what reads best in an editor.
    for k, line in enumerate(lines):
        lines[k] = re.sub(r"`*\bdocs/([\w/-]+)\.md\b`*", r":doc:`/\1`", line)


def _describe(app, page, template, context, doctree):
    """Give each page a description for search engines and previews: its first paragraph."""
    if doctree is None or 'name="description"' in context.get("metatags", ""):
        return
    first = next((p.astext() for p in doctree.findall(nodes.paragraph) if len(p.astext()) > 20), "")
    text = " ".join(first.split())
    if len(text) > 160:
        text = text[:157].rsplit(" ", 1)[0] + " ..."
    if text:
        context["metatags"] = context.get("metatags", "") + f'<meta name="description" content="{html.escape(text)}" />'


def _close_examples(app, docname, source):
    # doctest needs an empty line behind the last result of an example; readers do not.
    source[0] = re.sub(r"\n\n```$", "\n```", source[0], flags=re.MULTILINE)


def setup(app):
    """Formulas become MathML when the pages are built, so that they need neither scripts nor a network to be read."""
    app.add_html_math_renderer("mathml", (_visit_inline, None), (_visit_block, None))
    app.connect("source-read", _close_examples)
    app.connect("autodoc-process-docstring", _link_pages)
    app.connect("html-page-context", _describe)
