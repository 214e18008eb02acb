"""What tests of tasks score with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from harmbench.contracts.scorer import ScoringContext
from harmbench.contracts.task_data import TaskData
from harmbench.data.scan_files import array_path
from harmbench.metrics.image import PSNR
from harmbench.metrics.overlap import HD95, Dice
from harmbench.util.progress import Silent
from harmbench_tasks.segmentation_network import SegmenterConfig
from harmbench_tasks.segmenter import Segmenter
from harmbench_tasks.tissue_segmenter import TissueSegmenter


class Threshold(Segmenter):
    """Finds white matter where the small cohort's target shows it: what is bright."""

    def forward(self, scans):
        import dataclasses

        white = (scans.images > 0.72).to(torch.uint8) * 3
        return dataclasses.replace(scans, predicted=white)


class LinearTissues(TissueSegmenter):
    """Finds tissues by the intensities of the small cohort's target, and mixtures between them."""

    LEVELS = (0.16, 0.59, 0.96)

    def probabilities(self, scans):
        fluid, grey, white = self.LEVELS
        below = ((grey - scans.images) / (grey - fluid)).clamp(0, 1)
        above = ((scans.images - grey) / (white - grey)).clamp(0, 1)
        return torch.stack([below, 1 - below - above, above], dim=1) * scans.masks[:, None]

    def segmented(self, scans):
        return self.forward(scans), self.probabilities(scans)

    def forward(self, scans):
        import dataclasses

        predicted = (1 + self.probabilities(scans).argmax(dim=1)).to(torch.uint8) * scans.masks
        return dataclasses.replace(scans, predicted=predicted)


@pytest.fixture(scope="session")
def context() -> Callable[[TaskData], ScoringContext]:
    """Return what a task's data is scored with; its segmenters are thresholds."""

    def make(data: TaskData) -> ScoringContext:
        config = SegmenterConfig(width=2, levels=2, units=1)
        return ScoringContext(
            data=data,
            metrics=[PSNR(), Dice(), HD95()],
            instruments={
                "segmenter": Threshold(data.test.grid, config),
                "tissue segmenter": LinearTissues(data.test.grid, config),
            },
            device=torch.device("cpu"),
            seed=0,
            preset="quick",
            progress=Silent(),
        )

    return make


@pytest.fixture
def change_labels() -> Callable[..., None]:
    """Change the labels that a cohort of the test's own holds of a domain."""

    def change(cohort, domain: str, rows, old: int, new: int) -> None:
        for row in rows:
            path = array_path(cohort.directory / domain, "labels", row)
            labels = np.load(path)
            labels[labels == old] = new
            np.save(path, labels)

    return change


@pytest.fixture
def change_table() -> Callable[..., object]:
    """Return a cohort of the test's own with other records; `None` removes one."""
    import json

    from harmbench.data.cohort import Cohort

    def change(cohort, edit, **facts):
        path = cohort.directory / "cohort.json"
        content = json.loads(path.read_text())
        content["scans"] = [made for scan in content["scans"] if (made := edit(scan))]
        content["facts"] = {**content.get("facts", {}), **facts}
        path.write_text(json.dumps(content))
        return Cohort(cohort.directory)

    return change


@pytest.fixture
def outcome(small_cohort) -> Callable[..., dict[str, float]]:
    """Return the numbers of a function of scans on a task, by metric."""
    import dataclasses

    def run(task, harmonize, context, cohort=small_cohort, flags=None):
        data = task.setup(cohort, 0)
        scorer = task.scorer(context(data))
        truth = data.references
        for place in range(len(data.test)):
            source = data.test.load([place])
            images = harmonize(dataclasses.replace(source, labels=None))
            harmonized = dataclasses.replace(source, images=images, flags=flags)
            scorer.add(source, harmonized, None if truth is None else truth.load([place]))
        return {name: value.mean for name, value in scorer.estimates(scorer.table()).items()}

    return run
