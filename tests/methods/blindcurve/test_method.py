"""The method on the small cohort: its contract, and what it flags."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from harmbench import Needs, UserError
from harmbench.contracts.fit_progress import FitProgress
from harmbench.metrics.image import PSNR
from harmbench_methods.blindcurve.config import PRESETS, BlindCurveConfig
from harmbench_methods.blindcurve.maps import levels
from harmbench_methods.blindcurve.method import BlindCurve
from harmbench_methods.blindcurve.population import voxel_share
from harmbench_methods.histogram import Histogram
from harmbench_tasks.domains import Domain
from harmbench_tasks.simulated import Bias, Exp

SMALL = BlindCurveConfig(
    knots=12,
    components=2,
    textures=6,
    field_disturbances=48,
    curve_disturbances=16,
    voxels=400,
    folds=2,
    hidden=16,
    training_steps=200,
    batch_size=512,
)


def fitted(data, config=SMALL, seed=0, cls=BlindCurve, progress=None):
    method = cls(data.target.grid, config)
    method.fit(data.fit_data(seed).restricted(cls.needs), progress or FitProgress())
    return method.eval()


@pytest.fixture(scope="module")
def method(small_cohort):
    return fitted(Exp().setup(small_cohort, 0))


def psnr(method, data):
    places = range(len(data.test))
    output, truth = method(data.test.load(places)), data.references.load(places)
    return PSNR().measure(output, truth, data.target).mean().item()


@pytest.mark.parametrize("task", [Exp(), Bias(), Domain("domain1")], ids=lambda task: task.name)
def test_contract(method, task, small_cohort):
    scans = task.setup(small_cohort, 0).test.load([0, 1])
    before = scans.images.clone()
    output = method(scans)
    assert output.images.shape == before.shape
    assert output.images.dtype == torch.float32
    assert output.images.min() >= 0
    assert output.images.max() <= 1
    assert torch.equal(output.images[~scans.masks], before[~scans.masks])
    assert torch.equal(scans.images, before)
    assert len(output.flags) == 2
    assert method.needs is Needs.TARGET


def test_another_seed_gives_another_fit(method, small_cohort):
    scans = Bias().setup(small_cohort, 0).test.load([0])
    other = fitted(Exp().setup(small_cohort, 0), seed=1)
    assert not torch.equal(other(scans).images, method(scans).images)


def test_a_fit_records_its_curve(small_cohort):
    progress = FitProgress()
    fitted(Exp().setup(small_cohort, 0), progress=progress)
    losses = [point.value for point in progress.curves if point.name == "loss"]
    assert losses[-1] < losses[0]
    assert progress.facts["steps_done"] == SMALL.training_steps


# How far a step is believed depends on where the last one led, which rounding decides a little.
@pytest.mark.parametrize(("caution", "bound"), [(0.0, 0.02), (SMALL.caution, 0.03)])
def test_any_monotone_curve_is_undone(method, small_cohort, caution, bound):
    task = Exp().setup(small_cohort, 0)
    source, truth = task.test.load([0]), task.references.load([0])
    # What is taken off of a natural field depends a little on the curve.
    settings = dataclasses.replace(SMALL, natural=0.0, caution=caution)
    exact = BlindCurve(method.grid, settings)
    exact.load_state_dict(method.state_dict())
    exact.eval()
    assert (exact(source).images - exact(truth).images).abs().max() < bound


def test_the_set_share_of_a_natural_field_is_removed(method, small_cohort):
    scans = Exp().setup(small_cohort, 0).references.load([0])

    def field(natural):
        other = BlindCurve(method.grid, dataclasses.replace(SMALL, natural=natural))
        other.load_state_dict(method.state_dict())
        (result,) = other.eval().maps(scans)
        return result.field

    assert not field(0.0).any()
    assert field(1.0).any()
    torch.testing.assert_close(field(0.25), field(1.0) / 4)


def test_fields_are_removed(small_cohort):
    data = Bias().setup(small_cohort, 0)
    method = fitted(data, dataclasses.replace(SMALL, curve=False))
    histogram = Histogram(data.target.grid)
    histogram.fit(data.fit_data(0).restricted(Needs.TARGET), FitProgress())
    assert psnr(method, data) > psnr(histogram, data) + 1


def test_switches(small_cohort):
    data = Bias().setup(small_cohort, 0)
    method = fitted(data)
    scans = data.test.load([0])
    state = method.state_dict()
    for name in ("field", "curve"):
        other = BlindCurve(data.target.grid, dataclasses.replace(SMALL, **{name: False}))
        other.load_state_dict(state)
        (result,) = other.eval().maps(scans)
        if name == "field":
            assert not result.field.any()
        else:
            assert result.curve is result.anchor


def test_any_number_of_slices(method, small_cohort):
    scans = Exp().setup(small_cohort, 0).test.load([0])
    for count in (1, 3):
        part = dataclasses.replace(
            scans,
            images=scans.images[:, 2 : 2 + count],
            masks=scans.masks[:, 2 : 2 + count],
            positions=scans.positions[2 : 2 + count],
        )
        assert method(part).images.shape == part.images.shape


def test_unsuitable_scans_are_flagged_and_returned_unchanged(method, small_cohort):
    scans = Exp().setup(small_cohort, 0).test.load([0, 1, 2])
    images, masks = scans.images.clone(), scans.masks.clone()
    images[1] = torch.where(masks[1], 1.05 - images[1], 0).clamp(0, 1)
    images[2], masks[2] = 0, False
    given = dataclasses.replace(scans, images=images, masks=masks)
    output = method(given)
    assert "unchanged" not in output.flags[0]
    assert "another contrast" in output.flags[1]
    assert "no foreground" in output.flags[2]
    assert torch.equal(output.images[1:], images[1:])
    assert not torch.equal(output.images[0], images[0])


def test_a_curve_far_from_the_targets_is_limited_and_flagged(method, small_cohort):
    scans = Exp().setup(small_cohort, 0).test.load([0])

    def scan_map(departure_limit):
        settings = dataclasses.replace(SMALL, guard=False, departure_limit=departure_limit)
        other = BlindCurve(method.grid, settings)
        other.load_state_dict(method.state_dict())
        # A regression that finds a much brighter subject in every scan.
        other.curve_expected += 3 * other.spread
        (result,) = other.eval().maps(scans)
        change = (result.curve.y - result.anchor.y).square() @ voxel_share(levels(SMALL.knots))
        return float(change.sqrt() / other.spread), result.flag

    size, flag = scan_map(0.5)
    free_size, free_flag = scan_map(1e6)
    assert size < 0.51 < 2 < free_size
    assert "0.5" in flag
    assert free_flag == ""


@pytest.mark.parametrize("count", [1, 2])
def test_few_subjects(count, small_cohort):
    data = Exp().setup(small_cohort, 0)
    few = dataclasses.replace(data, target=data.target.subset(range(count)))
    method = fitted(few)
    assert method(data.test.load([0])).images.isfinite().all()
    assert int(method.components.any(dim=1).sum()) == count - 1


@pytest.mark.parametrize(
    "setting", [{"field_strength": 1.0}, {"prior": 0.0}, {"folds": 0}, {"noise": -0.1}]
)
def test_settings_out_of_range(setting):
    with pytest.raises(UserError, match=next(iter(setting))):
        BlindCurveConfig(**setting)


def test_presets():
    assert set(PRESETS) == {"quick", "paper", "tiny"}
