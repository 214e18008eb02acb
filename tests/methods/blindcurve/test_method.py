"""The method on the small cohort: what it removes, and what it leaves alone."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from harmbench import Method, Needs, UserError
from harmbench.contracts.fit_progress import FitProgress
from harmbench.contracts.model import fit_settings
from harmbench.testing.method_stack_checks import longer_stack
from harmbench_methods.blindcurve.config import ABLATIONS, PRESETS, BlindCurveConfig
from harmbench_methods.blindcurve.field import n4_field
from harmbench_methods.blindcurve.method import BlindCurve
from harmbench_methods.blindharmony.config import PRESETS as FLOW_PRESETS
from harmbench_methods.blindharmony.config import BlindHarmonyConfig, FlowConfig
from harmbench_methods.histogram import Histogram
from harmbench_tasks.simulated import Bias, Exp
from helpers.methods import fitted, mean_psnr

SMALL = BlindCurveConfig(
    levels=2,
    steps=2,
    hidden=8,
    blocks=1,
    bins=4,
    positions=True,
    grey_levels=31,
    training_steps=30,
    batch_size=8,
    learning_rate=4e-3,
    max_gradient_norm=50.0,
    flips=True,
    validate_every=20,
    validation_slices=4,
    quantiles=201,
    n4_resolution=15.0,
    likelihood_slices=3,
    field_iterations=4,
    curve_iterations=3,
)


@pytest.fixture(scope="module")
def data(small_cohort):
    return Exp().setup(small_cohort, 0)


@pytest.fixture(scope="module")
def method(data):
    return fitted(BlindCurve, data, SMALL).eval()


def with_settings(method, **settings):
    other = BlindCurve(method.grid, dataclasses.replace(SMALL, **settings))
    other.load_state_dict(method.state_dict())
    return other.eval()


@pytest.fixture(scope="module")
def plain(data):
    """A scan that has no field."""
    return data.test.load([0])


@pytest.fixture(scope="module")
def with_wrong_field(method, plain):
    """Return the method with other settings, for which N4 finds a strong field in that scan."""
    found = n4_field(method._population, plain.images[0], plain.masks[0])
    wrong = torch.zeros_like(found)
    wrong[method.cosines.terms.index((0, 1, 1))] = 0.6

    def make(**settings):
        other = with_settings(method, **settings)
        other.natural_fields.mean.copy_(found - wrong)
        other.natural_fields.covariance.copy_(1e-4 * torch.eye(len(found)))
        return other

    return make


def test_a_fit_of_two_subjects_depends_on_the_seed(data):
    none = data.validation.subset([])
    few = dataclasses.replace(data, target=data.target.subset(range(2)), validation=none)
    first = fitted(BlindCurve, few, PRESETS["tiny"]).eval()
    assert first(data.test.load([0])).images.isfinite().all()
    other = BlindCurve(first.grid, PRESETS["tiny"])
    other.load_state_dict(first.state_dict())
    other.fit(few.fit_data(1).restricted(Needs.TARGET), FitProgress())
    assert not torch.equal(other.natural_gains.mean, first.natural_gains.mean)


def test_a_monotone_curve_does_not_matter(method, data):
    source, truth = data.test.load([0]), data.references.load([0])
    exact = with_settings(method, n4=False, likely_field=False, keep_target=False)
    difference = exact(source).images - exact(truth).images
    assert difference.abs().max() < 0.02


def test_fields_are_removed(method, small_cohort):
    data = Bias().setup(small_cohort, 0)
    histogram = fitted(Histogram, data)
    only_n4 = with_settings(method, likely_field=False, curve=False, evidence=-1e6)
    assert mean_psnr(only_n4, data) > mean_psnr(histogram, data) + 1


def test_slices_beyond_the_grid_take_the_field_of_the_nearest_slice(method, small_cohort):
    scans = Bias().setup(small_cohort, 0).test.load([0])
    removing = with_settings(method, likely_field=False, evidence=-1e6, decisive=0.0)
    (scan_map,) = removing.maps(scans)
    assert scan_map.field.any()
    stack = longer_stack(scans, method.grid)
    output = removing(stack)
    assert len(output.flags) == 1
    log_field = method.cosines.field(scan_map.field, method.grid.shape)
    below = scan_map(stack.images[0, :1], stack.masks[0, :1], log_field[:1])
    above = scan_map(stack.images[0, -2:-1], stack.masks[0, -2:-1], log_field[-1:])
    torch.testing.assert_close(output.images[0, :1], below)
    torch.testing.assert_close(output.images[0, -2:-1], above)


def test_the_likelihood_decides_on_the_field_of_n4(method, plain, with_wrong_field, small_cohort):
    scans = Bias().setup(small_cohort, 0).test.load([0])
    settings = {"likely_field": False, "keep_target": False}
    # All fields are natural, and any gain of likelihood is decisive; or none is.
    (taken,) = with_settings(method, evidence=1e9, decisive=0.0, **settings).maps(scans)
    (natural,) = with_settings(method, evidence=1e9, decisive=1e6, **settings).maps(scans)
    assert taken.field.any()
    assert not natural.field.any()
    # No field is natural, and the field makes the scan worse.
    (refused,) = with_wrong_field(evidence=-1e6, decisive=0.0, **settings).maps(plain)
    assert not refused.field.any()
    assert "likelihood" in refused.flag
    without = {"evidence": -1e6, "likelihood_decides": False, **settings}
    (accepted,) = with_wrong_field(**without).maps(plain)
    assert accepted.field.any()


def test_an_undecided_field_is_compared_after_the_fields_by_likelihood(
    method, plain, with_wrong_field
):
    settings = {"evidence": -1e6, "keep_target": False}
    image, mask = plain.images[0], plain.masks[0]
    found = []
    for changes in ({"decisive": 1e6}, {"likelihood_decides": False}, {"n4": False}):
        found += with_wrong_field(**settings, **changes).maps(plain)
    both, with_it, without_it = found
    hypotheses = method._hypotheses
    scores = [hypotheses.of(image, mask, result.field).score for result in (with_it, without_it)]
    likelier = (with_it, without_it)[scores[1] > scores[0]]
    assert not torch.equal(with_it.field, without_it.field)
    assert torch.equal(both.field, likelier.field)


def test_switches(method, small_cohort):
    scans = Bias().setup(small_cohort, 0).test.load([0])
    (no_field,) = with_settings(method, n4=False, likely_field=False).maps(scans)
    assert not no_field.field.any()
    (no_curve,) = with_settings(method, curve=False, keep_target=False).maps(scans)
    assert torch.equal(no_curve.y, method.histogram.knots)
    (curve,) = with_settings(method, keep_target=False).maps(scans)
    assert not torch.equal(curve.y, method.histogram.knots)


def test_scans_of_the_target_are_returned_unchanged(method, data):
    scans = data.target.load([0, 1])
    # Fields and likelihood are as for a scan of the target: the quantiles decide.
    keeping = with_settings(method, evidence=1e9, decisive=1e6, target_margin=1e6)
    output = keeping(scans)
    assert torch.equal(output.images, scans.images)
    assert len(output.flags) == 2
    assert all("unchanged" in flag for flag in output.flags)
    assert not any("unchanged" in flag for flag in keeping(data.test.load([0])).flags)
    # With a likelihood that a match of quantiles raises by any amount, it is another scanner's.
    strict = with_settings(method, evidence=1e9, decisive=1e6, target_margin=0.0)
    strict.greatest_departure.fill_(10.0)
    assert not any("unchanged" in flag for flag in strict(data.test.load([0])).flags)


def test_unsuitable_scans_are_flagged_and_returned_unchanged(method, data):
    scans = data.test.load([0, 1, 2])
    images, masks = scans.images.clone(), scans.masks.clone()
    images[1] = torch.where(masks[1], 1.05 - images[1], 0).clamp(0, 1)
    images[2], masks[2] = 0, False
    output = method(dataclasses.replace(scans, images=images, masks=masks))
    assert "unchanged" not in output.flags[0]
    assert "another contrast" in output.flags[1]
    assert "no foreground" in output.flags[2]
    assert torch.equal(output.images[1:], images[1:])
    assert not torch.equal(output.images[0], images[0])


def test_a_flow_without_finite_output_leaves_the_match_of_quantiles(method, data):
    scans = data.test.load([0])
    broken = with_settings(method, n4=False)
    with torch.no_grad():
        for parameter in broken.blindharmony.flow.parameters():
            parameter.fill_(torch.nan)
    (result,) = broken.maps(scans)
    assert torch.equal(result.y, method.histogram.knots)
    assert not result.field.any()


def test_one_subject_suffices_for_a_fit(data):
    single = dataclasses.replace(data, target=data.target.subset([0]))
    method = fitted(BlindCurve, single, PRESETS["tiny"]).eval()
    assert method(data.test.load([0])).images.isfinite().all()


def test_parts_are_methods_with_the_flows_own_settings():
    assert BlindCurve.needs is Needs.TARGET
    for name, config in PRESETS.items():
        parts = BlindCurve.parts(config)
        part, settings = parts["blindharmony"]
        assert issubclass(part, Method)
        # So that the fits of both are one.
        assert fit_settings(settings) == fit_settings(FLOW_PRESETS[name])
        flow = {item.name: getattr(config, item.name) for item in dataclasses.fields(FlowConfig)}
        assert fit_settings(settings) == fit_settings(BlindHarmonyConfig(**flow))
        assert parts["histogram"][1] == parts["histogram"][0].Config()


def test_most_ablations_share_the_fit():
    same = [
        name
        for name, settings in ABLATIONS.items()
        if fit_settings(dataclasses.replace(SMALL, **settings)) == fit_settings(SMALL)
    ]
    assert len(ABLATIONS) - len(same) == 1


@pytest.mark.parametrize("setting", [{"n4_resolution": 0.0}, {"degree": 0}, {"decisive": -0.1}])
def test_settings_out_of_range(setting):
    with pytest.raises(UserError, match=next(iter(setting))):
        BlindCurveConfig(**setting)
