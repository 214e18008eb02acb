"""Unseen sites: scans of a scanner that a fit on all sites leaves out."""

from __future__ import annotations

from dataclasses import replace

from harmbench import Cohort, SkipCell, TaskData, training_sites

from .domains import Domain


class Unseen(Domain):
    """Harmonise the test scans of a source domain that is left out of fits on all sites.

    Scans and truth are those of the task of the domain, so that the two compare a seen with an
    unseen site. Only methods with `Needs.SITES` have a fit that differs; all others are skipped,
    except the controls.

    Parameters
    ----------
    source
        Name of the source domain.
    """

    votes = False  # methods with other needs would rank last
    summary = "harmonise the scans of a scanner that fits on all sites leave out"

    def __init__(self, source: str) -> None:
        super().__init__(source)
        self.name = f"unseen-{source}"

    def setup(self, cohort: Cohort, seed: int) -> TaskData:
        """Choose the scans; nothing is random.

        Raises
        ------
        SkipCell
            If fewer than two sites remain.
        """
        data = super().setup(cohort, seed)
        sites = training_sites(cohort, without=(self.source,))
        if len(sites) < 2:
            raise SkipCell(
                f"without '{self.source}' there are training scans of {len(sites)} site, and a "
                "fit on all sites needs two"
            )
        return replace(data, sites=sites, unseen=True)
