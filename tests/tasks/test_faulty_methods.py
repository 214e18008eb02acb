"""Each task notices the fault that it is for: a table of faulty methods.

A faulty method fails a threshold of its own task, which a good method passes, and leaves the
headline of a task of another family as the good method has it. The same table is in docs/tasks.md.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from harmbench.contracts.task import Task
from harmbench.data.cohort import Cohort
from harmbench.data.cohort_writer import CohortWriter, ScanRecord, write_row
from harmbench.metrics.anatomy import (
    NMI,
    GradientCorrelationSource,
    Hallucination,
    NMISource,
    Sharpness,
)
from harmbench.metrics.image import PSNR
from harmbench.metrics.multiscale import MSSSIM
from harmbench.testing.tiny import TINY, brain
from harmbench.util.hashing import digest
from harmbench_tasks.age import Age
from harmbench_tasks.atrophy import Atrophy
from harmbench_tasks.classify_site import ClassifySite
from harmbench_tasks.domains import Domain
from harmbench_tasks.lesions import Lesions
from harmbench_tasks.order import Order
from harmbench_tasks.site_classifier import PRESETS, ClassifierConfig
from harmbench_tasks.target_in import TargetIn
from harmbench_tasks.unusual import Unusual
from harmbench_tasks.ventricles import Ventricles
from harmbench_tasks.volumes import Volumes
from helpers import ROOT, faulty_methods

BY_CLASS = (Domain, ClassifySite, Volumes, Age, Order, Atrophy, Ventricles, Lesions, Unusual)
TASKS: Mapping[str, Task] = {
    task.name: task for task in (*(kind("domain1") for kind in BY_CLASS), TargetIn())
}
SAFETY = ("target-in", "ventricles-domain1", "lesions-domain1", "unusual-domain1")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A faulty method, and the task that must notice it.

    Attributes
    ----------
    fault, good
        Names of a faulty and of a good method.
    task
        The task that the faulty method fails.
    least, most
        Thresholds of its metrics, which the good method passes: a value must be above or below.
    kept
        A task of another family whose headline metric the fault leaves unchanged.
    """

    fault: str
    good: str = "good"
    task: str
    least: Mapping[str, float] = dataclasses.field(default_factory=dict)
    most: Mapping[str, float] = dataclasses.field(default_factory=dict)
    kept: str


CASES = (
    Case(
        fault="equalizes",
        task="age-domain1",
        most={"age_error": 12, "age_bias": 12},
        least={"age_r2": 0.5, "age_effect": 0.5},
        kept="ventricles-domain1",
    ),
    Case(
        fault="equalizes",
        task="atrophy-domain1",
        most={"atrophy_error": 4, "atrophy_bias_cortex": 3, "atrophy_bias_deep": 3},
        least={"atrophy_slope_cortex": 0.4, "atrophy_slope_deep": 0.4},
        kept="ventricles-domain1",
    ),
    Case(fault="hallucinates", task="order-domain1", least={"order": 0.7}, kept="target-in"),
    Case(
        fault="shrinks",
        task="volumes-domain1",
        most={"volume_error": 5, "volume_error_gm": 5, "volume_error_wm": 5, "volume_bias_gm": 5},
        least={"volume_bias_wm": -5, "volume_icc_wm": 0.9},
        kept="ventricles-domain1",
    ),
    Case(
        fault="gains",
        task="volumes-domain1",
        most={"volume_limits_wm": 5, "volume_limits_gm": 5},
        least={"volume_icc_wm": 0.9},
        kept="order-domain1",
    ),
    Case(
        fault="equalizes",
        task="volumes-domain1",
        most={"feature_mmd": 0.9},
        kept="ventricles-domain1",
    ),
    Case(
        fault="blurs",
        task="volumes-domain1",
        least={"tissue_dice": 0.9, "surface_dice": 0.9},
        kept="target-in",
    ),
    Case(
        fault="leaves_trace",
        good="rescan",
        task="classify-site-domain1",
        most={
            "site_accuracy": 0.75,
            "site_accuracy_low": 0.7,
            "site_accuracy_high": 0.75,
            "site_accuracy_linear": 0.75,
        },
        least={"site_linear_p": 0.06},
        kept="order-domain1",
    ),
    Case(fault="moves", task="classify-site-domain1", least={"source_psnr": 14}, kept="target-in"),
    Case(fault="hallucinates", task="domain1", most={"hallucination": 0.004}, kept="target-in"),
    Case(
        fault="moves",
        task="domain1",
        least={"nmi": 1.2, "ms_ssim": 0.9, "nmi_source": 1.4, "gradient_correlation_source": 0.5},
        kept="target-in",
    ),
    Case(fault="blurs", task="domain1", least={"sharpness": 0.95}, kept="target-in"),
    Case(
        fault="changes_target",
        good="unchanged",
        task="target-in",
        most={"harm": 0.5, "harmed": 0.2, "harmed_unflagged": 0.2, "change": 0.04},
        kept="domain1",
    ),
    Case(
        fault="brightens_ventricles",
        good="unchanged",
        task="ventricles-domain1",
        most={"harm": 0.5, "harmed": 0.2, "harmed_unflagged": 0.2}
        | {
            f"{kind}_{level}": 0.2
            for kind in ("harm", "harmed")
            for level in ("enlarged", "hydrocephalus")
        },
        least={"psnr_gain": -0.5},
        kept="domain1",
    ),
    Case(
        fault="fills_lesions",
        good="unchanged",
        task="lesions-domain1",
        most={"lesion_loss": 0.2, "harmed": 0.2, "harmed_unflagged": 0.2}
        | {f"lesion_loss_{size}": 0.2 for size in ("large", "medium", "small")}
        | {f"lesion_size_change_{size}": 20 for size in ("large", "medium", "small")},
        kept="volumes-domain1",
    ),
    Case(
        fault="darkens_noisy",
        good="unchanged",
        task="unusual-domain1",
        most={
            "harm": 0.5,
            "harmed": 0.1,
            "harmed_unflagged": 0.1,
            "harm_noise": 0.5,
            "harmed_noise": 0.1,
        },
        least={"psnr_gain": -0.5},
        kept="domain1",
    ),
)


def ages(shares: Mapping[str, float]) -> dict[str, float]:
    """Return ages that fall with the share of white matter, from 20 to 80 years."""
    low, high = min(shares.values()), max(shares.values())
    return {name: 20 + 60 * (high - share) / (high - low) for name, share in shares.items()}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Cohort:
    """Six subjects scanned twice on the target and once on `domain1`, and more to train on."""
    tested = [f"p{i}" for i in range(6)]
    trained, others = [f"p{i}" for i in range(6, 12)], [f"q{i}" for i in range(4)]
    scans = {
        "target": [
            *((subject, session, "test") for session in "12" for subject in tested),
            *((subject, "1", "train") for subject in trained),
            ("p12", "1", "validation"),
        ],
        "domain1": [
            *((subject, "a", "test") for subject in tested),
            *((subject, "a", "train") for subject in others),
        ],
    }
    writer = CohortWriter(tmp_path_factory.mktemp("faults"), TINY)
    shares: dict[str, float] = {}
    rows = []
    for domain, of_domain in scans.items():
        folder = writer.begin_domain(domain, len(of_domain), labelled=True)
        for row, (subject, session, split) in enumerate(of_domain):
            images, masks, labels = brain(TINY, subject, session, domain)
            for name, array in (("images", images), ("masks", masks), ("labels", labels)):
                write_row(folder, name, row, array)
            shares[subject] = float((labels == 3).sum() / masks.sum())
            rows.append(
                {
                    "domain": domain,
                    "subject": subject,
                    "session": session,
                    "row": row,
                    "split": split,
                }
            )
    old = ages(shares)
    records = [
        ScanRecord(
            **row,
            key=digest("faults", *map(str, row.values())),
            labelled=True,
            paired=True,
            covariates={"age": old[row["subject"]]},
        )
        for row in rows
    ]
    writer.finish(
        name="faults",
        key=digest("faults"),
        kind="phantom",
        target="target",
        sources=("domain1",),
        records=records,
        left_out={},
    )
    return Cohort(writer.directory)


@pytest.fixture(scope="module")
def methods(cohort) -> Mapping[str, Callable]:
    """The faulty and the good methods by name."""
    repeats = cohort.scans("target", "test")

    def rescan(scans):
        places = [
            next(n for n, scan in enumerate(repeats.scans) if (scan.subject, scan.session) == key)
            for key in ((subject, "2") for subject in scans.subjects)
        ]
        return repeats.load(places).images * scans.masks

    return {
        **vars(faulty_methods),
        "rescan": rescan,
        "leaves_trace": lambda scans: faulty_methods.leaves_trace(rescan(scans)),
    }


@pytest.fixture(scope="module")
def numbers(cohort, methods, context) -> Callable[[str, str], Mapping[str, float]]:
    """Return the numbers of a method on a task, computed once."""
    metrics = [
        PSNR(),
        NMI(),
        MSSSIM(),
        Sharpness(),
        NMISource(),
        GradientCorrelationSource(),
        Hallucination(),
    ]

    @functools.cache
    def setup(task: str):
        return TASKS[task].setup(cohort, 0)

    @functools.cache
    def run(task: str, method: str) -> Mapping[str, float]:
        data = setup(task)
        scorer = TASKS[task].scorer(dataclasses.replace(context(data), metrics=metrics))
        truth = data.references
        for place in range(len(data.test)):
            source = data.test.load([place])
            images = methods[method](dataclasses.replace(source, labels=None))
            harmonized = dataclasses.replace(source, images=images, source=source.images)
            scorer.add(source, harmonized, None if truth is None else truth.load([place]))
        return {name: value.mean for name, value in scorer.estimates(scorer.table()).items()}

    return run


@pytest.fixture(autouse=True)
def short(monkeypatch, one_thread) -> None:
    """Train the site probe less than on real scans."""
    config = ClassifierConfig(
        folds=2, seeds=1, most_steps=40, window=20, partitions=1, permutations=19
    )
    monkeypatch.setitem(PRESETS, "quick", config)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.fault} fails {case.task}")
def test_a_fault_fails_its_task_and_keeps_the_headline_of_another_family(case, numbers):
    assert TASKS[case.task].family != TASKS[case.kept].family
    good, faulty = (numbers(case.task, method) for method in (case.good, case.fault))
    for metric, threshold in case.least.items():
        assert good[metric] > threshold > faulty[metric], metric
    for metric, threshold in case.most.items():
        assert good[metric] < threshold < faulty[metric], metric
    headline = TASKS[case.kept].headline[0]
    kept, expected = (numbers(case.kept, method)[headline] for method in (case.fault, case.good))
    assert kept == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("case", [c for c in CASES if c.task in SAFETY], ids=lambda c: c.task)
def test_a_safety_task_notices_its_own_harm_alone(case, numbers):
    harmed = {task for task in SAFETY if numbers(task, case.fault)["harmed"] > 0}
    assert harmed == {case.task}
    assert {numbers(task, case.good)[TASKS[task].headline[0]] for task in SAFETY} == {0}


def test_every_task_has_a_fault():
    assert {case.task for case in CASES} == {*TASKS}


def row_of(case: Case) -> str:
    """Return the row of a case in the table of docs/tasks.md."""
    thresholds = [
        f"`{metric}` {sign} {threshold:g}"
        for sign, of_sign in (("<", case.most), (">", case.least))
        for metric, threshold in of_sign.items()
    ]
    headline = f"`{TASKS[case.kept].headline[0]}` of `{case.kept}`"
    fault = getattr(faulty_methods, case.fault).__doc__
    return f"| {fault.rstrip('.')} | `{case.task}` | {', '.join(thresholds)} | {headline} |"


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.fault} fails {case.task}")
def test_the_table_is_in_the_documentation(case):
    page = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
    assert row_of(case) in page.splitlines()
