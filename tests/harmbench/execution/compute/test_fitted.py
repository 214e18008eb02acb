"""A fitted method is rebuilt from its stored description."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from harmbench import UserError
from harmbench.data.cohort_request import CohortRequest
from harmbench.execution.compute.fitted import load_fitted
from harmbench.execution.compute.runner import Runner
from harmbench.execution.plan.plan import make_plan
from harmbench.execution.plan.request import Request
from harmbench.execution.plan.selection import select
from harmbench.plugins import Registry
from harmbench.util.progress import Silent

PLUGINS = [
    Path(__file__).parents[3] / "plugins" / name for name in ("tiny_cohort.py", "odd_methods.py")
]


@pytest.fixture
def fitted(tmp_path, monkeypatch):
    """A fit of the method `learns`, its key, and a source scan."""
    monkeypatch.setenv("COUNTS_LOG", str(tmp_path / "fits.log"))
    registry = Registry.discover(PLUGINS)
    request = Request(methods=["learns"], tasks=["domain1"], cohort=CohortRequest("tiny"))
    (planned,) = make_plan(registry, select(registry, request), tmp_path, Silent()).cells
    runner = Runner(registry=registry, home=tmp_path, device=torch.device("cpu"), progress=Silent())
    return runner.fitted(planned), planned.fit.key, planned.data.test.load([0])


def test_a_loaded_fit_harmonizes_like_the_fitted_method(fitted, tmp_path):
    method, key, scans = fitted
    loaded = load_fitted(key[:8], home=tmp_path, plugins=PLUGINS)
    assert not loaded.training
    with torch.no_grad():
        assert torch.equal(loaded(scans).images, method(scans).images)


def test_a_missing_or_damaged_fit_is_a_user_error(fitted, tmp_path):
    _, key, _ = fitted
    with pytest.raises(UserError, match=r"no fit 'xyz'.*--fits"):
        load_fitted("xyz", home=tmp_path, plugins=PLUGINS)
    (tmp_path / "fits" / key / "state.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=rf"{key} is damaged"):
        load_fitted(key, home=tmp_path, plugins=PLUGINS)
