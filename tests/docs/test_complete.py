"""All public names, metrics and hooks are documented."""

from __future__ import annotations

import pkgutil
import re
from importlib.metadata import version

import pytest

import harmbench
import harmbench.testing
from harmbench import hookspecs
from harmbench.plugins import Registry
from harmbench.preprocessing.normalization import NORMALIZATIONS
from helpers import ROOT


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HARMBENCH_HOME", str(tmp_path / "home"))


def test_every_public_name_is_in_the_api(page):
    text = page("api.md").text
    for package in (harmbench, harmbench.testing):
        name = re.escape(package.__name__)
        documented = re.findall(rf"^\.\. auto\w+:: {name}\.(\w+)$", text, re.MULTILINE)
        assert sorted(documented) == sorted(package.__all__)


def test_no_submodule_hides_a_public_name():
    for package in (harmbench, harmbench.testing):
        submodules = {name for _, name, _ in pkgutil.iter_modules(package.__path__)}
        assert not submodules & {*package.__all__}


def test_every_metric_has_a_section(page, home):
    registry = Registry.discover()
    metrics, measures = set(registry.entries("metrics")), set()
    for entry in registry.entries("tasks", ("domain1",)).values():
        measures |= set(entry.load().measures)
    headings = {*page("metrics.md").headings}
    assert metrics <= headings <= metrics | measures
    # On the page of tasks, capital letters stand for a version, size or tissue: `harm_VERSION`.
    named = {
        re.sub("[A-Z]+", r"\\w+", name)
        for name in re.findall(r"`([a-z0-9_A-Z]+)`", page("tasks.md").text)
    }
    missing = {
        name for name in measures - headings if not any(re.fullmatch(each, name) for each in named)
    }
    assert not missing


def test_every_section_on_a_metric_gives_direction_and_unit(page, home):
    registry = Registry.discover()
    sections = re.split(r"^##+ ", page("metrics.md").text, flags=re.MULTILINE)
    for name, entry in registry.entries("metrics").items():
        (section,) = (text for text in sections if text.startswith(f"`{name}`"))
        metric = entry.load()
        direction = "Higher" if metric.higher_is_better else "Lower"
        assert re.search(rf"{direction}\s+is\s+better", section), name
        if metric.unit:
            assert {"dB": "dB", "mm": "mm", "%": "per cent"}[metric.unit] in section, name


def test_every_hook_has_a_section_and_an_example(page):
    hooks = [name for name, value in vars(hookspecs).items() if hasattr(value, "harmbench_spec")]
    assert hooks
    hooks_page = page("hooks.md")
    assert sorted(hooks_page.headings) == sorted(hooks)
    code = "\n".join(hooks_page.blocks("python"))
    assert sorted(re.findall(r"@hookimpl\ndef (\w+)", code)) == sorted(hooks)


def test_every_hook_has_a_docstring(page):
    hooks = [value for value in vars(hookspecs).values() if hasattr(value, "harmbench_spec")]
    assert all(hook.__doc__ for hook in hooks)


def test_all_built_in_names_are_in_the_tables(page, home):
    registry = Registry.discover()

    def built_in(category, *sources):
        entries = registry.entries(category, *sources)
        return {name for name, each in entries.items() if each.plugin.distribution == "harmbench"}

    compared = page("compared.md").text
    first_column = {
        name
        for row in re.findall(r"^\| (`.*?) \|", compared, re.MULTILINE)
        for name in re.findall(r"`([\w-]+)", row)
    }
    assert built_in("methods") | built_in("cohorts") - {"csv"} <= first_column
    tasks = {name for name in built_in("tasks", ("NAME",)) if not name.startswith("sim-gamma")}
    assert tasks | {"sim-gamma0", "domain1"} <= first_column
    normalizations = re.findall(r"^\| `(\w+)` \|", page("study.md").text, re.MULTILINE)
    assert sorted(normalizations) == sorted(NORMALIZATIONS)


def test_the_citation_has_the_current_version():
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.search(r"^version: (.+)$", citation, re.MULTILINE)[1] == version("harmbench")
    assert {"cff-version", "message", "title", "authors"} <= {
        *re.findall(r"^([a-z-]+):", citation, re.MULTILINE)
    }


def test_the_changelog_names_every_command():
    from harmbench.cli import cli

    changelog = (ROOT / "CHANGELOG.md").read_text()
    own = [
        name
        for name, command in cli.commands.items()
        if command.callback.__module__.startswith("harmbench.")
    ]
    assert own
    assert [name for name in own if f"`{name}`" not in changelog] == []
