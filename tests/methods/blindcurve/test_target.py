"""What is estimated of the target's own scans."""

from __future__ import annotations

import pytest
import torch

from harmbench.contracts.fit_progress import FitProgress
from harmbench_methods.blindcurve.config import PRESETS
from harmbench_methods.blindcurve.method import BlindCurve
from harmbench_methods.blindcurve.target import natural_estimates
from harmbench_tasks.simulated import Exp
from helpers.methods import fitted


@pytest.fixture(scope="module")
def data(small_cohort):
    return Exp().setup(small_cohort, 0)


@pytest.fixture(scope="module")
def method(data):
    return fitted(BlindCurve, data, PRESETS["tiny"]).eval()


class Killed(Exception):
    """The end of a process before it has estimated a scan."""


class Counts(FitProgress):
    """Counts the scans that are estimated, and is killed before the n-th of them."""

    def __init__(self, folder, last=None):
        super().__init__(checkpoints=folder, checkpoint_seconds=0)
        self.last, self.count = last, 0

    def track(self, items, description, total=None):
        for item in super().track(items, description, total):
            if self.count == self.last:
                raise Killed
            self.count += 1
            yield item


def test_estimates_resume_at_the_scan_that_was_killed(data, method, tmp_path):
    sets, hypotheses = (data.target, data.validation), method._hypotheses
    whole = natural_estimates(sets, hypotheses, FitProgress())
    with pytest.raises(Killed):
        natural_estimates(sets, hypotheses, Counts(tmp_path, last=2))
    resumed_at = Counts(tmp_path)
    resumed = natural_estimates(sets, hypotheses, resumed_at)
    assert resumed_at.count == len(data.target) + len(data.validation) - 2
    assert resumed.subjects == whole.subjects == [*data.target.subjects, *data.validation.subjects]
    for name in ("fields", "gains", "curves"):
        assert torch.equal(getattr(resumed, name), getattr(whole, name))
