"""`harmbench completion`: shell completion of commands, options and names.

click offers the script by an environment variable, but users look for a command.
"""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    bash:  eval "$(harmbench completion bash)"     in ~/.bashrc
    zsh:   eval "$(harmbench completion zsh)"      in ~/.zshrc
    fish:  harmbench completion fish > ~/.config/fish/completions/harmbench.fish
    """  # noqa: D301
    cls = get_completion_class(shell)
    assert cls is not None
    root = context.find_root()
    click.echo(cls(root.command, {}, "harmbench", "_HARMBENCH_COMPLETE").source())
