"""`harmbench completion`: completion of commands, options and names in the shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes names in SHELL.

    \b
    bash:  eval "$(harmbench completion bash)"     in ~/.bashrc
    zsh:   eval "$(harmbench completion zsh)"      in ~/.zshrc
    fish:  harmbench completion fish > ~/.config/fish/completions/harmbench.fish
    """  # noqa: D301
    kind = get_completion_class(shell)
    assert kind is not None
    root = context.find_root()
    click.echo(kind(root.command, {}, "harmbench", "_HARMBENCH_COMPLETE").source())
