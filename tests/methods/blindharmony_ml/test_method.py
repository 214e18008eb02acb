"""The most likely curve and field, on small scans that lie on disk as a cohort's do."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from harmbench import FitData, Grid, Method, Needs, UserError, minmax
from harmbench.contracts.fit_progress import FitProgress
from harmbench.contracts.model import fit_settings
from harmbench_methods._cosine_field import Cosines
from harmbench_methods.blindharmony.config import PRESETS, BlindHarmonyConfig, FlowConfig
from harmbench_methods.blindharmony_ml.config import ABLATIONS, LikelihoodConfig
from harmbench_methods.blindharmony_ml.config import PRESETS as LIKELIHOOD_PRESETS
from harmbench_methods.blindharmony_ml.correction import monotone, with_field
from harmbench_methods.blindharmony_ml.method import BlindHarmonyLikelihood, _Likelihood

S, H, W = 4, 24, 32
GRID = Grid("small", (S, H, W), (1.2, 5.0, 5.0))
CONFIG = LikelihoodConfig(
    levels=2,
    steps=2,
    hidden=8,
    blocks=1,
    bins=4,
    positions=True,
    grey_levels=31,
    training_steps=80,
    batch_size=8,
    learning_rate=4e-3,
    max_gradient_norm=50.0,
    flips=True,
    validate_every=20,
    validation_slices=4,
    quantiles=101,
    field_degree=2,
    likelihood_slices=3,
    field_iterations=12,
    curve_iterations=5,
    # So few pixels say less than a scan's, so that longer steps and a wider prior are in order.
    step=0.2,
    field_deviation=0.3,
)


@pytest.fixture(scope="module")
def scan_set(heads):
    return heads(GRID, 9)


@pytest.fixture(scope="module")
def data(scan_set):
    return FitData(target=scan_set.subset(range(6)), validation=scan_set.subset([6]), seed=3)


@pytest.fixture(scope="module")
def truth(scan_set):
    return scan_set.load([7, 8])


@pytest.fixture(scope="module")
def unfitted(data):
    """A method whose parts alone are fitted, as the runner hands it to be fitted."""
    method = BlindHarmonyLikelihood(GRID, CONFIG)
    for attribute, (part, config) in method.parts(CONFIG).items():
        fitted = part(GRID, config)
        fitted.fit(data, FitProgress())
        getattr(method, attribute).load_state_dict(fitted.state_dict())
    return method.train()


@pytest.fixture(scope="module")
def state(unfitted, data):
    """The state of one fit, for methods of any inference settings."""
    method = BlindHarmonyLikelihood(GRID, CONFIG)
    method.load_state_dict(unfitted.state_dict())
    method.train()
    method.fit(data, FitProgress())
    return method.state_dict()


@pytest.fixture(scope="module")
def source(truth):
    """Scans of another scanner: another curve, and a strong field from left to right."""
    cosines = Cosines(1)
    field = (0.5 * cosines.basis(torch.arange(S), GRID.shape)[cosines.terms.index((0, 1, 0))]).exp()
    images = torch.stack([with_field(image, field, slicewise=True) for image in truth.images])
    return truth.with_images(minmax(images.square()))


@pytest.fixture(scope="module")
def result(state, source):
    return fitted(state)(source).images


def fitted(state, **settings):
    method = BlindHarmonyLikelihood(GRID, dataclasses.replace(CONFIG, **settings))
    method.load_state_dict(state)
    return method.eval()


def psnr(scans, images, truth):
    rest = (images - truth.images)[scans.masks]
    return float(-10 * torch.log10(rest.square().mean()))


def test_output_is_a_new_image(result, source, state):
    before = source.images.clone()
    again = fitted(state)(source).images
    assert torch.equal(again, result)
    assert torch.equal(source.images, before)
    assert result.shape == before.shape
    assert result.dtype == torch.float32
    assert result.isfinite().all()
    assert 0 <= float(result.min()) <= float(result.max()) <= 1
    assert not result[~source.masks].any()


def test_a_field_that_quantiles_do_not_show_is_removed(result, state, source, truth):
    method = fitted(state)
    matched = method.histogram(source).images
    assert psnr(source, matched, truth) > psnr(source, source.images, truth)
    assert psnr(source, result, truth) > psnr(source, matched, truth) + 1
    # And it is the field that does it.
    without = fitted(state, field=False)(source).images
    assert psnr(source, result, truth) > psnr(source, without, truth) + 1


def test_estimated_field_undoes_the_true_field(state, source):
    method = fitted(state)
    for n in range(len(source)):
        start, mask = method._start(source, n)
        c = method._excess(method._likelihood(start, mask, source, n).field())
        assert int(c.abs().argmax()) == method.cosines.terms.index((0, 1, 0))
        assert -0.6 < float(c[method.cosines.terms.index((0, 1, 0))]) < -0.2


@pytest.mark.parametrize("train", [False, True])
def test_output_does_not_depend_on_batch_or_mode(state, source, result, train):
    method = fitted(state).train(train)
    for n in range(len(source)):
        alone = dataclasses.replace(
            source,
            images=source.images[n : n + 1],
            masks=source.masks[n : n + 1],
            subjects=source.subjects[n : n + 1],
            sessions=source.sessions[n : n + 1],
        )
        assert torch.equal(method(alone).images[0], result[n])
    for name, value in method.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_fit_does_not_change_its_parts_and_is_repeatable(unfitted, state, data):
    for name, value in unfitted.state_dict().items():
        part = name.startswith(("blindharmony.", "histogram."))
        assert not part or torch.equal(value, state[name]), name
    assert not torch.equal(unfitted.field_mean, state["field_mean"])
    torch.manual_seed(17)
    again = BlindHarmonyLikelihood(GRID, CONFIG)
    again.load_state_dict(unfitted.state_dict())
    progress = FitProgress()
    again.train().fit(data, progress)
    assert all(torch.equal(value, state[name]) for name, value in again.state_dict().items())
    assert 0 <= float(state["gain"]) <= 1
    assert progress.facts["gain"] == float(state["gain"])
    assert int(state["seed"]) == data.seed
    covariance = state["field_covariance"].double()
    assert float(torch.linalg.eigvalsh(covariance).min()) > 0


def test_a_fit_needs_no_source(data):
    assert data._source is None
    assert data._pairs is None
    assert BlindHarmonyLikelihood.needs is Needs.TARGET


def test_without_field_and_curve_the_output_is_the_quantile_match(state, source):
    method = fitted(state, evidence=1e9, curve=False)
    assert torch.equal(method(source).images, method.histogram(source).images)
    neither = fitted(state, field=False, curve=False)
    assert torch.equal(neither(source).images, method.histogram(source).images)


def test_scan_without_signal_does_not_change(state, source, result):
    images, masks = source.images.clone(), source.masks.clone()
    images[0], masks[0] = 0, False
    answer = fitted(state)(dataclasses.replace(source, images=images, masks=masks)).images
    assert not answer[0].any()
    assert torch.equal(answer[1], result[1])
    # A mask where nothing shows is no signal, and an empty slice no trouble.
    dark = source.images.clone()
    dark[0] = 0
    dark[1, 2] = 0
    answer = fitted(state)(source.with_images(dark)).images
    assert answer.isfinite().all()
    assert 0 <= float(answer.min()) <= float(answer.max()) <= 1


def test_flow_with_nan_output_leaves_the_quantile_match(state, source):
    method = fitted(state)
    with torch.no_grad():
        for parameter in method.blindharmony.flow.parameters():
            parameter.fill_(torch.nan)
    assert torch.equal(method(source).images, method.histogram(source).images)


def test_log_posterior_changes_variables_as_autograd_does():
    generator = torch.Generator().manual_seed(0)
    shape = (2, 3, 4)
    cosines = Cosines(1)
    start = 0.1 + 0.8 * torch.rand(shape, generator=generator, dtype=torch.float64)
    mask = torch.rand(shape, generator=generator) < 0.8
    parameters = [
        0.3 * torch.randn(count, generator=generator, dtype=torch.float64)
        for count in (len(cosines.terms), 4, 5)
    ]
    both = [
        _Likelihood(
            log_prob=lambda y: -0.5 * y.square().sum(dim=(1, 2)),
            start=start,
            mask=mask,
            index=torch.arange(2),
            basis=cosines.basis(torch.arange(2), shape).double(),
            degrees=cosines.degrees.double(),
            knots=torch.linspace(0, 1, 5, dtype=torch.float64),
            slicewise=True,
            config=dataclasses.replace(CONFIG, jacobian=jacobian),
        )
        for jacobian in (True, False)
    ]
    image = start.where(mask, 0)
    with_it, without = (likelihood._log_posterior(image, *parameters) for likelihood in both)

    def corrected(values):
        c, heights, slopes = parameters
        knots = both[0].knots
        y, _ = monotone(values, knots, knots.diff().log() + heights, slopes)
        field = torch.einsum("p,pshw->shw", c, both[0].basis).exp()
        return with_field(image.masked_scatter(mask, y), field, slicewise=True)[mask]

    jacobian = torch.autograd.functional.jacobian(corrected, image[mask])
    torch.testing.assert_close(with_it - without, torch.linalg.slogdet(jacobian).logabsdet)


def test_without_the_jacobian_a_flatter_curve_is_most_likely(state, truth):
    spread = {}
    for jacobian in (True, False):
        method = fitted(state, jacobian=jacobian)
        start, mask = method._start(truth, 0)
        with torch.no_grad():
            likelihood = method._likelihood(start, mask, truth, 0)
            heights, slopes = likelihood.curve(start)
            result = likelihood._log_posterior(start[likelihood.index], heights, slopes)
            identity = [torch.zeros_like(parameter) for parameter in (heights, slopes)]
            assert result > likelihood._log_posterior(start[likelihood.index], *identity)
            knots = method._curve_knots()
            y, log_slope = monotone(start[mask], knots, knots.diff().log() + heights, slopes)
        spread[jacobian] = (float(log_slope.mean()), float(y.std() / start[mask].std()))
    assert spread[True][0] > spread[False][0] + 0.02
    assert spread[True][1] > spread[False][1] + 0.02
    assert spread[False][1] < 1


def test_parts_are_methods_with_the_flows_own_settings():
    for name, config in LIKELIHOOD_PRESETS.items():
        parts = BlindHarmonyLikelihood.parts(config)
        part, settings = parts["blindharmony"]
        assert issubclass(part, Method)
        # So that the fits of both are one.
        assert fit_settings(settings) == fit_settings(PRESETS[name])
        assert fit_settings(settings) == fit_settings(BlindHarmonyConfig(**flow_of(config)))
        assert parts["histogram"][1] == parts["histogram"][0].Config()


def flow_of(config):
    return {item.name: getattr(config, item.name) for item in dataclasses.fields(FlowConfig)}


def test_a_fit_does_not_depend_on_settings_at_inference():
    other = LikelihoodConfig(evidence=9.0, shrink=False, field=False, curve=False)
    assert fit_settings(other) == fit_settings(LikelihoodConfig())
    for changes in ABLATIONS.values():
        assert dataclasses.replace(LikelihoodConfig(), **changes) != LikelihoodConfig()


@pytest.mark.parametrize(
    "setting",
    [
        {"field_degree": 0},
        {"likelihood_slices": 0},
        {"field_iterations": 0},
        {"curve_iterations": 0},
        {"quantiles": 1},
        {"curve_bins": 1},
        {"step": 0.0},
        {"curve_deviation": -1.0},
        {"field_deviation": float("nan")},
        {"levels": 0},
    ],
)
def test_settings_out_of_range_are_refused_by_name(setting):
    with pytest.raises(UserError, match=next(iter(setting))):
        LikelihoodConfig(**setting)


def test_curve_values_are_exactly_within_0_and_1(state):
    method = fitted(state)
    image = torch.linspace(0, 1, S * H * W).view(S, H, W)
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        curve = 0.5 * torch.randn(len(method.curve_mean), generator=generator)
        y = method.curved(image.flatten(), curve, gain=1.0)
        assert 0 <= float(y.min()) <= float(y.max()) <= 1
