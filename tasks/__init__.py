"""The built-in tasks: simulated shifts, real source domains, and downstream tasks."""

from __future__ import annotations

import re

from harmbench import Lazy, hookimpl

# The exponents of the paper's simulated experiments.
GAMMAS = (0.7, 0.8, 0.9, 1.2, 1.3, 1.5)

# Name of the simulated scanner where tasks of a source domain need a truth.
SIMULATED = "sim"


def domain_task(source: str) -> str:
    """Name the task of a source domain.

    Examples
    --------
    >>> domain_task("domain3"), domain_task("ixihh")
    ('domain3', 'site-ixihh')
    """
    return source if re.fullmatch(r"domain\d+", source) else f"site-{source}"


@hookimpl
def register_tasks(sources: tuple[str, ...]) -> dict[str, Lazy]:
    """Register the simulated shifts, and the tasks of every source domain."""
    simulated = "harmbench_tasks.simulated"
    tasks: dict[str, Lazy] = {
        "sim-exp": Lazy(
            f"{simulated}:Exp", summary="undo exp(x), simulated on the target's own scans"
        ),
        "sim-log": Lazy(
            f"{simulated}:Log", summary="undo ln(1 + 3x), simulated on the target's own scans"
        ),
        "sim-bias": Lazy(
            f"{simulated}:Bias",
            summary="undo a smooth bias field and a random curve of each scan's own",
        ),
    }
    tasks["sim-scanner"] = Lazy(
        "harmbench_tasks.simulated_scanner:SimulatedScanner",
        summary="undo the field, tissue contrast, blur and noise of a simulated scanner",
    )
    for gamma in GAMMAS:
        tasks[f"sim-gamma{gamma}"] = Lazy(
            f"{simulated}:Gamma",
            {"gamma": gamma},
            summary="undo x to the power of gamma, simulated on the target's own scans",
        )
    for source in sources:
        chosen = {"source": source}
        tasks[domain_task(source)] = Lazy(
            "harmbench_tasks.domains:Domain",
            chosen,
            summary="harmonise the scans of a source scanner",
        )
        tasks[f"unseen-{source}"] = Lazy(
            "harmbench_tasks.unseen:Unseen",
            chosen,
            summary="harmonise the scans of a scanner that fits on all sites leave out",
        )
        tasks[f"travel-{source}"] = Lazy(
            "harmbench_tasks.travel:Travel",
            chosen,
            summary=(
                "harmonise scans of travelling subjects to the same subject's scan on the target"
            ),
        )
        tasks[f"wmseg-{source}"] = Lazy(
            "harmbench_tasks.segmentation:WhiteMatter",
            chosen,
            summary="segment white matter on harmonised scans by a network of the target's",
        )
        tasks[f"retest-{source}"] = Lazy(
            "harmbench_tasks.retest:Retest",
            chosen,
            summary=(
                "white-matter volume of harmonised scans against the target's of the same subjects"
            ),
        )
        tasks[f"classify-site-{source}"] = Lazy(
            "harmbench_tasks.classify_site:ClassifySite",
            chosen,
            summary="tell harmonised scans from the target's by a classifier trained on them",
        )
    return tasks | _biology_tasks(sources) | _safety_tasks(sources)


def _biology_tasks(sources: tuple[str, ...]) -> dict[str, Lazy]:
    """Return the tasks of what harmonisation must preserve, and of tissue volumes."""
    tasks = {}
    for source in sources:
        chosen = {"source": source}
        tasks[f"volumes-{source}"] = Lazy(
            "harmbench_tasks.volumes:Volumes",
            chosen,
            summary="volumes of fluid, grey and white matter on harmonised scans",
        )
        tasks[f"age-{source}"] = Lazy(
            "harmbench_tasks.age:Age",
            chosen,
            summary="predict age from harmonised scans by a model of the target",
        )
        tasks[f"order-{source}"] = Lazy(
            "harmbench_tasks.order:Order",
            chosen,
            summary="keep the distances between subjects in order",
        )
    for source in (SIMULATED, *sources):
        tasks[f"atrophy-{source}"] = Lazy(
            "harmbench_tasks.atrophy:Atrophy",
            {"source": source},
            summary="measure a simulated loss of 2, 5 and 10 % of tissue on harmonised scans",
        )
    return tasks


def _safety_tasks(sources: tuple[str, ...]) -> dict[str, Lazy]:
    """Return the tasks of scans that must not be harmed."""
    tasks = {
        "target-in": Lazy(
            "harmbench_tasks.target_in:TargetIn",
            summary="return scans of the target scanner unchanged",
        )
    }
    for source in (SIMULATED, *sources):
        chosen = {"source": source}
        tasks[f"ventricles-{source}"] = Lazy(
            "harmbench_tasks.ventricles:Ventricles",
            chosen,
            summary="harmonise scans with ventricles from normal to hydrocephalus without harm",
        )
        tasks[f"lesions-{source}"] = Lazy(
            "harmbench_tasks.lesions:Lesions",
            chosen,
            summary="harmonise scans with lesions of three sizes without filling them",
        )
        tasks[f"unusual-{source}"] = Lazy(
            "harmbench_tasks.unusual:Unusual",
            chosen,
            summary="harmonise scans with a cavity, noise, motion, a cut stack or inversion",
        )
    return tasks
