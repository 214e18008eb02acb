"""The command line. Each command has a file of its own and loads what it needs when it runs."""

from __future__ import annotations

import sys

import click

from harmbench.cli import (
    ablate,
    check,
    compare,
    completion,
    data,
    export,
    figure,
    harmonize,
    leaderboard,
    listing,
    new,
    plugins,
    report,
    resume,
    run,
    store,
    sync,
    ui,
)
from harmbench.errors import HarmbenchError
from harmbench.plugins import Registry


class Group(click.Group):
    """The group of built-in commands and of those that plugins add."""

    _loaded = False

    def _with_plugins(self) -> None:
        if not self._loaded:
            self._loaded = True
            Registry.discover().call("register_commands", group=self)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List commands, those of plugins included."""
        self._with_plugins()
        return super().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Look a command up, asking plugins only for one that is not built in."""
        if cmd_name not in self.commands:
            self._with_plugins()
        return super().get_command(ctx, cmd_name)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="harmbench")
def cli() -> None:
    """Benchmark MRI harmonisation: any method, any scanner, honest numbers.

    \b
    harmbench list methods                                what there is
    harmbench run --method blindharmony --task domain3    run one pair
    harmbench run -m '*' -t 'sim-*' --seed 0 --seed 1     run many
    harmbench leaderboard                                 compare all
    harmbench compare blindharmony@domain3 histogram@domain3    two, subject by subject
    harmbench export -o scores.parquet                    all scores as one table
    harmbench ablate blindharmony                         what each part is worth
    harmbench figure                                      figures to draw
    harmbench new method my-method                        a method of your own, to begin with
    harmbench check my-method                             whether it holds to the contract
    harmbench report -o report/                           pages to read and pass on
    harmbench ui                                          MLflow's own pages
    harmbench data show --cohort oasis3:/data/OASIS3      a study of your own
    harmbench harmonize scan.nii.gz -o out.nii.gz --fit 3f2a    a scan of your own

    Everything computed is kept in $HARMBENCH_HOME (default ~/.harmbench), and the same
    command run again is answered from there.
    """  # noqa: D301 - \b is click's mark for lines that are not to be wrapped


for command in (run.run, resume.resume, sync.sync, store.store, ablate.ablate, data.data,
                new.new, check.check, figure.figure, leaderboard.leaderboard, compare.compare,
                export.export, report.report, ui.ui, harmonize.harmonize, listing.listing,
                plugins.plugins, completion.completion):  # fmt: skip
    cli.add_command(command)


def main() -> None:
    """Run the command line; a user's mistake is one line and exit code 2."""
    try:
        status = cli.main(prog_name="harmbench", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("stopped; what was finished is kept, and the same command goes on", err=True)
        sys.exit(130)
    except click.ClickException as error:
        # A usage error gets the same one line as our own, with where to read on.
        click.echo(f"error: {error.format_message()} (see --help)", err=True)
        sys.exit(2)
    except HarmbenchError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    sys.exit(status if isinstance(status, int) else 0)
