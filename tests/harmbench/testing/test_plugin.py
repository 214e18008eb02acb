"""The pytest plugin starts without the scientific packages."""

from __future__ import annotations

import subprocess
import sys


def test_the_plugin_loads_nothing_by_itself():
    code = (
        "import sys, harmbench.testing.plugin\n"
        "print([name for name in ('torch', 'numpy', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
