"""How often does `harmbench harmonize` report a scan of the same scanner, and one of another?

Subjects of a scanner are drawn as those of a fit; all other scans of the cohort are compared with
them as with the source scans of a fit::

    python benchmarks/unlike_scans.py HOME/cohorts/phantom-quick-KEY --subjects 8 16 --draws 6

Only subjects for training and validation are used. `--thirds` uses two of three subjects of each
scanner instead, for a cohort without a split.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from harmbench.data.appearance import appearance, shading
from harmbench.data.cohort import Cohort
from harmbench.harmonization.familiarity import differences, shading_differences

Scan = Mapping[str, Any]


def measured(cohort: Cohort, domain: str, *, thirds: bool) -> list[Scan]:
    """Measure the scans of a domain as a fit stores them."""
    scans = cohort.scans(domain)
    table = cohort.table[cohort.table["domain"] == domain]
    if thirds:
        subjects = {s for i, s in enumerate(sorted({*table["subject"]})) if i % 3 < 2}
    else:
        subjects = {*table.loc[table["split"] != "test", "subject"]}
    found = []
    for place, key in enumerate(scans.scans):
        if key.subject in subjects:
            loaded = scans.load([place])
            image, mask = loaded.images[0].numpy(), loaded.masks[0].numpy()
            of = (image, mask, scans.grid.spacing)
            found.append(
                {"subject": key.subject, "appearance": appearance(*of), "shading": shading(*of)}
            )
    return found


def rows(
    scans: Mapping[str, list[Scan]], count: int, draws: int
) -> Iterator[tuple[str, str, bool, bool]]:
    """Yield (scanner of the fit, scanner of the scan, reported without shading, reported)."""
    rng = np.random.default_rng(0)
    for _ in range(draws):
        for fitted, own in scans.items():
            subjects = sorted({scan["subject"] for scan in own})
            if len(subjects) <= count:
                continue
            chosen = {*rng.choice(subjects, count, replace=False)}
            seen = {"blind": False, "scans": [scan for scan in own if scan["subject"] in chosen]}
            for domain, others in scans.items():
                for scan in others:
                    if scan["subject"] not in chosen:
                        measures = bool(differences(scan["appearance"], seen))
                        shaded = bool(shading_differences(scan["shading"], seen))
                        yield fitted, domain, measures, measures or shaded


def main() -> None:
    """Print the shares of scans that are reported."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--subjects", type=int, nargs="+", default=[8])
    parser.add_argument("--draws", type=int, default=6)
    parser.add_argument("--thirds", action="store_true")
    options = parser.parse_args()
    cohort = Cohort(options.cohort)
    scans = {
        domain: measured(cohort, domain, thirds=options.thirds)
        for domain in (cohort.target, *cohort.sources)
    }
    for count in options.subjects:
        pairs: dict[tuple[str, str], list[tuple[bool, bool]]] = defaultdict(list)
        for fitted, domain, *reported in rows(scans, count, options.draws):
            pairs[fitted, domain].append((reported[0], reported[1]))
        for title, same in (("same scanner", True), ("other scanners", False)):
            of = {
                pair: np.mean(flags, 0)
                for pair, flags in pairs.items()
                if (pair[0] == pair[1]) is same
            }
            shares = np.array([*of.values()])
            least, most = (
                min(of, key=lambda pair: of[pair][1]),
                max(of, key=lambda pair: of[pair][1]),
            )
            print(
                f"{count} subjects, {title}: without shading {shares[:, 0].mean():.1%}, with "
                f"{shares[:, 1].mean():.1%}; least {of[least][1]:.0%} {least}, most "
                f"{of[most][1]:.0%} {most}"
            )


if __name__ == "__main__":
    main()
