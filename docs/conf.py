"""How Sphinx makes a site of pages and docstrings: ``make docs``. The source folder is the root of the repository."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pygments.lexers.special import TextLexer
from sphinx.addnodes import pending_xref

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]

import sim  # noqa: E402
from sim.policies import known  # noqa: E402

project = "gpu-faas"
author = copyright = "the gpu-faas authors"
release = version = sim.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click", "plaintext"]
root_doc = "README"
include_patterns = ["*.md", "docs/**"]
exclude_patterns = ["docs/_build", ".*", "runs", "build", "dist"]
smartquotes = False
myst_heading_anchors = 6  # links to headings, as code hosts make them

html_theme = "furo"
html_title = f"gpu-faas {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_extra_path = ["_static/index.html"]
html_show_sourcelink = html_copy_source = False

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_type_aliases = {name: f"sim.protocol.{name}" for name in ("Event", "Action")}
python_use_unqualified_type_names = True
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(?!(sim|traces|analysis|replay)\.).*"),  # what others document elsewhere
    ("py:.*", r"(sim.files|sim.offered)\..*"),  # what is named in passing
    ("py:class", r"sim\.protocol\.(Event|Action)"),  # unions, to which Sphinx before 9 makes no links
]

TREE = {
    "How to": ["docs/howto/use-from-python", "docs/howto/get-a-trace", "docs/howto/your-own-trace", "docs/howto/*"],
    "Reference": ["docs/commands", "docs/reference/commands", "docs/*"],
    "Python": [f"docs/reference/{page}" for page in ("python", "policies", "nouns", "tables", "statistics")],
    "Design": ["docs/design/house", "docs/design/one-brain", "docs/design/*"],
    "Project": ["CHANGELOG", "CONTRIBUTING"],
}


def tree() -> str:
    """The menu, which would be noise where the README is read elsewhere."""
    head = "\n```{toctree}\n:hidden:\n:glob:\n:caption: "
    return "".join("\n".join([head + caption, "", *pages, "```\n"]) for caption, pages in TREE.items())


def policies() -> str:
    """All policies, so that a new one has its place at once."""
    return "".join(f"\n.. autoclass:: {policy.__module__}.{policy.__name__}\n" for policy in known().values())


ADDED = {root_doc: tree, "docs/reference/policies": policies}


def with_added(_app: Any, page: str, text: list[str]) -> None:
    """Add to a page what stands in the site alone."""
    text[0] += ADDED.get(page, str)()


def folders_as_text(app: Any, tree: Any) -> None:
    """Put its text in place of a link to a folder, which only a code host can show."""
    page = Path(app.env.doc2path(app.env.docname))
    for link in [*tree.findall(pending_xref)]:
        if link["reftype"] == "myst" and (page.parent / link["reftarget"]).is_dir():
            link.replace_self(link.children)


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.add_lexer("csv", TextLexer)
    app.connect("source-read", with_added)
    app.connect("doctree-read", folders_as_text)
