"""Sphinx: pages in Markdown, the reference from docstrings."""

import tomllib
from pathlib import Path

_project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]

project = "jvid"
author = "The jvid contributors"
release = _project["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
if not (Path(__file__).parent / "sheets").is_dir():
    # The sheets' page is built without its pictures, too.
    suppress_warnings = ["image.not_readable"]
html_theme = "furo"
html_title = "jvid"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True, "show-inheritance": False}
napoleon_numpy_docstring = False
myst_heading_anchors = 3


def _as_written(app, what, name, obj, options, lines):
    """A module opens with its mathematics, set by hand: shown as it stands, not parsed as markup."""
    if what == "module" and lines:
        title, *rest = lines
        lines[:] = [title, "", *(["::", "", *(f"    {line}" for line in rest), ""] if any(rest) else [])]


def setup(app):
    """Register the hook above."""
    app.connect("autodoc-process-docstring", _as_written)
