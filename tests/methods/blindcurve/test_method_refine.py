"""Refinement of the curve by a flow's likelihood, kept as far as it helps on held-out subjects."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from harmbench import UserError
from harmbench.contracts.fit_progress import FitProgress
from harmbench_methods.blindcurve.config import BlindCurveConfig
from harmbench_methods.blindcurve.method import BlindCurve
from harmbench_methods.blindharmony_ml.config import PRESETS as LIKELIHOOD_PRESETS
from harmbench_methods.blindharmony_ml.config import LikelihoodConfig
from harmbench_methods.blindharmony_ml.method import BlindHarmonyLikelihood
from harmbench_tasks.simulated import Exp

FLOW = LikelihoodConfig(
    levels=2, steps=1, hidden=8, blocks=1, bins=4, positions=True, grey_levels=31,
    training_steps=40, batch_size=8, learning_rate=4e-3, max_gradient_norm=50.0,
    validate_every=20, validation_slices=4, quantiles=101, field_degree=1,
    likelihood_slices=3, field_iterations=1, curve_iterations=4, step=0.2,
)  # fmt: skip
PLAIN = BlindCurveConfig(
    knots=12, components=2, textures=6, field_disturbances=16, curve_disturbances=12, voxels=200,
    folds=2, hidden=8, training_steps=40, batch_size=256, guard=False,
)  # fmt: skip


@pytest.fixture(scope="module")
def config():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(LIKELIHOOD_PRESETS, "small", FLOW)
        yield dataclasses.replace(PLAIN, refine="small")


@pytest.fixture(scope="module")
def refined(small_cohort, config):
    """A method whose part is fitted first, as the runner does it."""
    data = Exp().setup(small_cohort, 0).fit_data(0)
    method = BlindCurve(small_cohort.grid, config)
    ((attribute, (kind, settings)),) = method.parts(config).items()
    assert kind is BlindHarmonyLikelihood
    part = kind(small_cohort.grid, settings)
    for name, (inner, its) in kind.parts(settings).items():
        fitted = inner(small_cohort.grid, its)
        fitted.fit(data.restricted(inner.needs), FitProgress())
        getattr(part, name).load_state_dict(fitted.state_dict())
    part.fit(data.restricted(kind.needs), FitProgress())
    getattr(method, attribute).load_state_dict(part.state_dict())
    progress = FitProgress()
    method.fit(data.restricted(method.needs), progress)
    assert progress.facts["gain"] == float(method.gain)
    return method.eval()


def test_curve_is_gone_on_with_by_the_gain(refined, small_cohort):
    scans = Exp().setup(small_cohort, 0).test.load([0])
    alone = BlindCurve(small_cohort.grid, PLAIN)
    alone.load_state_dict(refined.state_dict(), strict=False)
    (before,) = alone.eval().maps(scans)
    gain = refined.gain.clone()
    try:
        refined.gain.fill_(0.0)
        (none,) = refined.maps(scans)
        torch.testing.assert_close(none.curve.y, before.curve.y)
        refined.gain.fill_(1.0)
        (whole,) = refined.maps(scans)
        refined.gain.fill_(0.5)
        (half,) = refined.maps(scans)
    finally:
        refined.gain.copy_(gain)
    moved = (whole.curve.y - before.curve.y).abs().max()
    assert moved > 1e-3
    assert 0 < (half.curve.y - before.curve.y).abs().max() < moved
    assert bool((whole.curve.y.diff() > 0).all())
    torch.testing.assert_close(whole.field, before.field)


def test_gain_is_the_best_on_subjects_held_out(refined, small_cohort):
    # Of no gain at all it must be better or equal: that is in the choice.
    assert 0 <= float(refined.gain) <= 1
    output = refined(Exp().setup(small_cohort, 0).test.load([0, 1]))
    assert bool(output.images.isfinite().all())


def test_without_it_no_flow_is_fitted():
    assert BlindCurve.parts(BlindCurveConfig()) == {}


def test_an_unknown_flow_is_refused_by_name():
    with pytest.raises(UserError, match="refine must be empty or the preset of a flow: paper"):
        BlindCurveConfig(refine="big")
