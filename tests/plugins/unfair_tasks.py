"""A task that fits on source and target scans of the same subjects."""

from __future__ import annotations

import dataclasses

from harmbench import hookimpl
from harmbench_tasks.domains import Domain


class Unfair(Domain):
    summary = "fits on the same subjects in both domains"

    def __init__(self):
        super().__init__("domain1")
        self.name = "unfair"

    def setup(self, cohort, seed):
        data = super().setup(cohort, seed)
        source, target = (cohort.scans(name, "train") for name in ("domain1", cohort.target))
        return dataclasses.replace(data, source=source, target=target)


@hookimpl
def register_tasks(sources):
    return {"unfair": Unfair}
