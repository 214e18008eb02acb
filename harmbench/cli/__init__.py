"""The command line. Each command is a file, and imports heavy modules when it runs."""

from __future__ import annotations

import gc
import sys

import click

from harmbench.cli import (
    ablate,
    check,
    cite,
    compare,
    completion,
    data,
    export,
    figure,
    harmonize,
    import_bundles,
    leaderboard,
    listing,
    new,
    plugins,
    publish,
    report,
    resume,
    run,
    score,
    store,
    sync,
    ui,
    verify,
)
from harmbench.errors import HarmbenchError
from harmbench.plugins import Registry
from harmbench.util.home import home


class CommandGroup(click.Group):
    """Built-in commands, and commands added by plugins."""

    _loaded = False

    def _with_plugins(self) -> None:
        if not self._loaded:
            self._loaded = True
            Registry.discover(home=home()).call("register_commands", group=self)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List commands, including those of plugins."""
        self._with_plugins()
        return super().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Look up a command; plugins are loaded only if it is not built in."""
        if cmd_name not in self.commands:
            self._with_plugins()
        return super().get_command(ctx, cmd_name)


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="harmbench")
def cli() -> None:
    """Benchmark MRI harmonisation: any method, any scanner, honest numbers.

    \b
    harmbench list methods                                list what is available
    harmbench run --method blindharmony --task domain3    run one cell
    harmbench run -m '*' -t 'sim-*' --seed 0 --seed 1     run many cells
    harmbench leaderboard                                 compare all methods
    harmbench compare blindharmony@domain3 histogram@domain3    compare two, by subject
    harmbench export -o scores.parquet                    write all scores as one table
    harmbench ablate blindharmony                         measure what each part contributes
    harmbench figure                                      list the figures to draw
    harmbench new method my-method                        create a package for your method
    harmbench check my-method                             check it against the contract
    harmbench report -o report/                           write static pages to share
    harmbench cite                                        describe the methods for a paper
    harmbench publish -o lab.harmbench.zip                write results to a bundle, for others
    harmbench import lab.harmbench.zip                    add results of a bundle to the boards
    harmbench ui                                          open MLflow's pages
    harmbench score images -t domain3 --name my-tool      score images made elsewhere
    harmbench data show --cohort oasis3:/data/OASIS3      inspect your own study
    harmbench harmonize scan.nii.gz -o out.nii.gz --fit 3f2a    harmonise your own scan

    All results are kept in $HARMBENCH_HOME (default ~/.harmbench). A command that is run
    again takes finished results from there.
    """  # noqa: D301 - \b tells click not to wrap lines


for command in (
    run.run,
    score.score,
    resume.resume,
    sync.sync,
    store.store,
    ablate.ablate,
    data.data,
    new.new,
    check.check,
    cite.cite,
    figure.figure,
    leaderboard.leaderboard,
    compare.compare,
    export.export,
    report.report,
    publish.publish,
    import_bundles.import_bundles,
    verify.verify,
    ui.ui,
    harmonize.harmonize,
    listing.listing,
    plugins.plugins,
    completion.completion,
):
    cli.add_command(command)


def main() -> None:
    """Run the command line; a user's error is one line and exit code 2."""
    # The default of 700 new objects spends a quarter of the imports of torch and MLflow on
    # searches for cycles.
    gc.set_threshold(20_000)
    try:
        status = cli.main(prog_name="harmbench", standalone_mode=False)
    except click.exceptions.Abort as abort:
        if isinstance(abort.__cause__, EOFError):
            # click aborts at any EOFError, but a file that ends early is no interrupt.
            raise abort.__cause__ from None
        click.echo(
            "interrupted: finished cells are kept; run the same command (or `harmbench resume`) "
            "to continue",
            err=True,
        )
        sys.exit(130)
    except click.ClickException as error:
        # One line, like our own errors, and a pointer to the help.
        click.echo(f"error: {error.format_message()} (see --help)", err=True)
        sys.exit(2)
    except HarmbenchError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    sys.exit(status if isinstance(status, int) else 0)
