"""An outside plugin that uses every hook, as a user would write it in one file."""

from __future__ import annotations

import os
from pathlib import Path

import click

from harmbench import Method, Metric, Needs, PaperFigure, hookimpl


class Darker(Method):
    name = "darker"
    summary = "squares intensities, to have something to see"
    needs = Needs.NOTHING

    def forward(self, scans):
        return scans.with_images(scans.images**2)


class Brightness(Metric):
    name = "brightness"
    summary = "mean intensity of the scan"

    def applies(self, harmonized, references, target):
        return True

    def measure(self, harmonized, references, target):
        return harmonized.images.mean(dim=(1, 2, 3))


class Sample(PaperFigure):
    name = "sample-figure"
    summary = "the first test scan, harmonised"
    method = "darker"
    tasks = ("no-such-task", "domain1")

    def draw(self, context):
        from matplotlib.figure import Figure

        scans = context.fitted()(context.data.test.load([0]))
        figure = Figure(figsize=(2, 2))
        axis = figure.add_axes((0, 0, 1, 1))
        axis.imshow(scans.images[0, len(scans.positions) // 2].numpy(), cmap="gray")
        axis.text(0, 0, context.origin, color="red")
        return figure


@hookimpl
def register_methods():
    return {"darker": Darker}


@hookimpl
def register_metrics():
    return {"brightness": Brightness}


@hookimpl
def register_tasks(sources):
    # A built-in task under a second name, for the last source alone.
    from harmbench import Lazy

    return (
        {"sample-last": Lazy("harmbench_tasks.domains:Domain", {"source": sources[-1]})}
        if sources
        else {}
    )


@hookimpl
def register_cohorts():
    return {"sample-phantom": "harmbench.cohorts.phantom.source:Phantom"}


@hookimpl
def register_figures():
    return {"sample-figure": Sample}


@hookimpl
def before_cell(cell):
    _write(f"before {cell.title}")


@hookimpl
def after_cell(cell, result):
    _write(f"after {cell.title}: {result.status}")


@hookimpl
def leaderboard_columns(runs):
    return {"cells": {label: str(len(cells)) for label, cells in runs.groupby("label")}}


@hookimpl
def register_commands(group):
    @group.command("sample-command")
    def sample_command():
        """Say hello."""
        click.echo("hello from the sample")


def _write(line):
    log = os.environ.get("SAMPLE_PLUGIN_LOG")
    if log:
        with Path(log).open("a") as stream:
            stream.write(line + "\n")
