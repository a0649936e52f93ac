"""Sphinx configuration."""

project = "lambdalite"
author = "the lambdalite project"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "lambdalite"
html_show_copyright = False
myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]
exclude_patterns = ["_build"]
nitpicky = True
