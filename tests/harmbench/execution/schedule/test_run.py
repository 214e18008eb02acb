"""Cells are run and forecast by functions, without a command line and without MLflow."""

from __future__ import annotations

import shutil

import pytest

from harmbench.contracts.cell import Status
from harmbench.data.cohort_request import CohortRequest
from harmbench.errors import UserError
from harmbench.execution.plan.request import Request
from harmbench.execution.plan.selection import select
from harmbench.execution.schedule.executors.options import ExecutorOptions
from harmbench.execution.schedule.run import forecast, run_cells
from harmbench.execution.schedule.run_options import RunOptions
from harmbench.plugins import Registry
from harmbench.store.results import ResultsStore
from harmbench.util.progress import Silent
from helpers import PLUGINS

FILES = (PLUGINS / "tiny_cohort.py",)


class SilentRun(Silent):
    """Progress that shows nothing; `serial` needs no lanes."""

    def lane(self):
        raise NotImplementedError


@pytest.fixture
def request_and_registry():
    """A learning method and a control, on one task of the tiny cohort."""
    registry = Registry.discover(FILES)
    return Request(
        methods=("identity", "histogram"), tasks=("sim-exp",), cohort=CohortRequest("tiny")
    ), registry


def test_a_forecast_prepares_nothing_and_agrees_with_the_run(request_and_registry, tmp_path):
    request, registry = request_and_registry
    options = RunOptions(request=request, device="cpu")
    selection = select(registry, request)

    before = forecast(registry, selection, tmp_path, options, Silent())
    assert not before.prepared
    assert not (tmp_path / "cohorts").exists()
    titles = ["identity on sim-exp, seed 0", "histogram on sim-exp, seed 0"]
    assert [cell.title for cell in before.pending] == titles

    ended = []
    summary = run_cells(
        registry,
        selection,
        tmp_path,
        options,
        ExecutorOptions(),
        SilentRun(),
        on_cell=lambda number, total, cell, result: ended.append((number, total, cell.title)),
    )
    assert not summary.failed
    assert summary.fits == 1
    assert [result.status for _, result in summary.results] == [Status.DONE, Status.DONE]
    assert [(number, total) for number, total, _ in ended] == [(1, 2), (2, 2)]
    assert {title for *_, title in ended} == set(titles)

    after = forecast(registry, selection, tmp_path, options, Silent())
    assert after.prepared
    assert after.pending == ()
    assert [cell.status for cell in after.cells] == [Status.CACHED, Status.CACHED]


def test_a_missing_device_of_the_workers_is_an_error_before_a_run_begins(
    request_and_registry, tmp_path
):
    request, registry = request_and_registry
    options = RunOptions(request=request, device="cuda:99")
    with pytest.raises(UserError, match="no device 'cuda:99'"):
        run_cells(
            registry,
            select(registry, request),
            tmp_path,
            options,
            ExecutorOptions("local"),
            SilentRun(),
        )
    assert not (tmp_path / "runs").exists()


def test_every_ended_cell_is_recorded_also_if_only_its_record_was_lost(
    request_and_registry, tmp_path
):
    request, registry = request_and_registry
    options = RunOptions(request=request, device="cpu")
    arguments = (registry, select(registry, request), tmp_path, options, ExecutorOptions())

    def run():
        ids = []
        summary = run_cells(
            *arguments,
            SilentRun(),
            on_cell=lambda number, total, cell, result: ids.append(result.record),
        )
        return {result.status for _, result in summary.results}, ids

    store = ResultsStore(tmp_path / "results")
    status, ids = run()
    assert status == {Status.DONE}
    assert set(store.table()["run_id"].to_pylist()) == set(ids)
    assert len(set(ids)) == 2
    # A kill between storing and recording a cell leaves a stored cell without a record.
    shutil.rmtree(store.folder)
    for _ in range(2):
        assert run() == ({Status.CACHED}, ids)
        assert sorted(store.table()["run_id"].to_pylist()) == sorted(ids)
