"""The built-in tasks: simulated shifts, real source domains, and downstream tasks."""

from __future__ import annotations

import re
from collections.abc import Sequence

from harmbench import Lazy, hookimpl

# The paper whose simulated experiments are repeated.
PAPER = "arXiv:2305.10732"
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


# Tasks of a domain: prefix of the name, class, and summary.
_SCANNERS = (
    ("", "domains:Domain", "harmonise the scans of a source scanner"),
    (
        "unseen-",
        "unseen:Unseen",
        "harmonise the scans of a scanner that fits on all sites leave out",
    ),
    (
        "travel-",
        "travel:Travel",
        "harmonise scans of travelling subjects to the same subject's scan on the target",
    ),
    (
        "wmseg-",
        "segmentation:WhiteMatter",
        "segment white matter on harmonised scans by a network of the target's",
    ),
    (
        "retest-",
        "retest:Retest",
        "white-matter volume of harmonised scans against the target's of the same subjects",
    ),
    (
        "classify-site-",
        "classify_site:ClassifySite",
        "tell harmonised scans from the target's by a classifier trained on them",
    ),
)
_BIOLOGY = (
    ("volumes-", "volumes:Volumes", "volumes of fluid, grey and white matter on harmonised scans"),
    (
        "volumes-synthseg-",
        "volumes_by_program:VolumesBySynthSeg",
        "volumes of tissues on harmonised scans by SynthSeg, if it is installed",
    ),
    (
        "volumes-fastsurfer-",
        "volumes_by_program:VolumesByFastSurfer",
        "volumes of tissues on harmonised scans by FastSurfer, if it is installed",
    ),
    ("age-", "age:Age", "predict age from harmonised scans by a model of the target"),
    ("order-", "order:Order", "keep the distances between subjects in order"),
)
# Tasks of a source domain or of the simulated scanner.
_ATROPHY = (
    (
        "atrophy-",
        "atrophy:Atrophy",
        "measure a simulated loss of 2, 5 and 10 % of tissue on harmonised scans",
    ),
)
_SAFETY = (
    (
        "ventricles-",
        "ventricles:Ventricles",
        "harmonise scans with ventricles from normal to hydrocephalus without harm",
    ),
    (
        "lesions-",
        "lesions:Lesions",
        "harmonise scans with lesions of three sizes without filling them",
    ),
    (
        "unusual-",
        "unusual:Unusual",
        "harmonise scans with a cavity, noise, motion, a cut stack or inversion",
    ),
)


@hookimpl
def register_tasks(sources: tuple[str, ...]) -> dict[str, Lazy]:
    """Register the simulated shifts, the tasks of every source domain, and `target-in`."""
    with_simulated = (SIMULATED, *sources)
    return {
        **_simulated_tasks(),
        **_of_domains(sources, _SCANNERS),
        **_of_domains(sources, _BIOLOGY),
        **_of_domains(with_simulated, _ATROPHY),
        "target-in": _task("target_in:TargetIn", "return scans of the target scanner unchanged"),
        **_of_domains(with_simulated, _SAFETY),
    }


def _of_domains(domains: Sequence[str], rows: Sequence[tuple[str, str, str]]) -> dict[str, Lazy]:
    """Return the tasks of every domain."""
    return {
        f"{prefix}{domain}" if prefix else domain_task(domain): _task(
            target, summary, source=domain
        )
        for domain in domains
        for prefix, target, summary in rows
    }


def _simulated_tasks() -> dict[str, Lazy]:
    """Return the tasks of simulated shifts."""
    undo = "simulated on the target's own scans"
    tasks = {
        "sim-exp": _task("simulated:Exp", f"undo exp(x), {undo}", reference=PAPER),
        "sim-log": _task("simulated:Log", f"undo ln(1 + 3x), {undo}", reference=PAPER),
        "sim-bias": _task(
            "simulated:Bias", "undo a smooth bias field and a random curve of each scan's own"
        ),
        "sim-scanner": _task(
            "simulated_scanner:SimulatedScanner",
            "undo the field, tissue contrast, blur and noise of a simulated scanner",
        ),
    }
    for gamma in GAMMAS:
        tasks[f"sim-gamma{gamma}"] = _task(
            "simulated:Gamma",
            f"undo x to the power of gamma, {undo}",
            reference=PAPER,
            gamma=gamma,
        )
    return tasks


def _task(target: str, summary: str, *, reference: str | None = None, **arguments: object) -> Lazy:
    """Return the registration of a class `module:Class` of this package."""
    return Lazy(f"harmbench_tasks.{target}", arguments, summary=summary, reference=reference)
