"""The augmentations, the harmoniser, and its adaptation."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from harmonizing_flows import augment
from harmonizing_flows.config import PRESETS, HarmonizingFlowsConfig
from harmonizing_flows.domain import DOMAIN_PRESETS, DomainConfig, HarmonizingFlowsDomain
from harmonizing_flows.likelihood import bits
from harmonizing_flows.method import HarmonizingFlows

from harmbench import BlindnessError, FitData, FitProgress, Grid, ScanSet, UserError, write_row
from harmbench.contracts.model import fit_settings
from harmbench.data.cohort_writer import CohortWriter
from harmbench.data.scan_set import ScanKey
from harmbench.testing import parametrize_with_checks
from harmbench_methods.blindharmony.method import BlindHarmony

GRID = Grid("tiny", (4, 24, 32), (1.0, 1.0, 1.0))
SMALL = {
    "levels": 2,
    "steps": 1,
    "hidden": 8,
    "blocks": 1,
    "positions": True,
    "grey_levels": 31,
    "training_steps": 10,
    "batch_size": 8,
    "learning_rate": 4e-3,
    "max_gradient_norm": 50.0,
    "validation_slices": 8,
    "width": 4,
    "depth": 2,
    "harmonizer_steps": 120,
    "harmonizer_batch_size": 8,
    "harmonizer_learning_rate": 1e-2,
    "adapt_slices": 4,
    "adapt_steps": 3,
}


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def write(folder, domain, count, seed, power=1.0):
    """Write scans of nested ellipses to disk, in the format of cohorts."""
    random = np.random.default_rng(seed)
    y, x = np.meshgrid(np.linspace(-1, 1, 24), np.linspace(-1, 1, 32), indexing="ij")
    size = random.uniform(0.75, 0.95, (count, 4, 1, 1))
    radius = np.hypot(x, y) / size
    images = np.select([radius < 0.5, radius < 0.8, radius < 1], [0.95, 0.6, 0.25], 0.0)
    images = (images + 0.02 * random.standard_normal(images.shape)).clip(0.02, 1) * (radius < 1)
    images = (images / images.max(axis=(2, 3), keepdims=True)) ** power
    scans_folder = CohortWriter(folder, GRID).begin_domain(domain, count, labelled=False)
    for row in range(count):
        write_row(scans_folder, "images", row, images[row])
        write_row(scans_folder, "masks", row, radius[row] < 1)
    keys = tuple(ScanKey(f"{domain}{i}", "1", f"{domain} {i}") for i in range(count))
    return ScanSet.stored(scans_folder, domain=domain, grid=GRID, scans=keys)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    return FitData(
        target=write(folder / "target", "goal", 6, 0),
        validation=write(folder / "validation", "goal", 2, 1),
        seed=0,
        _source=write(folder / "source", "other", 4, 2, power=0.5),
    )


@pytest.fixture(scope="module")
def fitted(data):
    method = HarmonizingFlows(GRID, HarmonizingFlowsConfig(**SMALL))
    blind = data.restricted(method.needs)
    flow = BlindHarmony(GRID, method.config.flow)
    flow.fit(blind, FitProgress())
    method.blindharmony.load_state_dict(flow.state_dict())
    method.train()
    progress = FitProgress()
    method.fit(blind, progress)
    return method.eval(), progress


def changed(method, **settings):
    """Return the same fit with other inference settings."""
    copy = HarmonizingFlows(GRID, dataclasses.replace(method.config, **settings))
    copy.load_state_dict(method.state_dict())
    return copy.eval()


def test_random_curves_rise_from_0_to_1():
    curves = augment.random_curves(50, torch.Generator().manual_seed(0))
    assert curves.shape == (50, 257)
    assert torch.equal(curves[:, [0, -1]], torch.tensor([0.0, 1.0]).repeat(50, 1))
    assert (curves.diff(dim=1) > 0).all()
    assert curves[:, 128].min() >= 0.2
    assert curves[:, 128].max() <= 0.8
    assert curves[:, 128].std() > 0.1


def test_changes_are_drawn_with_their_probabilities():
    drawn = augment.draw(4000, torch.Generator().manual_seed(0))
    curved = (drawn.curve != torch.linspace(0, 1, 257)).any(dim=1)
    toned = drawn.exponent != 1
    assert curved.float().mean() == pytest.approx(0.6, abs=0.03)
    assert toned.float().mean() == pytest.approx(0.6 * 0.75, abs=0.03)
    assert (curved & toned).float().mean() == pytest.approx(0.2 * 0.75, abs=0.03)
    assert (drawn.factor[drawn.factor != 1].min(), drawn.factor.max()) == (
        pytest.approx(0.5, abs=0.01),
        pytest.approx(2, abs=0.01),
    )


def test_augmentations_keep_background_and_maximum(data):
    x = data.target.load(range(6)).images.flatten(0, 1)
    result = augment.draw(len(x), torch.Generator().manual_seed(1))(x)
    assert torch.equal(result[x == 0], x[x == 0])
    assert result.amax(dim=(1, 2)).allclose(x.amax(dim=(1, 2)))
    assert result.min() >= 0
    assert not result.allclose(x, atol=0.05)


def test_bits_equal_the_flows_for_grey_levels(fitted):
    flow = fitted[0].blindharmony.flow
    x = torch.randint(0, 32, (3, 24, 32)) / 31
    noise = torch.rand(x.shape)
    assert bits(flow, x, noise).allclose(flow.bits_per_dimension(x, noise), atol=1e-4)


def test_the_harmoniser_undoes_a_power_of_intensity(fitted, data):
    method = changed(fitted[0], adapt_steps=0)
    truth = data.validation.load([0, 1])
    source = truth.with_images(truth.images**0.5)
    before, after = (
        float((x.images - truth.images)[truth.masks].square().mean())
        for x in (source, method(source))
    )
    assert after < 0.5 * before


def test_adaptation_lowers_the_bits_of_a_scan_and_keeps_the_fit(fitted, data):
    method = changed(fitted[0], adapt_deviations=-100.0, adapt_learning_rate=1e-4)
    state = {name: value.clone() for name, value in method.state_dict().items()}
    image = data.source.load([0]).images[0]
    noise = torch.rand(image.shape)
    network = method.adapted(image, noise)
    with torch.no_grad():
        before, after = (
            bits(method.blindharmony.flow, net(image).clamp(0, 1), noise).mean()
            for net in (method.network, network)
        )
    assert after < before
    assert all(torch.equal(value, state[name]) for name, value in method.state_dict().items())


def test_adaptation_stops_at_once_below_the_limit(fitted, data):
    method = changed(fitted[0], adapt_deviations=100.0)
    image = data.source.load([0]).images[0]
    network = method.adapted(image, torch.rand(image.shape))
    fit = method.network.state_dict()
    assert all(torch.equal(value, fit[name]) for name, value in network.state_dict().items())


def test_the_bits_of_the_targets_scans_are_recorded(fitted):
    method, progress = fitted
    assert progress.facts["target_bits"] == pytest.approx(float(method.target_bits.mean()))
    assert 0 < float(method.deviation) < 1
    assert {point.name for point in progress.curves} >= {"loss", "validation"}


def test_a_fit_of_the_flow_is_shared_with_blindharmony():
    for name in ("paper", "quick"):
        cls, config = HarmonizingFlows.parts(PRESETS[name])["blindharmony"]
        assert cls is BlindHarmony
        assert fit_settings(config) == fit_settings(BlindHarmony.presets[name])
        assert DOMAIN_PRESETS[name].of_target == PRESETS[name]


def test_the_domain_variant_adapts_to_source_scans_and_keeps_batch_norms(fitted, data):
    config = DomainConfig(**SMALL, domain_steps=10, domain_learning_rate=1e-3)
    method = HarmonizingFlowsDomain(GRID, config)
    method.of_target.load_state_dict(fitted[0].state_dict())
    method.train()
    assert not method.of_target.blindharmony.training
    with pytest.raises(BlindnessError):
        method.fit(data.restricted(HarmonizingFlows.needs), FitProgress())
    progress = FitProgress()
    method.fit(data.restricted(method.needs), progress)
    costs = [point.value for point in progress.curves if point.name == "loss"]
    assert costs[-1] < costs[0]
    norms = {name for name in method.network.state_dict() if "running" in name}
    before, after = method.of_target.network.state_dict(), method.network.state_dict()
    assert norms
    assert {name for name in before if torch.equal(before[name], after[name])} >= norms
    scans = data.source.load([0, 1])
    result = method.eval()(scans)
    assert torch.equal(result.images[~scans.masks], scans.images[~scans.masks])
    assert not result.images.allclose(changed(fitted[0], adapt_steps=0)(scans).images)


def test_settings_out_of_range_are_refused():
    for settings in ({"width": 0}, {"adapt_steps": -1}, {"harmonizer_learning_rate": 0.0}):
        with pytest.raises(UserError, match=next(iter(settings))):
            HarmonizingFlowsConfig(**settings)
    with pytest.raises(UserError, match="cannot be halved 5 times"):
        HarmonizingFlows(GRID, HarmonizingFlowsConfig(**{**SMALL, "depth": 5}))


@parametrize_with_checks("harmonizing-flows", "harmonizing-flows-domain")
def test_the_contract(check):
    check()
