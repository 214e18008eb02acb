"""Real source domains, with pairs and without; and what the tasks' plugin registers."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import harmbench_tasks
from harmbench.data.cohort import Cohort
from harmbench.errors import SkipCell
from harmbench.metrics.distribution import Wasserstein
from harmbench.metrics.image import PSNR
from harmbench.statistics.estimate import estimates
from harmbench_tasks.domains import Domain
from harmbench_tasks.simulated import Exp


def test_paired_source(small_cohort) -> None:
    data = Domain("domain1").setup(small_cohort, 0)
    assert data.test.domain == "domain1"
    assert data.references.domain == "target"
    assert data.test.subjects == data.references.subjects == ("p1", "p0")
    assert [scan.session for scan in data.references.scans] == ["1", "1"]
    assert data.pairs[0].subjects == data.pairs[1].subjects == ("p3", "p4", "p5")
    assert (len(data.source), len(data.target)) == (3, 3)
    assert "p6" in data.target.subjects
    chosen = {*data.source.subjects} | {*data.target.subjects}
    assert chosen == {"p3", "p4", "p5", "p6", "p7", "p8"}
    assert not {*data.source.subjects} & {*data.target.subjects}
    assert data.validation.subjects == ("p2",)
    assert data.parameters == {"source": "domain1", "paired": True}


def test_unpaired_source(small_cohort) -> None:
    data = Domain("north").setup(small_cohort, 0)
    assert data.test.subjects == ("n0", "n0", "n1")
    assert data.references is None
    assert data.pairs is None
    assert "'north' and 'target'" in data.no_pairs
    assert data.source.subjects == ("n2", "n3")
    # The same target scans as for the source that shares subjects with the target.
    assert data.target.digest == Domain("domain1").setup(small_cohort, 0).target.digest
    assert data.parameters["paired"] is False


def test_every_task_has_the_same_halves(small_cohort, own_cohort, change_table) -> None:
    halves = {Domain("domain1").setup(small_cohort, seed).source.subjects for seed in (0, 1)}
    assert len(halves) == 1
    # Without these, all training subjects were scanned on both scanners.
    cohort = change_table(
        own_cohort(), lambda scan: None if scan["subject"] in ("p6", "p7", "p8") else scan
    )
    domain, simulated = (task.setup(cohort, 0) for task in (Domain("domain1"), Exp()))
    assert domain.source.subjects == simulated.source.subjects
    assert domain.target.digest == simulated.target.digest


def test_source_without_test_scans(own_cohort) -> None:
    cohort = own_cohort()
    path = cohort.directory / "cohort.json"
    description = json.loads(path.read_text())
    description["scans"] = [
        scan
        for scan in description["scans"]
        if (scan["domain"], scan["split"]) != ("north", "test")
    ]
    path.write_text(json.dumps(description))
    with pytest.raises(SkipCell, match="'north' has no test scans"):
        Domain("north").setup(Cohort(cohort.directory), 0)


def test_only_applicable_metrics_are_scored(small_cohort) -> None:
    metrics = [PSNR(), Wasserstein()]
    for source, expected in (("domain1", {"psnr", "wasserstein"}), ("north", {"wasserstein"})):
        task = Domain(source)
        data = task.setup(small_cohort, 0)
        references = None if data.references is None else data.references.load([0])
        scores = task.score(data.test.load([0]), references, data, metrics)
        assert set(scores["metric"]) == expected


def test_scans_without_noise_are_a_bound(own_cohort, change_table, context, small_cohort) -> None:
    # Scans of the source stand in for the scans without noise.
    task = Domain("domain1")
    data = task.setup(change_table(own_cohort(), lambda scan: scan, noise_free="domain1"), 0)
    assert data.extra["noise free"].subjects == data.references.subjects
    bound = estimates(task.bounds(context(data))["target scans without noise"])["psnr"]
    expected = [
        PSNR().measure(data.test.load([i]), data.references.load([i]), data.target).mean().item()
        for i in range(len(data.test))
    ]
    assert bound.mean == pytest.approx(sum(expected) / 2)
    assert task.bounds(context(task.setup(small_cohort, 0))) == {}


def test_names_and_registration() -> None:
    tasks = harmbench_tasks.register_tasks(("domain1", "domain12", "ixihh", "domainX"))
    assert tasks["domain12"].target == "harmbench_tasks.domains:Domain"
    assert tasks["domain12"].kwargs == {"source": "domain12"}
    assert {"domain1", "domain12", "site-ixihh", "site-domainX"} < set(tasks)
    assert {"wmseg-domain1", "retest-ixihh", "classify-site-domain12"} < set(tasks)
    assert {"unseen-ixihh", "travel-domain1"} < set(tasks)
    of_sources = [name for name in tasks if name.endswith(("domain12", "-ixihh"))]
    assert len(of_sources) == 2 * 15
    assert {"target-in", "lesions-sim", "lesions-ixihh", "age-ixihh"} < set(tasks)
    for name, lazy in tasks.items():
        assert lazy.load()(**lazy.kwargs).name == name


def test_registering_is_light() -> None:
    code = (
        "import sys, harmbench_tasks, harmbench_methods;"
        "harmbench_tasks.register_tasks(('domain1',)); harmbench_methods.register_methods();"
        "print([m for m in ('torch', 'pandas', 'mlflow', 'monai') if m in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"
