"""The pages agree with the code: their Python runs, and their commands exist."""

from __future__ import annotations

import re
import shlex
import tomllib

import click
import pytest

from harmbench.cli import cli
from harmbench.cohorts.bids.recipe import load_recipe
from harmbench.execution.plan.suite import read_suite
from harmbench.external.command_file import read_command_file
from harmbench.plugins import Registry, matching
from helpers import ROOT
from helpers.pages import pages

PAGES = pages()


def titles(pages):
    return [page.path.name for page in pages]


WITH_PYTHON = [page for page in PAGES if page.blocks("python")]
WITH_TOML = [page for page in PAGES if page.blocks("toml")]


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """An empty working directory with its own home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARMBENCH_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.mark.parametrize("page", WITH_PYTHON, ids=titles(WITH_PYTHON))
def test_code_runs_from_the_top_of_its_page_to_the_end(page, empty):
    names = {"__name__": page.path.stem}
    for block in page.blocks("python"):
        exec(compile(block, str(page.path), "exec"), names)


def commands(page):
    """Command lines of harmbench: in blocks (complete), and in backticks in the text."""
    blocks = [block.replace("\\\n", " ") for block in page.blocks("console")]
    prose = re.sub(r"^```.*?^```$", "", page.text, flags=re.MULTILINE | re.DOTALL)
    inline = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]
    split = [
        (shlex.split(line, comments=True), complete)
        for lines, complete in (("\n".join(blocks).splitlines(), True), (inline, False))
        for line in lines
        if "harmbench" in line
    ]
    return [(words[1:], complete) for words, complete in split if words[:1] == ["harmbench"]]


def parsed(words):
    """Parse a command line without running it; None for a group or a request for help."""
    command, context = cli, click.Context(cli, info_name="harmbench")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        subcommand = command.get_command(context, words[0])
        assert subcommand is not None, f"no command {words[0]}"
        command, words = subcommand, words[1:]
        context = click.Context(command, info_name=command.name, parent=context)
    if {"-h", "--help", "--version"} & {*words}:
        return None
    if isinstance(command, click.Group):
        assert not words
        return None
    return command.make_context(command.name, [*words])


@pytest.mark.parametrize("page", PAGES, ids=titles(PAGES))
def test_every_command_that_is_shown_exists_with_its_options(page, empty):
    registry = Registry.discover()
    methods = registry.entries("methods")
    for words, complete in commands(page):
        if words[:1] == ["COMMAND"]:
            continue
        try:
            context = parsed(words)
        except click.MissingParameter:
            assert not complete, words
            continue
        except click.ClickException as error:
            pytest.fail(f"harmbench {shlex.join(words)}: {error.format_message()}")
        options = context.params if context is not None else {}
        if not options.get("plugin"):
            new = set(re.findall(r"harmbench new method ([\w-]+)", page.text))
            matching("method", options.get("methods") or (), {*methods, *new})


@pytest.mark.parametrize("page", WITH_TOML, ids=titles(WITH_TOML))
def test_every_toml_that_is_shown_is_a_recipe_a_suite_or_a_command(page, empty):
    for index, block in enumerate(page.blocks("toml")):
        file = empty / f"{index}.toml"
        file.write_text(block)
        if "apply" in tomllib.loads(block):
            assert read_command_file(file).apply
        elif "methods" in tomllib.loads(block):
            assert read_suite(str(file))["methods"]
        else:
            assert len(load_recipe(file).domains) > 1


@pytest.mark.parametrize("page", PAGES, ids=titles(PAGES))
def test_every_target_of_make_that_is_shown_exists(page):
    # Of this project, and of a results repository.
    makefiles = [ROOT / "Makefile", ROOT / "harmbench/templates/new/results/Makefile.jinja"]
    text = "\n".join(path.read_text() for path in makefiles)
    targets = set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))
    shown = "\n".join([*page.blocks("console"), *re.findall(r"`(make [^`]+)`", page.text)])
    assert set(re.findall(r"^make ([a-z-]+)", shown, re.MULTILINE)) <= targets


def test_every_linked_file_exists():
    for page in PAGES:
        links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.text)
        for link in links:
            assert (page.path.parent / link).exists(), f"{page.path.name}: {link}"
