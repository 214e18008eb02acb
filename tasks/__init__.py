"""The built-in tasks: simulated contrast shifts, real source domains, and what comes after."""

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
def register_tasks(sources: tuple[str, ...]) -> dict[str, str | Lazy]:
    """Register the nine simulated shifts, and for every source domain what is asked of it."""
    simulated = "harmbench_tasks.simulated"
    tasks: dict[str, str | Lazy] = {
        "sim-exp": f"{simulated}:Exp",
        "sim-log": f"{simulated}:Log",
        "sim-bias": f"{simulated}:Bias",
    }
    for gamma in GAMMAS:
        tasks[f"sim-gamma{gamma}"] = Lazy(f"{simulated}:Gamma", {"gamma": gamma})
    for source in sources:
        chosen = {"source": source}
        tasks[domain_task(source)] = Lazy("harmbench_tasks.domains:Domain", chosen)
        tasks[f"wmseg-{source}"] = Lazy("harmbench_tasks.segmentation:WhiteMatter", chosen)
        tasks[f"retest-{source}"] = Lazy("harmbench_tasks.retest:Retest", chosen)
        tasks[f"classify-site-{source}"] = Lazy(
            "harmbench_tasks.classify_site:ClassifySite", chosen
        )
    return tasks
