"""Settings of Sphinx: `make docs` builds these pages into docs/_build/html."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version as version_of
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

# The documentation must not contain plugins from the user's own plugin folder.
os.environ["HARMBENCH_HOME"] = str(HERE / "_build" / "home")

project = "harmbench"
author = "harmbench developers"
project_copyright = "harmbench developers"
version = release = version_of("harmbench")

extensions = [
    "cli_help",
    "mathml",
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
]
exclude_patterns = ["_build", "_ext", "_static"]

# Docstrings mark names and shapes with single backticks.
default_role = "code"
smartquotes = False
autodoc_class_signature = "mixed"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_type_aliases = {"Array": "numpy.ndarray"}
napoleon_google_docstring = False
napoleon_use_ivar = True

# The stored outputs are shown; tests/end_to_end/test_notebooks.py executes the notebooks.
nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

html_math_renderer = "mathml"
html_theme = "furo"
html_title = f"harmbench {release}"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["formulas.css"]
