from __future__ import annotations

import subprocess
import sys

from harmbench.plugins import Registry

TOML = """
name = "tool"
summary = "a tool"
needs = "target"
apply = ["{python}", "{input}", "{output}", "{reference}"]
"""


def test_a_file_in_the_users_folder_is_a_plugin(tmp_path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "tool.toml").write_text(TOML)
    entry = Registry.discover(home=tmp_path).entry("methods", "tool")
    assert entry.attributes()["needs"] == "TARGET"


def test_a_broken_file_costs_itself_alone(tmp_path) -> None:
    path = tmp_path / "tool.toml"
    path.write_text(TOML.replace("summary", "sumary"))
    registry = Registry.discover([path])
    (broken,) = [plugin for plugin in registry.plugins if plugin.errors]
    assert "did you mean 'summary'?" in broken.errors[0]
    assert "identity" in registry.entries("methods")


def test_a_package_may_register_the_path_of_its_file(tmp_path) -> None:
    package = tmp_path / "tool_package"
    package.mkdir()
    (package / "tool.toml").write_text(TOML)
    (package / "__init__.py").write_text(
        "from pathlib import Path\nCOMMAND = Path(__file__).with_name('tool.toml')\n"
    )
    info = tmp_path / "tool_package-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tool-package\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[harmbench]\ntool = tool_package:COMMAND\n")
    code = (
        "import sys; from harmbench.plugins import Registry; r = Registry.discover();"
        "print(r.entry('methods', 'tool').plugin.distribution, 'torch' in sys.modules)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert shown.stdout.split() == ["tool-package", "False"]
