"""The built-in tasks: simulated shifts, real source domains, and downstream tasks."""

from __future__ import annotations

import re

from harmbench import Lazy, hookimpl

# The exponents of the paper's simulated experiments.
GAMMAS = (0.7, 0.8, 0.9, 1.2, 1.3, 1.5)


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
    """Register the ten simulated shifts, and six tasks for every source domain."""
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
    return tasks
