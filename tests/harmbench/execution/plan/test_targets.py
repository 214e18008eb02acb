"""Tasks with other targets: labels, patterns, keys, and fits that tasks of one target share."""

from __future__ import annotations

import pytest

from harmbench.data.cohort_request import CohortRequest
from harmbench.errors import UserError
from harmbench.execution.plan.plan import make_plan
from harmbench.execution.plan.request import Request
from harmbench.execution.plan.selection import select
from harmbench.plugins import Registry
from harmbench.util.progress import Silent
from helpers import PLUGINS


@pytest.fixture
def registry(tmp_path, monkeypatch):
    monkeypatch.setenv("HARMBENCH_HOME", str(tmp_path))
    return Registry.discover([PLUGINS / "tiny_cohort.py"])


def request_of(*targets, tasks=("sim-exp", "sim-log", "domain1"), **changes):
    return Request(
        methods=["identity", "histogram"],
        tasks=tasks,
        targets=targets,
        cohort=CohortRequest("tiny"),
        **changes,
    )


def test_a_label_names_any_target_but_the_cohorts_own(registry):
    assert list(select(registry, request_of("each")).tasks) == [
        "sim-exp",
        "sim-exp@domain1",
        "sim-exp@elsewhere",
        "sim-log",
        "sim-log@domain1",
        "sim-log@elsewhere",
        "domain1",
        "domain1@elsewhere",
    ]
    assert list(select(registry, request_of("goal")).tasks) == ["sim-exp", "sim-log", "domain1"]


def test_a_pattern_may_name_the_target(registry):
    request = request_of("each", tasks=("sim-*@domain1",))
    assert {task.target for task in select(registry, request).tasks.values()} == {"domain1"}
    with pytest.raises(UserError, match="sim-exp@nowhere"):
        select(registry, request_of("each", tasks=("sim-exp@nowhere",)))


def test_an_unknown_target_is_named_with_the_domains(registry):
    with pytest.raises(UserError, match="no target 'domian1'; did you mean 'domain1'"):
        select(registry, request_of("domian1"))


def test_keys_depend_on_the_target_and_fits_of_one_target_are_shared(registry, tmp_path):
    def cells(*targets):
        plan = make_plan(registry, select(registry, request_of(*targets)), tmp_path, Silent())
        return {(planned.cell.label, planned.cell.task): planned.cell for planned in plan.cells}

    every, own = cells("each"), cells()
    assert {name: every[name].key for name in own} == {name: own[name].key for name in own}
    assert len({cell.key for cell in every.values()}) == len(every)
    fits = {
        target: {cell.fit_key for cell in every.values() if cell.target == target} - {None}
        for target in ("goal", "domain1")
    }
    assert [len(keys) for keys in fits.values()] == [1, 1]
    assert fits["goal"] != fits["domain1"]
    assert every["identity", "sim-exp@domain1"].group == every["identity", "sim-exp"].group


def test_a_target_without_training_scans_is_skipped_with_the_reason(registry, tmp_path):
    selection = select(registry, request_of("elsewhere", tasks=("domain1",), folds=4))
    reasons = {
        planned.cell.skip for planned in make_plan(registry, selection, tmp_path, Silent()).cells
    }
    assert None in reasons  # `elsewhere` has four subjects, so a fit in every fold
    split = tmp_path / "split.csv"
    names = [*(f"p{i},train" for i in range(6)), *(f"q{i},test" for i in range(4))]
    split.write_text("\n".join(["subject,split", *names]))
    cohort = CohortRequest("tiny", split_file=split)
    request = Request(methods=["identity"], tasks=["sim-exp"], targets=["elsewhere"], cohort=cohort)
    plan = make_plan(registry, select(registry, request), tmp_path, Silent())
    assert "elsewhere" in plan.cells[0].cell.skip
