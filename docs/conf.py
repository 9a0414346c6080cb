"""Sphinx: the Markdown pages of this folder as a site, with the parts for one's own loop from their docstrings."""

import semiseg

project = "semiseg"
author = "the semiseg authors"
release = semiseg.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "semiseg"
html_static_path: list[str] = []
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
autodoc_typehints = "description"
autodoc_member_order = "bysource"
copybutton_prompt_text = "$ "
