"""Planning: variants of methods, and errors before data is read."""

from __future__ import annotations

import dataclasses

import pytest

from harmbench.contracts.published import BASELINE
from harmbench.data.cohort_request import CohortRequest
from harmbench.errors import UserError
from harmbench.execution.plan.plan import make_plan
from harmbench.execution.plan.request import Request
from harmbench.execution.plan.selection import select
from harmbench.plugins import Registry
from harmbench.util.progress import Silent
from helpers import PLUGINS

ASKED = Request(methods=["curved"], tasks=["sim-exp"], cohort=CohortRequest("tiny"), ablations=True)


FILES = [PLUGINS / "tiny_cohort.py", PLUGINS / "ablated_methods.py"]


@pytest.fixture
def registry(tmp_path, monkeypatch):
    monkeypatch.setenv("HARMBENCH_HOME", str(tmp_path))
    return Registry.discover(FILES)


def test_ablations_are_variants_next_to_the_baseline(registry):
    variants = select(registry, ASKED).variants
    assert [(variant.title, variant.label) for variant in variants] == [
        (BASELINE, "curved"),
        ("power = 1", "curved[power=1]"),
        ("lift = 0.1", "curved[lift=0.1]"),
    ]
    assert isinstance(variants[1].config.power, float)
    assert len(select(registry, dataclasses.replace(ASKED, ablations=False)).variants) == 1


def test_an_ablation_starts_from_the_settings_of_the_request(registry):
    request = dataclasses.replace(ASKED, assignments=["curved.power=0.5", "curved.lift=0.2"])
    configs = [variant.config for variant in select(registry, request).variants]
    assert [(config.power, config.lift) for config in configs] == [(0.5, 0.2), (1, 0.2), (0.5, 0.1)]


def test_only_variants_of_inference_settings_share_the_fit(registry, tmp_path):
    plan = make_plan(registry, select(registry, ASKED), tmp_path, Silent())
    fits = [planned.cell.fit_key for planned in plan.cells]
    assert fits[0] == fits[1] != fits[2]
    assert len({planned.cell.key for planned in plan.cells}) == 3


@pytest.mark.parametrize("pattern", ["unfit", "unf*"])
def test_a_method_that_does_not_fit_the_grid_is_an_error_or_left_out(pattern):
    lines = []
    registry = Registry.discover(FILES, lines.append)
    request = Request(
        methods=["identity", pattern], tasks=["sim-exp"], cohort=CohortRequest("tiny")
    )
    if pattern == "unfit":
        with pytest.raises(UserError, match="unfit has no way with 72 rows"):
            select(registry, request)
    else:
        assert [variant.name for variant in select(registry, request).variants] == ["identity"]
        assert lines == ["method 'unfit' is left out: unfit has no way with 72 rows"]


def test_a_wrong_setting_of_a_method_of_a_glob_is_an_error_all_the_same(registry):
    request = Request(
        methods=["cur*"],
        tasks=["sim-exp"],
        cohort=CohortRequest("tiny"),
        assignments=["curved.power=much"],
    )
    with pytest.raises(UserError, match="--set curved.power=much: expected float"):
        select(registry, request)


def test_shared_subjects_are_an_error_without_pairs_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("HARMBENCH_HOME", str(tmp_path))
    registry = Registry.discover([PLUGINS / "tiny_cohort.py", PLUGINS / "unfair_tasks.py"])
    methods = ["identity", "histogram", "unet", "cyclegan"]
    request = Request(
        methods=methods, tasks=["domain1", "unfair"], cohort=CohortRequest(name="tiny")
    )
    plan = make_plan(registry, select(registry, request), tmp_path, Silent())
    faults = {(cell.cell.task, cell.cell.method): cell.fault for cell in plan.cells}
    fault = faults.pop(("unfair", "cyclegan"))
    assert fault.startswith("the task's data are not fair: source and target share the subjects p")
    assert fault.endswith("divide them by harmbench.disjoint_subjects in Task.setup")
    assert set(faults.values()) == {None}
    assert all(cell.fit is not None for cell in plan.cells if cell.cell.method == "unet")


def test_tuning_is_another_question_on_validation_subjects(registry, tmp_path):
    cells = {}
    for split in ("test", "tuning"):
        request = Request(
            methods=["identity", "curved"],
            tasks=["sim-exp"],
            cohort=CohortRequest("tiny"),
            split=split,
        )
        cells[split] = make_plan(registry, select(registry, request), tmp_path, Silent()).cells
    test, tuning = cells["test"][1], cells["tuning"][1]
    assert [cell.cell.split for cell in (test, tuning)] == ["test", "tuning"]
    assert tuning.data.test.subjects == test.data.validation.subjects
    fitted_on = {*tuning.data.target.subjects, *tuning.data.source.subjects}
    assert fitted_on <= {*test.data.target.subjects, *test.data.source.subjects}
    assert not {*tuning.data.test.subjects} & {*tuning.data.validation.subjects}
    assert test.cell.cohort_key == tuning.cell.cohort_key
    assert test.cell.question != tuning.cell.question
    assert len({planned.cell.key for split in cells.values() for planned in split}) == 4


def test_the_tasks_of_a_fold_share_fits_and_folds_do_not(registry, tmp_path):
    request = Request(
        methods=["identity", "curved"],
        tasks=["sim-exp", "sim-log", "domain1"],
        cohort=CohortRequest("tiny"),
        folds=3,
    )
    cells = make_plan(registry, select(registry, request), tmp_path, Silent()).cells
    assert [each.cell.fold for each in cells] == [1] * 6 + [2] * 6 + [3] * 6
    assert {each.cell.split for each in cells} == {"3 folds"}
    assert len({each.cell.key for each in cells}) == 18
    assert len({each.cell.question for each in cells}) == 9
    fits = {
        fold: {each.fit.key: each.fit for each in cells if each.fit and each.cell.fold == fold}
        for fold in (1, 2, 3)
    }
    # The simulated shifts fit on one half of the subjects, and so does domain1.
    assert [len(by_key) for by_key in fits.values()] == [1, 1, 1]
    assert len(set.union(*(set(by_key) for by_key in fits.values()))) == 3
    assert [fit.title for fit in fits[2].values()] == ["fit of curved, seed 0, fold 2"]
    tested = [subject for each in cells[::6] for subject in each.data.test.subjects]
    assert sorted(tested) == [f"p{i}" for i in range(6)]
    for each in cells:
        if each.fit is not None:
            assert not {*each.data.test.subjects} & {*each.fit.fit_data.target.subjects}


def test_folds_and_tuning_exclude_each_other(registry):
    request = dataclasses.replace(ASKED, folds=2, split="tuning")
    with pytest.raises(UserError, match="--folds 2 tests every subject, and --split tuning leaves"):
        select(registry, request)


SHIFT = """
from dataclasses import dataclass

from harmbench import Task, TaskData, digest, hookimpl
from harmbench_tasks.scan_changes import Changes

@dataclass(frozen=True)
class Darker:
    @property
    def digest(self):
        return digest("darker")

    def __call__(self, images, masks, index):
        return images * FACTOR

class Shifted(Task):
    name, summary = "shifted", "scans that a plugin changes"

    def setup(self, cohort, seed):
        train, validation, test = (
            cohort.scans(cohort.target, split) for split in ("train", "validation", "test")
        )
        shifted = test.with_transform(Changes(scans=test, changes=(Darker(),) * len(test)))
        return TaskData(target=train, validation=validation, test=shifted, references=test)

@hookimpl
def register_tasks(sources):
    return {"shifted": Shifted}
"""


def test_outputs_depend_on_the_code_of_all_parts_of_a_shift(tmp_path):
    keys = set()
    for factor in ("0.9", "0.5"):
        path = tmp_path / "shift.py"
        path.write_text(SHIFT.replace("FACTOR", factor))
        registry = Registry.discover([PLUGINS / "tiny_cohort.py", path])
        request = Request(
            methods=("histogram",), tasks=("shifted",), cohort=CohortRequest("tiny"), seeds=(0,)
        )
        (planned,) = make_plan(registry, select(registry, request), tmp_path, Silent()).cells
        keys.add(planned.outputs_key)
    assert len(keys) == 2


def test_tasks_with_the_same_scans_share_outputs_of_one_method_and_seed(registry, tmp_path):
    request = Request(
        methods=("histogram", "identity", "oracle"),
        tasks=("domain1", "retest-domain1", "site-elsewhere", "target-in"),
        cohort=CohortRequest("tiny"),
        seeds=(0, 1),
    )
    plan = make_plan(registry, select(registry, request), tmp_path, Silent())
    shared = [
        [(p.cell.method, p.cell.task, p.cell.seed) for p in plan.cells if p.cell.key in cells]
        for cells in plan.cells_of_outputs.values()
    ]
    assert sorted(shared) == [
        [(method, task, seed) for task in ("domain1", "retest-domain1")]
        for method in ("histogram", "identity")
        for seed in (0, 1)
    ]
