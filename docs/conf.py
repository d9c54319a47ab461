"""Settings of the documentation: ``make docs`` builds it with Sphinx.

The source is the whole repository, of which only pages are read: so links between the README, the
guides in ``deploy`` and the pages here are the same on disk and on the built pages.
"""

import site
import sys
from collections.abc import Callable
from importlib.metadata import version as version_of
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

HERE = Path(__file__).parent
# Sphinx has an environment of its own; orimap and what it imports come from that of the project.
for packages in HERE.parent.glob(".venv/lib/python*/site-packages"):
    site.addsitedir(str(packages))
sys.path.insert(0, str(HERE))

import generate  # noqa: E402  (it lies beside)

project = "orimap"
copyright = "the authors of orimap, GPL-3.0-or-later"
version = release = version_of("orimap")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
root_doc = "docs/index"
include_patterns = [
    "README.md",
    "docs/**",
    "deploy/*.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "tests/benchmarks/*/README.md",
]
exclude_patterns = ["build", ".*", "**/__pycache__"]
default_role = "py:obj"
# Several modules have a class called Reflections or Evidence: links between these are left out.
suppress_warnings = ["ref.python"]

myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_google_docstring = False
# Types are words here, such as "(positions, pixels) array": nothing to link to.
napoleon_use_param = False
napoleon_use_rtype = False
viewcode_line_numbers = True

highlight_language = "text"

html_theme = "pydata_sphinx_theme"
html_title = "orimap"
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": False,
}


def directive_of(text: Callable[..., str], arguments: int) -> type[SphinxDirective]:
    """Return a directive that stands for what a function writes."""

    class Written(SphinxDirective):
        required_arguments = arguments

        def run(self) -> list[nodes.Node]:
            return self.parse_text_to_nodes(text(*self.arguments), allow_section_headings=True)

    return Written


def write_pages_of_modules(_app: Sphinx) -> None:
    """Write a page for each package of ``tasks``, where what it says has changed."""
    folder = HERE / "reference" / "modules"
    folder.mkdir(exist_ok=True)
    pages = {folder / f"{name}.md": page for name, page in generate.pages_of_modules().items()}
    for page in folder.iterdir():
        if page not in pages:
            page.unlink()
    for page, text in pages.items():
        if not page.exists() or page.read_text() != text:
            page.write_text(text)


def write_front_door(app: Sphinx, _error: Exception | None) -> None:
    """Lead from the folder of the pages to the first of them, which lies as deep as its source."""
    first = f"{root_doc}.html"
    page = f'<!doctype html><meta http-equiv="refresh" content="0; url={first}">\n'
    Path(app.outdir, "index.html").write_text(page)


def setup(app: Sphinx) -> None:
    """Tell Sphinx of what is generated."""
    app.connect("builder-inited", write_pages_of_modules)
    app.connect("build-finished", write_front_door)
    for name, text, arguments in (
        ("orimap-commands", generate.commands_text, 0),
        ("orimap-confidence", generate.confidence_text, 0),
        ("orimap-modules", generate.modules_text, 1),
        ("orimap-python", generate.python_text, 0),
        ("orimap-request", generate.request_text, 0),
        ("orimap-results", generate.results_text, 0),
    ):
        app.add_directive(name, directive_of(text, arguments))
