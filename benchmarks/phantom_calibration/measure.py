"""Measure the scans of a cohort, and write a summary of every site as JSON.

    python -m phantom_calibration.measure bids:../../shared/brains real.json
    python -m phantom_calibration.measure phantom:12 phantom.json

The cohort is prepared by harmbench, on a grid that contains the whole brain.
"""

from __future__ import annotations

import argparse
import contextlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harmbench.data.cohort import Cohort
from harmbench.data.cohort_request import CohortRequest
from harmbench.data.scan_set import ScanSet
from harmbench.execution.plan.selection import open_source
from harmbench.plugins import Registry
from harmbench.util.home import writable_home
from harmbench.util.processes import in_processes
from harmbench.util.progress import Silent
from phantom_calibration.acquired_noise import acquired_noise
from phantom_calibration.scan_measures import ScanMeasures, measure_scan
from phantom_calibration.site_measures import summarize
from phantom_calibration.template import GRID
from phantom_calibration.tissues import WHITE

RECIPE = Path(__file__).with_name("brains.toml")
# One factor a scan; the brightest 0.5 % of voxels are clipped. Slice-wise scaling, which is
# the default, would destroy the bias field along z.
NORMALIZATION = "percentile"
REPEAT = "-repeat"  # ends the name of a domain with second scans of a scanner


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cohort", help="bids:PATH or phantom:SUBJECTS")
    parser.add_argument("output", type=Path, help="JSON file to write")
    parser.add_argument("--recipe", type=Path, default=RECIPE, help="of a BIDS folder")
    parser.add_argument("--domains", nargs="*", help="default: all scanners, and repeats")
    parser.add_argument("--most", type=int, help="number of processes; default: all processors")
    options = parser.parse_args()
    cohort = opened(options.cohort, options.recipe)
    domains = options.domains or scanner_domains(cohort)
    scans = measured(cohort, domains, volume_folder(options.cohort), options.most)
    summary = {
        "cohort": options.cohort.partition(":")[0],
        "left_out": sorted(cohort.left_out),
        "sites": summarize(scans),
    }
    options.output.write_text(json.dumps(rounded(summary), indent=1) + "\n")


def opened(name: str, recipe: Path) -> Cohort:
    """Prepare a cohort on the calibration grid, or open it if it was prepared before."""
    request = CohortRequest(
        name, recipe if name.startswith("bids:") else None, normalization=NORMALIZATION
    )
    source = open_source(Registry.discover(), request, "paper")
    return Cohort.open(source, GRID, writable_home(), Silent())


def scanner_domains(cohort: Cohort) -> list[str]:
    """Return target, sources and their repeats; not domains such as scans without noise."""
    scanners = [cohort.target, *cohort.sources]
    present = set(cohort.table["domain"])
    names = [name for scanner in scanners for name in (scanner, f"{scanner}{REPEAT}")]
    return [name for name in names if name in present]


def measured(
    cohort: Cohort, domains: list[str], root: Path | None, most: int | None = None
) -> list[ScanMeasures]:
    """Measure all scans of some domains, in parallel; sorted by domain, subject and session.

    With `root`, the folder of the volumes, noise is also measured on their own voxels.
    """
    jobs = [job for domain in domains for job in domain_jobs(cohort, domain, root)]
    scans = []
    with contextlib.closing(in_processes(run_job, jobs, most=most)) as results:
        for number, (job, scan) in enumerate(results, 1):
            scans.append(scan)
            print(f"{number}/{len(jobs)} {job.domain} {scan.subject} {scan.session}", flush=True)
    order = {name: index for index, name in enumerate(dict.fromkeys(job.domain for job in jobs))}
    return sorted(scans, key=lambda scan: (order[scan.domain], scan.subject, scan.session))


class Job(NamedTuple):
    """One scan of a prepared cohort.

    Attributes
    ----------
    domain
        The site that it is counted for.
    scan, labelled
        The scan, once without and once with labels; `labelled` is empty without labels.
    path, mni_to_scan
        Its volume and the transform from MNI152; both None without a volume.
    """

    domain: str
    scan: ScanSet
    labelled: ScanSet
    path: Path | None
    mni_to_scan: list[list[float]] | None


def domain_jobs(cohort: Cohort, domain: str, root: Path | None) -> list[Job]:
    """Return a job for every scan of a domain. Repeats of a scanner count for that scanner."""
    all_scans, labelled = cohort.scans(domain), cohort.scans(domain, labelled=True)
    details = cohort.table[cohort.table["domain"] == domain]["details"]
    jobs = []
    for index, (key, facts) in enumerate(zip(all_scans.scans, details, strict=True)):
        labels = [labelled.scans.index(key)] if key in labelled.scans else []
        jobs.append(
            Job(
                domain.removesuffix(REPEAT),
                all_scans.subset([index]),
                labelled.subset(labels),
                None if root is None else root / facts["path"],
                None if root is None else facts["mni_to_scan"],
            )
        )
    return jobs


def run_job(job: Job) -> ScanMeasures:
    """Measure one scan."""
    scans = job.scan.load([0])
    labels = job.labelled.load([0]).labels if len(job.labelled) else None
    scan = measure_scan(
        scans.images[0].numpy(),
        scans.masks[0].numpy(),
        None if labels is None else labels[0].numpy(),
        (job.domain, scans.subjects[0], scans.sessions[0]),
    )
    if job.path is not None:
        matrix = np.array(job.mni_to_scan)
        scan.values.update(acquired_noise(job.path, scan.tissue == WHITE, matrix))
    return scan


def volume_folder(cohort: str) -> Path | None:
    """Return the folder of a BIDS cohort, or None for other cohorts."""
    source, _, folder = cohort.partition(":")
    return Path(folder) if source == "bids" else None


def rounded(value: Any) -> Any:
    """Return nested JSON types with floats of four significant digits."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
