"""`harmbench.run` takes names, classes and instances, and records as the command line does."""

from __future__ import annotations

import pytest

import harmbench
from harmbench import Method, Needs, UserError
from harmbench.data.scans import GRIDS
from harmbench.statistics.value_range import UNBOUNDED
from harmbench_methods.histogram import Histogram
from harmbench_tasks.domains import Domain
from helpers import TINY_COHORT, words
from helpers.command_line import inside

__all__ = ["inside"]

# MLflow's imports raise deprecation warnings.
pytestmark = pytest.mark.filterwarnings("default")


def statuses(results):
    frame = results.frame()
    return dict(zip(frame["method"], frame["status"], strict=True))


def test_names_classes_and_instances_are_run(run, darker):
    instance = Histogram(GRIDS["quick"], Histogram.preset("quick"))
    results = run([darker, "identity", instance], "domain1")
    assert statuses(results) == dict.fromkeys(("darker", "identity", "histogram"), "done")
    values = results.board("psnr").frame().set_index("method")["value"]
    assert values["histogram"] > values["darker"] > values["identity"]


def test_a_registered_class_is_the_registered_method(run):
    by_class, by_name = run(Histogram, "domain1").frame(), run("histogram", "domain1").frame()
    assert by_class.equals(by_name)


def test_the_settings_of_an_instance_are_run(run):
    config = type(Histogram.preset("quick"))
    changed = Histogram(GRIDS["quick"], config(**{next(iter(vars(config()))): 7}))
    (label,) = {*run(changed, "domain1").frame()["method"]}
    assert label.startswith("histogram[")
    assert label.endswith("=7]")


def test_an_instance_of_a_task_is_run(run):
    task = Domain("domain1")
    task.name = "mine"
    values = run("identity", [task, "domain1"]).board("psnr").frame().set_index("task")["value"]
    assert values["mine"] == values["domain1"]


def test_every_number_and_interval_of_a_run_is_in_the_range_of_its_metric(run):
    results = run(["identity", "histogram"], ["domain1", "target-in"])
    frame = results.frame()
    by_subject = results.frame("subject")
    checked = set()
    for group in results.groups(results.metrics):
        for board in group.boards:
            values = board.measure.value_range
            if values == UNBOUNDED:
                continue
            own = by_subject[by_subject["metric"] == board.metric]["value"]
            assert own.between(values.low, values.high).all(), board.metric
            for row in board.rows:
                for score in row.scores.values():
                    assert not score.low < values.low, board.metric
                    assert not score.high > values.high, board.metric
            bounds = frame[frame["metric"] == board.metric]
            assert not (bounds["low"] < values.low).any(), board.metric
            checked.add(board.metric)
    assert {"harm", "harmed", "mae", "ssim", "wasserstein"} <= checked


def test_results_are_those_of_the_command_line(run, home, inside):
    run("identity", "domain1")
    cohort = (*TINY_COHORT[:-1], "tiny:12")
    _, out, _ = inside(*words("run -m identity -t domain1"), *cohort, HARMBENCH_HOME=str(home))
    assert "1 cell: 1 cached" in out


def test_a_failed_cell_is_in_the_table(run):
    class Failing(Method):
        name = "failing"
        needs = Needs.NOTHING
        summary = "fails"

        def forward(self, scans):
            raise ValueError("out of order")

    frame = run(Failing, "domain1").frame()
    assert frame["status"].tolist() == ["failed"]
    assert "out of order" in frame["reason"][0]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((("histogarm",), "domain1"), "histogarm"),
        (("identity", "domian1"), "domian1"),
        ((42, "domain1"), "42 is no method"),
        (("identity", Method), "is no task"),
    ],
)
def test_a_mistake_raises_the_error_of_the_command_line(run, arguments, complaint):
    with pytest.raises(UserError, match=complaint) as caught:
        run(*arguments)
    assert "\n" not in str(caught.value)


def test_classes_do_not_run_in_other_processes(run, darker):
    with pytest.raises(UserError, match="workers=1"):
        run(darker, "domain1", workers=2)


def test_folds_seeds_and_settings_are_those_of_the_command_line(run):
    results = run("identity", "domain1", seeds=(0, 1), folds=2)
    frame = results.frame()
    assert {*zip(frame["seed"], frame["fold"], strict=True)} == {
        (seed, fold) for seed in (0, 1) for fold in (1, 2)
    }


def test_progress_is_on_the_error_stream(run, capfd):
    run("identity", "domain1", progress=True)
    out, errors = capfd.readouterr()
    assert out == ""
    assert "identity on domain1, seed 0" in errors


def test_all_results_of_a_home_are_returned(run, home):
    run("identity", "domain1")
    assert "identity" in {*harmbench.results(home=home).frame()["method"]}
