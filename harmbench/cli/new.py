"""`harmbench new`: a package of one's own to begin with, that runs."""

from __future__ import annotations

import importlib.util
import keyword
import re
from pathlib import Path

import click

from harmbench.errors import UserError
from harmbench.plugins import Registry

NEEDS = ("nothing", "target", "unpaired", "paired")

output_option = click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="DIR",
    help="Folder to write; by default ./NAME.",
)  # fmt: skip


@click.group()
def new() -> None:
    """Write a package with a method or a task of your own, which runs and is tested.

    \b
    harmbench new method my-method
    harmbench new method my-method --needs paired
    harmbench new task my-task
    """  # noqa: D301


@new.command()
@click.argument("name")
@click.option(
    "--needs", type=click.Choice(NEEDS), default="target", show_default=True,
    help="What it learns from: nothing, the target's scans, those of target and source, or pairs.",
)  # fmt: skip
@output_option
def method(name: str, needs: str, output: Path | None) -> None:
    """Write a package with the method NAME, such as my-method.

    It holds a class that can be fitted, run and recorded as it is, a test for each check of
    the conformance suite, and what `pip install` needs. Change the class into your method.
    """
    write("method", name, output, needs=needs)


@new.command()
@click.argument("name")
@output_option
def task(name: str, output: Path | None) -> None:
    """Write a package with the task NAME, such as my-task; see `harmbench new method`."""
    write("task", name, output)


def write(kind: str, name: str, output: Path | None, **choices: str) -> None:
    """Write a package, and say how to go on.

    Raises
    ------
    UserError
        If the name is of another form or taken, or the folder is there.
    """
    module = checked(kind, name)
    folder = Path(name) if output is None else output
    if folder.exists():
        raise UserError(f"'{folder}' is there already, and nothing is overwritten; say -o DIR")
    code = f"{module}/{kind}.py"
    run = {
        "method": f"harmbench run -m {name} -m identity -t sim-exp",
        "task": f"harmbench run -m identity -m histogram -t {name}",
    }[kind]
    values = {
        "kind": kind,
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
        code: f"{kind}/code.py.jinja",
        f"tests/test_{module}.py": "test.py.jinja",
    }

    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("harmbench", "templates/new"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # what is written is code, and no page
    )
    texts = {path: templates.get_template(file).render(values) for path, file in files.items()}
    try:
        for path, text in texts.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"'{folder}' cannot be written: {error.strerror}") from None
    click.echo(f"wrote {folder}/: {', '.join(texts)}")
    click.echo(f"your {kind} is in {folder / code}; next:")
    click.echo(f"  pip install -e {folder}")
    click.echo(f"  harmbench check {name}")
    click.echo(f"  {run}")


def checked(kind: str, name: str) -> str:
    """Return the name of the module for a name that is free.

    Raises
    ------
    UserError
        If it is not free, or has another form.
    """
    module = name.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or keyword.iskeyword(module):
        raise UserError(
            f"'{name}' is no name for a {kind}; take small letters and digits, and hyphens "
            "between words, such as my-method"
        )
    entries = Registry.discover().entries(f"{kind}s")
    if name in entries:
        plugin = entries[name].plugin
        raise UserError(
            f"the {kind} '{name}' is there already, of the plugin '{plugin.name}' "
            f"({plugin.distribution}); take another name"
        )
    if importlib.util.find_spec(module) is not None:
        raise UserError(
            f"there is a Python module '{module}' already, which '{name}' would hide; "
            "take another name"
        )
    return module
