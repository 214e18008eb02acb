"""The fit and the ten-step loop, on small scans that lie on disk as a cohort's do."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from safetensors.torch import load_file, save_file

from harmbench import FitData, Grid, minmax
from harmbench.contracts.fit_progress import FitProgress
from harmbench.contracts.model import fit_settings
from harmbench.data.scans import GRIDS
from harmbench.errors import DivergedError
from harmbench_methods.blindharmony.config import PRESETS, BlindHarmonyConfig
from harmbench_methods.blindharmony.flow import training
from harmbench_methods.blindharmony.method import BlindHarmony
from harmbench_methods.blindharmony.terms import (
    correlation_gradient,
    edge_gradient,
    non_edge_mask,
)

S, H, W = 4, 24, 32
GRID = Grid("small", (S, H, W), (1.2, 5.0, 5.0))
CONFIG = BlindHarmonyConfig(
    levels=2,
    steps=1,
    hidden=8,
    blocks=1,
    bins=4,
    training_steps=40,
    batch_size=8,
    learning_rate=2e-3,
    max_gradient_norm=50.0,
    validate_every=10,
    validation_slices=6,
    # The paper's step, for this many pixels: see the quick preset.
    beta1=1e3 * H * W / (144 * 176),
)


@pytest.fixture(scope="module")
def scan_set(heads):
    return heads(GRID, 10)


@pytest.fixture(scope="module")
def data(scan_set):
    return FitData(target=scan_set.subset(range(7)), validation=scan_set.subset([7]), seed=3)


@pytest.fixture(scope="module")
def truth(scan_set):
    return scan_set.load([8, 9])


@pytest.fixture(scope="module")
def source(truth):
    return truth.with_images(minmax(truth.images.exp()))


@pytest.fixture(scope="module")
def fit(data):
    """The state of one fit, and its progress."""
    method, progress = BlindHarmony(GRID, CONFIG), FitProgress()
    method.fit(data, progress)
    return method.state_dict(), progress


@pytest.fixture(scope="module")
def state(fit):
    """The state of that fit, for methods of any inference settings."""
    return fit[0]


def fitted(state, **settings):
    method = BlindHarmony(GRID, dataclasses.replace(CONFIG, **settings))
    method.load_state_dict(state)
    return method.eval()


def psnr(a, b):
    return float(-10 * torch.log10((a - b).square().mean()))


def test_output_is_a_new_image_closer_to_the_truth(state, truth, source):
    before = source.images.clone()
    result = fitted(state)(source).images
    assert result.shape == before.shape
    assert result.dtype == torch.float32
    assert 0 <= float(result.min()) <= float(result.max()) <= 1
    assert torch.equal(source.images, before)
    assert psnr(result, truth.images) > psnr(before, truth.images) + 1


def test_correlation_term_carries_the_result(state, truth, source):
    with_it = fitted(state)(source).images
    without = fitted(state, beta1=0.0)(source).images
    assert psnr(with_it, truth.images) > psnr(without, truth.images) + 5


@pytest.mark.parametrize("train", [False, True])
def test_stored_state_gives_the_same_output_in_both_modes(state, source, tmp_path, train):
    save_file(state, tmp_path / "state.safetensors")
    method = BlindHarmony(GRID, CONFIG)
    method.load_state_dict(load_file(tmp_path / "state.safetensors"))
    method.train(train)
    assert torch.equal(method(source).images, fitted(state)(source).images)
    assert method.flow.training is train
    for name, value in method.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_output_does_not_depend_on_the_batch(state, scan_set):
    method = fitted(state)
    together = method(scan_set.load([7, 8, 9])).images
    assert torch.equal(method(scan_set.load([9])).images[0], together[2])
    assert torch.equal(method(scan_set.load([8, 7])).images, together[[1, 0]])


def test_a_fit_depends_on_the_seed(state, data):
    method = BlindHarmony(GRID, CONFIG)
    method.fit(dataclasses.replace(data, seed=4), FitProgress())
    weights = [name for name in state if name.endswith("final_layer.weight")]
    other = method.state_dict()
    assert not all(torch.equal(other[name], state[name]) for name in weights)


def test_without_alpha_the_loop_does_not_use_the_flow(state, source):
    method = fitted(state, alpha=0.0)
    x_s = source.images.flatten(0, 1)
    M = non_edge_mask(x_s, source.masks.flatten(0, 1))
    x = method.mean.repeat(2, 1, 1)
    for _ in range(CONFIG.iterations):
        step = CONFIG.beta1 * correlation_gradient(x, x_s) + CONFIG.beta2 * edge_gradient(x, M)
        x = (x - step).clamp(0, 1)
    with torch.no_grad():
        for parameter in method.flow.parameters():
            parameter.fill_(torch.nan)
    torch.testing.assert_close(method(source).images.flatten(0, 1), x, rtol=0, atol=1e-6)


def test_alpha_changes_the_output_slightly(state, source):
    without = fitted(state, alpha=0.0)(source).images
    change = (fitted(state)(source).images - without).abs()
    assert float(change.max()) > 1e-4
    assert float(change.mean()) < 0.05


def test_a_flow_with_nan_output_leaves_the_pre_flow_image(state, source):
    settings = {"beta2": 0.0}  # without the signs, which rounding may turn
    method = fitted(state, **settings)
    with torch.no_grad():
        for parameter in method.flow.parameters():
            parameter.fill_(torch.nan)
    expected = fitted(state, alpha=0.0, **settings)(source).images
    torch.testing.assert_close(method(source).images, expected, rtol=0, atol=1e-5)


def test_guard_keeps_the_pre_flow_slice_where_the_flow_failed():
    x, y = torch.rand(4, 5, 5) + 0.1, torch.rand(4, 5, 5)
    x[0, 2, 2] = torch.nan
    x[1] = 0.0
    x[2, 0, 0] = torch.inf
    guarded = BlindHarmony._guarded(x, y)
    assert torch.equal(guarded[:3], y[:3])
    assert torch.equal(guarded[3], x[3])


def test_slices_that_float32_cannot_invert_use_float64(state, source):
    v = fitted(state).flow.dequantize(source.images[0], torch.full((S, H, W), 0.5))
    with torch.no_grad():
        method, strict = fitted(state), fitted(state, round_trip=0.0)
        unchecked = method._shrink(v, method._frozen(), check=False)
        passed = method._shrink(v, method._frozen(), check=True)
        redone = strict._shrink(v, strict._frozen(), check=True)
        flow = fitted(state).flow.double()
        expected, _ = flow.decode((1 - CONFIG.alpha) * flow.encode(v.double())[0])
    assert torch.equal(passed, unchecked)  # a fit of this scale is invertible in float32
    assert not torch.equal(redone, unchecked)
    torch.testing.assert_close(redone.double(), expected, rtol=0, atol=1e-7)
    torch.testing.assert_close(redone, unchecked, rtol=0, atol=1e-4)


def test_slice_without_signal_does_not_change(state, source):
    images = source.images.clone()
    images[1, 2] = 0
    result = fitted(state)(source.with_images(images)).images
    assert torch.equal(result[1, 2], images[1, 2])
    assert float(result[1, 1].max()) > 0.5


def test_chunks_do_not_change_the_noise(state, source):
    whole = fitted(state, beta2=0.0)(source).images
    parts = fitted(state, beta2=0.0, slices_at_once=3)(source).images
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-4)


def test_training_lowers_the_bits_and_keeps_the_best_state(data, fit):
    method = BlindHarmony(GRID, CONFIG)
    bits = training.FlowValidation(method.flow.eval(), data.validation, CONFIG, data.seed)
    untrained = bits()
    state, progress = fit
    method.load_state_dict(state)
    looks = [point.value for point in progress.curves if point.name == "validation"]
    assert len(looks) == CONFIG.training_steps // CONFIG.validate_every
    assert bits() == min(looks) < untrained - 1


def test_a_resumed_fit_equals_an_uninterrupted_fit(data, state, tmp_path, kills, assert_equal):
    torch.manual_seed(300)
    for last in (4, 17):
        with pytest.raises(kills.Killed):
            BlindHarmony(GRID, CONFIG).fit(
                data, FitProgress(kills(last), tmp_path, checkpoint_seconds=0)
            )
    method, progress = (
        BlindHarmony(GRID, CONFIG),
        FitProgress(checkpoints=tmp_path, checkpoint_seconds=0),
    )
    method.fit(data, progress)
    assert progress.facts["resumed_at"] == 3 + 16
    assert_equal(method.state_dict(), state)


def test_fit_needs_no_validation_and_accumulates_gradients(data):
    config = dataclasses.replace(CONFIG, training_steps=3, micro_batches=2)
    method = BlindHarmony(GRID, config)
    without_validation = dataclasses.replace(data, validation=data.validation.subset([]))
    method.fit(without_validation, FitProgress())
    assert all(value.isfinite().all() for value in method.state_dict().values())
    assert int(method.seed) == data.seed


@pytest.mark.parametrize("rate", [1e30])
def test_diverging_training_is_an_error(data, rate):
    config = dataclasses.replace(CONFIG, learning_rate=rate, training_steps=10)
    with pytest.raises(DivergedError, match="diverged at training step"):
        BlindHarmony(GRID, config).fit(data, FitProgress())


def test_mean_is_over_the_set_number_of_scans(scan_set):
    images = scan_set.load(range(10)).images
    everyone = training.mean_slices(scan_set, 200, torch.Generator())
    torch.testing.assert_close(everyone, images.mean(dim=0))
    three = training.mean_slices(scan_set, 3, torch.Generator().manual_seed(0))
    chosen = torch.randperm(10, generator=torch.Generator().manual_seed(0))[:3]
    torch.testing.assert_close(three, images[chosen].mean(dim=0))


def test_state_has_the_same_shapes_before_and_after_a_fit(state):
    fresh = BlindHarmony(GRID, CONFIG).state_dict()
    assert {name: value.shape for name, value in fresh.items()} == {
        name: value.shape for name, value in state.items()
    }


def test_quick_steps_are_as_long_as_the_papers():
    pixels = {name: grid.shape[1] * grid.shape[2] for name, grid in GRIDS.items()}
    quick, paper = PRESETS["quick"], PRESETS["paper"]
    assert quick.beta1 / paper.beta1 == pixels["quick"] / pixels["paper"]
    assert (quick.beta2, quick.iterations) == (paper.beta2, paper.iterations)
    assert (paper.alpha, paper.beta1, paper.beta2, paper.iterations) == (1e-3, 1e3, 1e-3, 10)


def test_a_fit_does_not_depend_on_settings_of_the_loop():
    other = BlindHarmonyConfig(alpha=0.0, beta1=0.0, beta2=0.0, iterations=3, centred=True)
    assert fit_settings(other) == fit_settings(BlindHarmonyConfig())
