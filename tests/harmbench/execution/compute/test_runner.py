"""The runner: sharing of fits, blindness, the contract, failures and the store."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil

import pytest
import torch
from safetensors.torch import load_file

from harmbench.contracts.cell import Status
from harmbench.contracts.needs import Needs
from harmbench.data.cohort_request import CohortRequest
from harmbench.errors import UserError
from harmbench.execution.compute.runner import Runner
from harmbench.execution.plan.plan import make_plan
from harmbench.execution.plan.request import Request
from harmbench.execution.plan.selection import select
from harmbench.plugins import Registry
from harmbench.util.hashing import bytes_digest
from harmbench.util.progress import Silent
from helpers import PLUGINS


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A home with the tiny cohort in it."""
    home = tmp_path_factory.mktemp("home")
    registry = Registry.discover([PLUGINS / "tiny_cohort.py"])
    make_plan(
        registry,
        select(
            registry, Request(methods=["identity"], tasks=["sim-exp"], cohort=CohortRequest("tiny"))
        ),
        home,
        Silent(),
    )
    return home


@pytest.fixture
def bench(prepared, tmp_path, monkeypatch, compute):
    """Run methods on tasks of the tiny cohort; results are kept in a folder of the test's."""
    monkeypatch.setenv("COUNTS_LOG", str(tmp_path / "fits.log"))
    (tmp_path / "cohorts").symlink_to(prepared / "cohorts")
    files = [PLUGINS / "tiny_cohort.py", PLUGINS / "odd_methods.py", PLUGINS / "sample_plugin.py"]

    def run(methods, tasks, progress=None, *, checkpoint_seconds=60, **options):
        registry = Registry.discover(files)
        request = Request(methods=methods, tasks=tasks, cohort=CohortRequest("tiny"), **options)
        plan = make_plan(registry, select(registry, request), tmp_path, Silent())
        runner = Runner(
            registry=registry,
            home=tmp_path,
            device=torch.device("cpu"),
            progress=progress or Silent(),
            checkpoint_seconds=checkpoint_seconds,
        )
        results, run.made = compute(plan, runner)
        return {(planned.cell.method, planned.cell.task): result for planned, result in results}

    run.home, run.compute = tmp_path, compute
    return run


def test_one_fit_of_a_blind_method_serves_every_source(bench):
    results = bench(["counts"], ["domain1", "site-elsewhere", "sim-exp", "sim-bias"])
    assert [result.status for result in results.values()] == [Status.DONE] * 4
    assert (bench.home / "fits.log").read_text() == "seed 0\n"
    assert bench.made == ["counts"]


def test_another_seed_is_another_fit(bench):
    bench(["counts"], ["domain1"], seeds=[0, 1])
    assert (bench.home / "fits.log").read_text() == "seed 0\nseed 1\n"


def test_a_method_that_sees_the_source_is_fitted_for_each(bench):
    results = bench(["unpaired"], ["domain1", "site-elsewhere"])
    keys = [path.name for path in (bench.home / "fits").iterdir() if path.is_dir()]
    assert [result.status for result in results.values()] == [Status.DONE] * 2
    assert len(keys) == 2


def test_the_same_again_is_answered_from_the_store_with_equal_scores(bench):
    first = bench(["counts", "identity"], ["domain1"])
    second = bench(["counts", "identity"], ["domain1"])
    assert [result.status for result in second.values()] == [Status.CACHED] * 2
    for key, result in first.items():
        assert result.scores.equals(second[key].scores)
        assert result.estimates == second[key].estimates
        assert (second[key].folder / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert (bench.home / "fits.log").read_text() == "seed 0\n"


def test_infinite_estimates_survive_the_store(bench):
    first = bench(["oracle"], ["domain1"])["oracle", "domain1"]
    second = bench(["oracle"], ["domain1"])["oracle", "domain1"]
    assert first.estimates["psnr"].mean == second.estimates["psnr"].mean == math.inf


class Interrupts(Silent):
    """Progress that raises Ctrl-C at its n-th note, and keeps logged lines."""

    def __init__(self, note):
        self.left, self.lines = note, []

    def note(self, text):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt

    def log(self, text):
        self.lines.append(text)


def stored_state(home):
    (path,) = (home / "fits").glob("*/state.safetensors")
    return load_file(path)


def test_an_interrupted_fit_resumes_with_the_same_result(bench):
    with pytest.raises(KeyboardInterrupt):
        bench(["learns"], ["domain1"], progress=Interrupts(12), checkpoint_seconds=0)
    (checkpoints,) = (bench.home / "fits").glob(".*.checkpoints")
    progress = Interrupts(0)
    result = bench(["learns"], ["domain1"], progress, checkpoint_seconds=0)["learns", "domain1"]
    assert result.status is Status.DONE
    assert "learns: resuming at step 11 of 30" in progress.lines
    assert result.facts["fit_resumed_at"] == 11
    assert not checkpoints.exists()
    resumed = stored_state(bench.home)
    shutil.rmtree(bench.home / "fits")
    shutil.rmtree(bench.home / "cells")
    whole = bench(["learns"], ["domain1"])["learns", "domain1"]
    assert "fit_resumed_at" not in whole.facts
    assert result.curves == whole.curves
    for name, value in stored_state(bench.home).items():
        assert torch.equal(value, resumed[name]), name


def test_curves_and_facts_of_a_fit_go_with_every_cell_that_uses_it(bench):
    results = bench(["learns"], ["domain1", "site-elsewhere"])
    first, second = results.values()
    losses = [point.value for point in first.curves if point.name == "loss"]
    assert len(losses) == 30
    assert losses[-1] < losses[0]
    assert first.curves == second.curves
    for name in ("fit_slices_per_second", "fit_peak_memory_mib", "fit_steps_done", "fit_seconds"):
        assert first.facts[name] == second.facts[name] > 0
    again = bench(["learns", "identity"], ["domain1"])
    assert again["learns", "domain1"].curves == first.curves
    assert again["identity", "domain1"].curves == ()


def test_a_fit_that_ran_away_says_how_far_it_came_and_leaves_nothing(bench):
    result = bench(["runs-away"], ["domain1"], checkpoint_seconds=0)["runs-away", "domain1"]
    assert result.status is Status.DIVERGED
    assert "diverged at training step" in result.reason
    assert result.facts["fit_steps_done"] < 30
    assert not math.isfinite(result.curves[-1].value)
    assert [path for path in (bench.home / "fits").iterdir() if path.is_dir()] == []


def test_blindness_is_enforced(bench):
    result = bench(["peeks"], ["domain1"])["peeks", "domain1"]
    assert result.status is Status.FAILED
    assert "declares not to need it" in result.reason


@pytest.mark.parametrize(
    ("method", "status", "reason"),
    [
        ("fails", Status.FAILED, "always fails"),
        ("diverges", Status.DIVERGED, "not finite"),
        ("out-of-range", Status.FAILED, r"\[0, 1\]"),
        ("wrong-shape", Status.FAILED, "shape"),
    ],
)
def test_a_bad_method_fails_alone_and_is_not_cached(bench, method, status, reason):
    import re

    for _ in range(2):
        results = bench([method, "identity"], ["domain1"])
        assert results[method, "domain1"].status is status
        assert re.search(reason, results[method, "domain1"].reason)
        assert results["identity", "domain1"].status in (Status.DONE, Status.CACHED)


def test_a_pair_that_cannot_be_is_skipped_before_anything_is_computed(bench):
    results = bench(["paired", "oracle"], ["domain1", "site-elsewhere"])
    assert results["paired", "domain1"].status is Status.DONE
    for method in ("paired", "oracle"):
        skipped = results[method, "site-elsewhere"]
        assert skipped.status is Status.SKIPPED
        assert "scanned on both" in skipped.reason


def test_unpaired_scans_are_scored_by_unpaired_metrics(bench):
    names = set(bench(["identity"], ["site-elsewhere"])["identity", "site-elsewhere"].estimates)
    assert "wasserstein" in names
    assert not {"psnr", "psnr_slices", "ssim", "mae", "ncc"} & names


def test_fit_data_holds_no_more_than_the_needs_entitle_to(bench, prepared):
    registry = Registry.discover([PLUGINS / "tiny_cohort.py", PLUGINS / "site_methods.py"])
    request = Request(methods=["site-means"], tasks=["domain1"], cohort=CohortRequest("tiny"))
    planned = make_plan(registry, select(registry, request), prepared, Silent()).cells[0]
    whole = planned.data.fit_data(0)
    parts = ("_source", "_pairs", "_sites", "_labelled")
    held = {
        needs: [name for name in parts if getattr(whole.restricted(needs), name) is not None]
        for needs in Needs
    }
    assert held[Needs.NOTHING] == held[Needs.TARGET] == held[Needs.TRUTH] == []
    assert held[Needs.UNPAIRED] == ["_source"]
    assert held[Needs.PAIRED] == ["_source", "_pairs"]
    assert held[Needs.SITES] == ["_sites"]
    blind = whole.restricted(Needs.TARGET)
    other = dataclasses.replace(whole, _source=whole.target).restricted(Needs.TARGET)
    assert blind.digest == other.digest


def test_each_subject_is_in_one_split(bench, prepared):
    registry = Registry.discover([PLUGINS / "tiny_cohort.py"])
    request = Request(methods=["identity"], tasks=["domain1"], cohort=CohortRequest("tiny"))
    cohort = make_plan(registry, select(registry, request), prepared, Silent()).cohort
    assert (cohort.table.groupby("subject")["split"].nunique() == 1).all()


def test_a_damaged_fit_is_repeated(bench):
    bench(["counts"], ["domain1"])
    (state,) = (bench.home / "fits").glob("*/state.safetensors")
    state.write_bytes(state.read_bytes()[:-3])
    result = bench(["counts"], ["site-elsewhere"])["counts", "site-elsewhere"]
    assert result.status is Status.DONE
    assert (bench.home / "fits.log").read_text() == "seed 0\nseed 0\n"


def test_an_incomplete_cell_is_computed_again(bench):
    first = bench(["identity"], ["domain1"])["identity", "domain1"]
    (first.folder / "result.json").write_text('{"cell":')
    second = bench(["identity"], ["domain1"])["identity", "domain1"]
    assert second.status is Status.DONE
    assert json.loads((second.folder / "result.json").read_text())["cell"]["method"] == "identity"


def test_a_setting_for_harmonising_alone_shares_the_fit(bench):
    cells = []
    for text in ("blindharmony.centred=false", "blindharmony.alpha=0", "blindharmony.beta1=0"):
        registry = Registry.discover([PLUGINS / "tiny_cohort.py"])
        request = Request(
            methods=["blindharmony"],
            tasks=["sim-exp"],
            cohort=CohortRequest("tiny"),
            assignments=[text],
        )
        cells.append(
            make_plan(registry, select(registry, request), bench.home, Silent()).cells[0].cell
        )
    assert len({cell.fit_key for cell in cells}) == 1
    assert len({cell.key for cell in cells}) == 3
    assert [cell.label for cell in cells[:2]] == ["blindharmony", "blindharmony[alpha=0]"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"methods": ["blindharmoni"]}, "no method 'blindharmoni'; did you mean 'blindharmony'"),
        ({"tasks": ["domian1"]}, "no task 'domian1'; did you mean 'domain1'"),
        ({"cohort": CohortRequest("tin")}, "no cohort 'tin'; did you mean 'tiny'"),
        ({"preset": "qick"}, "no preset 'qick'; did you mean 'quick'"),
        ({"assignments": ["blindharmony.alhpa=0"]}, "no setting.*'alhpa'; did you mean 'alpha'"),
        ({"assignments": ["blindharmony.alpha=much"]}, "expected float"),
        ({"assignments": ["alpha=0"]}, "METHOD.FIELD=VALUE"),
        ({"assignments": ["histogram.quantiles=5"]}, "not among those to run"),
    ],
)
def test_typing_errors_are_reported_before_any_data_is_read(changed, message):
    registry = Registry.discover([PLUGINS / "tiny_cohort.py"])
    request = Request(methods=["blindharmony"], tasks=["domain1"], cohort=CohortRequest("tiny"))
    with pytest.raises(UserError, match=message):
        select(registry, dataclasses.replace(request, **changed))


TROUBLE = """
from harmbench import Method, Metric, Needs, Task, hookimpl

class Changing(Method):
    name = "changing"
    summary = "is being written"
    needs = Needs.NOTHING

    def forward(self, scans):
        return scans.with_images(scans.images ** POWER)

class Unready(Task):
    name = "unready"
    summary = "cannot be set up"

    def setup(self, cohort, seed):
        raise KeyError("no such column")

@hookimpl
def register_methods():
    return {"changing": Changing, "missing": "module_that_is_not_there:Missing"}

@hookimpl
def register_tasks(sources):
    return {"unready": Unready}

@hookimpl
def register_metrics():
    return {"missing": "module_that_is_not_there:Missing"}
"""


def outside(bench, path, power, methods, tasks):
    path.write_text(TROUBLE.replace("POWER", str(power)))
    messages = []
    registry = Registry.discover([PLUGINS / "tiny_cohort.py", path], messages.append)
    plan = make_plan(
        registry,
        select(registry, Request(methods=methods, tasks=tasks, cohort=CohortRequest("tiny"))),
        bench.home,
        Silent(),
    )
    runner = Runner(
        registry=registry, home=bench.home, device=torch.device("cpu"), progress=Silent()
    )
    results, _ = bench.compute(plan, runner)
    return {
        (planned.cell.method, planned.cell.task): result for planned, result in results
    }, messages


def test_a_changed_single_file_is_run_again(bench, tmp_path):
    path = tmp_path / "trouble.py"
    statuses = []
    for power in (2, 2, 3):
        results, _ = outside(bench, path, power, ["changing"], ["domain1"])
        statuses.append(results["changing", "domain1"].status)
    assert statuses == [Status.DONE, Status.CACHED, Status.DONE]


def test_the_source_of_single_files_is_kept_with_the_cell(bench):
    (result,) = bench(["counts"], ["domain1"]).values()
    source = (PLUGINS / "odd_methods.py").read_bytes()
    assert (result.folder / "plugin_odd_methods.py").read_bytes() == source
    assert result.facts["plugins"] == {"odd_methods.py": bytes_digest(source)}
    (built_in,) = bench(["histogram"], ["domain1"]).values()
    assert built_in.facts["plugins"] == {}
    assert not list(built_in.folder.glob("plugin_*"))


def test_broken_parts_of_a_plugin_are_left_out(bench, tmp_path):
    results, messages = outside(
        bench, tmp_path / "trouble.py", 2, ["identi*", "missin*"], ["domain1", "unready"]
    )
    assert results["identity", "domain1"].status is Status.DONE
    failed = results["identity", "unready"]
    assert failed.status is Status.FAILED
    assert "set-up failed: KeyError: 'no such column'" in failed.reason
    assert "metric 'missing' is left out" in " ".join(messages)
    assert "method 'missing' is left out" in " ".join(messages)
    with pytest.raises(UserError, match="'missing' of plugin 'trouble'"):
        outside(bench, tmp_path / "trouble.py", 2, ["missing"], ["domain1"])


def test_no_fit_sees_or_depends_on_labels(bench, prepared):
    registry = Registry.discover([PLUGINS / "tiny_cohort.py"])
    plan = make_plan(
        registry,
        select(
            registry, Request(methods=["identity"], tasks=["domain1"], cohort=CohortRequest("tiny"))
        ),
        prepared,
        Silent(),
    )
    data = plan.cells[0].data.fit_data(0)
    bare = data.restricted(Needs.PAIRED)
    for scans in (bare.target, bare.validation, bare.source, *bare.pairs):
        assert scans.load([0]).labels is None
    assert data.target.load([0]).labels is not None
    corrected = dataclasses.replace(
        data.target,
        scans=tuple(dataclasses.replace(scan, labels="other") for scan in data.target.scans),
    )
    assert corrected.digest != data.target.digest
    assert dataclasses.replace(data, target=corrected).restricted(Needs.TARGET).digest == (
        data.restricted(Needs.TARGET).digest
    )
