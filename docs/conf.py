"""How Sphinx makes web pages of this folder: `make docs`."""

project = "MySense"
copyright = "MySense contributors"  # noqa: A001  # Sphinx wants this name
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
html_theme = "furo"
html_title = "MySense"
html_show_sphinx = False
html_show_sourcelink = False
myst_heading_anchors = 3
exclude_patterns = ["_build"]
