"""`harmbench new`: write a package with a working method or task, or a results repository."""

from __future__ import annotations

import importlib.util
import keyword
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from harmbench.errors import UserError
from harmbench.plugins import Registry
from harmbench.util.home import home

NEEDS = ("nothing", "target", "unpaired", "paired", "sites")

output_option = click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder to write. Default: ./NAME.",
)


@click.group()
def new() -> None:
    """Write a package with a working, tested method or task, or a results repository.

    \b
    harmbench new method my-method
    harmbench new method my-method --needs paired
    harmbench new method my-method --needs sites --covariates age,sex
    harmbench new task my-task
    harmbench new command my-tool
    harmbench new results-repo my-results
    """  # noqa: D301


@new.command()
@click.argument("name")
@click.option(
    "--needs",
    type=click.Choice(NEEDS),
    default="target",
    show_default=True,
    help="Data it learns from: nothing, the target's scans, scans of target and source, pairs, or "
    "scans of all sites.",
)
@click.option(
    "--covariates",
    default="",
    metavar="NAMES",
    help="Covariates that it uses, separated by commas, such as age,sex.",
)
@output_option
def method(name: str, needs: str, covariates: str, output: Path | None) -> None:
    """Write a package with the method NAME, such as my-method.

    It contains a class that can be fitted, run and recorded, one test per check of the
    conformance suite, and the files that `pip install` needs. Change the class into your method.
    """
    names = [each.strip() for each in covariates.split(",") if each.strip()]
    for each in names:
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", each):
            raise UserError(f"--covariates: '{each}' is no name of a column, such as age")
    write("method", name, output, needs=needs, covariates=names)


@new.command()
@click.argument("name")
@output_option
def task(name: str, output: Path | None) -> None:
    """Write a package with the task NAME, such as my-task; see `harmbench new method`."""
    write("task", name, output)


@new.command()
@click.argument("name")
@output_option
def command(name: str, output: Path | None) -> None:
    """Write a folder with the command NAME, such as my-tool: a TOML file and a small program.

    The program learns from NIfTI files and writes NIfTI files. Replace it by your program or
    container.
    """
    module = checked("method", name)
    folder = Path(name) if output is None else output
    files = {f"{name}.toml": "command/tool.toml.jinja", f"{module}.py": "command/tool.py.jinja"}
    _write(folder, _rendered(files, {"name": name, "module": module}))
    plugin = folder / f"{name}.toml"
    click.echo(f"your command is {plugin}; next:")
    click.echo(f"  harmbench check {name} --plugin {plugin}")
    click.echo(f"  harmbench run --plugin {plugin} -m {name} -m identity -t sim-exp")


@new.command("results-repo")
@click.argument("name")
@output_option
def results_repo(name: str, output: Path | None) -> None:
    """Write a folder for bundles of many contributors, with checks and a site.

    Make it a git repository. Contributors add bundles by pull requests; see `harmbench publish`.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise UserError(
            f"'{name}' is not a valid name for a results repository: use letters, digits, dots "
            "and hyphens"
        )
    folder = Path(name) if output is None else output
    files = {
        "README.md": "results/README.md.jinja",
        "Makefile": "results/Makefile.jinja",
        "bundles/README.md": "results/bundles.md.jinja",
        ".github/workflows/results.yml": "results/check.yml.jinja",
        ".gitattributes": "results/gitattributes.jinja",
        ".gitignore": "results/gitignore.jinja",
    }
    _write(folder, _rendered(files, {"name": name, "version": version("harmbench")}))
    click.echo("next:")
    click.echo(f"  cd {folder} && git init")
    click.echo("  harmbench publish -o bundles/NAME.harmbench.zip")
    click.echo("  make check site")


def write(category: str, name: str, output: Path | None, **choices: Any) -> None:
    """Write a package, and print the next steps.

    Raises
    ------
    UserError
        If the name is invalid or taken, or the folder exists.
    """
    module = checked(category, name)
    folder = Path(name) if output is None else output
    code = f"{module}/{category}.py"
    run = {
        "method": f"harmbench run -m {name} -m identity -t sim-exp",
        "task": f"harmbench run -m identity -m histogram -t {name}",
    }[category]
    values = {
        "category": category,
        "name": name,
        "module": module,
        "class": "".join(part.capitalize() for part in name.split("-")),
        "run": run,
        "run_file": run.replace("harmbench run", f"harmbench run --plugin {code}"),
        **choices,
    }
    files = {
        "pyproject.toml": "pyproject.toml.jinja",
        "README.md": "README.md.jinja",
        f"{module}/__init__.py": "init.py.jinja",
        code: f"{category}/code.py.jinja",
        f"tests/test_{module}.py": "test.py.jinja",
    }
    _write(folder, _rendered(files, values))
    click.echo(f"your {category} is in {folder / code}; next:")
    click.echo(f"  pip install -e {folder}")
    click.echo(f"  harmbench check {name}")
    click.echo(f"  {run}")


def _write(folder: Path, texts: dict[str, str]) -> None:
    """Write a new folder of files, and print their names."""
    if folder.exists():
        raise UserError(f"'{folder}' already exists; choose another folder with -o DIR")
    try:
        for path, text in texts.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"'{folder}' cannot be written: {error.strerror}") from None
    click.echo(f"wrote {folder}/: {', '.join(texts)}")


def _rendered(files: dict[str, str], values: dict[str, Any]) -> dict[str, str]:
    """Return the text of each file, given the name of its template."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("harmbench", "templates/new"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # the output is code, not HTML
    )
    return {path: templates.get_template(file).render(values) for path, file in files.items()}


def checked(category: str, name: str) -> str:
    """Return the module name of a new plugin.

    Raises
    ------
    UserError
        If the name is invalid, or taken by a plugin or a Python module.
    """
    module = name.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or keyword.iskeyword(module):
        raise UserError(
            f"'{name}' is not a valid name for a {category}: use lower-case letters, digits, and "
            "hyphens between words, as in my-method"
        )
    entries = Registry.discover(home=home()).entries(f"{category}s")
    if name in entries:
        plugin = entries[name].plugin
        raise UserError(
            f"the {category} '{name}' already exists in the plugin '{plugin.name}' "
            f"({plugin.distribution}); choose another name"
        )
    if importlib.util.find_spec(module) is not None:
        raise UserError(
            f"a Python module '{module}' already exists, and '{name}' would hide it; choose "
            "another name"
        )
    return module
