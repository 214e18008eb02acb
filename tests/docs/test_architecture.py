"""docs/architecture.md agrees with the code: layers, files and functions exist as it names them."""

from __future__ import annotations

import ast
import re
import tomllib

import pytest

from helpers import ROOT

PACKAGE = ROOT / "harmbench"
_FILE = re.compile(r"[\w./-]+(?:\.py|\.md|\.toml|/)")


def steps(text):
    """Return the numbered steps of the walks, as (file, names that it must define)."""
    result = []
    for step in re.findall(r"^\d+\. (.*?)(?=^\d+\. |^#|\Z)", text, re.MULTILINE | re.DOTALL):
        file, *spans = re.findall(r"`([^`]+)`", step)
        assert _FILE.fullmatch(file), step
        # Only the first name belongs to the file of the step; further ones may come from others.
        result.append((file, spans[0].removesuffix("()")))
    return result


def exists(name):
    return any((folder / name).exists() for folder in (ROOT, PACKAGE))


def defined(path):
    nodes = ast.walk(ast.parse(path.read_text()))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}


@pytest.fixture
def text(page):
    return page("architecture.md").text


def test_every_file_that_the_page_names_exists(text):
    files = [span for span in re.findall(r"`([^`\n]+)`", text) if _FILE.fullmatch(span)]
    assert len(files) > 50
    assert [name for name in files if not exists(name)] == []


def test_every_step_of_a_walk_names_a_function_of_its_file(text):
    walks = steps(text)
    assert len(walks) > 20
    for file, name in walks:
        path = PACKAGE / file if (PACKAGE / file).exists() else ROOT / file
        assert name in defined(path), f"{file}: {name}"


def test_the_table_of_layers_is_the_contract_of_the_import_linter(text):
    section = re.search(r"^## Layers\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)[1]
    rows = [
        name.rstrip("/").removesuffix(".py") for name in re.findall(r"^\| `(.+?)`", section, re.M)
    ]
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    contract = next(
        each for each in settings["contracts"] if each.get("containers") == ["harmbench"]
    )
    layers = [{*re.split(r" \| ", layer)} for layer in contract["layers"]]
    assert sorted(rows) == sorted(name for layer in layers for name in layer)
    depth = {name: i for i, layer in enumerate(layers) for name in layer}
    assert [depth[name] for name in rows] == sorted(depth[name] for name in rows)
