"""The U-Net: its architecture, layer by layer, and its fit on pairs."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import nn

import harmbench_methods
from harmbench import BlindnessError, FitData, Needs, UserError
from harmbench.contracts.fit_progress import FitProgress
from harmbench.data.scans import GRIDS
from harmbench_methods._slices import first_scans, training_steps
from harmbench_methods.unet import PRESETS, UNet, UNetConfig, UNetMethod
from harmbench_tasks.domains import Domain
from harmbench_tasks.simulated import Bias, Gamma

pytestmark = pytest.mark.usefixtures("one_thread")

CONFIG = UNetConfig(
    width=4, residual=True, steps=60, batch_size=4, learning_rate=1e-2, annealed=True
)
SHORT = dataclasses.replace(CONFIG, steps=8)


def fit(data, config=CONFIG, progress=None, seed=3):
    method = UNetMethod(data.target.grid, config)
    progress = progress or FitProgress()
    method.fit(data.fit_data(seed).restricted(method.needs), progress)
    return method, progress


@pytest.fixture(scope="module")
def curve(small_cohort):
    """A simulated shift, and the method fitted to undo it."""
    data = Gamma(0.7).setup(small_cohort, 0)
    return data, *fit(data)


def psnr(a, b):
    return float(-10 * torch.log10((a - b).square().mean()))


def n_convolution(ins, outs, kernel):
    return ins * outs * kernel**2


def n_block(ins, outs):
    """Twice a convolution 3 x 3 without bias, and a scale and a shift for each channel."""
    return n_convolution(ins, outs, 3) + n_convolution(outs, outs, 3) + 2 * 2 * outs


@pytest.mark.parametrize("preset", PRESETS)
def test_parameters_are_those_of_the_layers(preset):
    config = PRESETS[preset]
    a, b, c, d, e = (config.width * 2**level for level in range(5))
    expected = (
        n_block(1, a)
        + n_block(a, b)
        + n_block(b, c)
        + n_block(c, d)
        + n_block(d, e)
        + n_block(e + d, d)
        + n_block(d + c, c)
        + n_block(c + b, b)
        + n_block(b + a, a)
        + n_convolution(a, 1, 1)
        + 1
    )
    network = UNet(config.levels, config.width)
    assert sum(tensor.numel() for tensor in network.parameters()) == expected
    if preset == "paper":
        assert expected == PAPER_PARAMETERS


PAPER_PARAMETERS = 31_383_681


def layers_in_order(network, x):
    """The kinds of the layers that a slice goes through, one after the other."""
    order = []
    kinds = (nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d, nn.Upsample)
    for layer in network.modules():
        if isinstance(layer, kinds):
            layer.register_forward_hook(lambda layer, *_: order.append(layer))
    network(x)
    return order


def test_layers_equal_the_supplements():
    order = layers_in_order(UNet(4, 4).eval(), torch.rand(1, 1, 48, 64))
    block = [nn.Conv2d, nn.BatchNorm2d, nn.ReLU] * 2
    expected = [*block, *[nn.MaxPool2d, *block] * 4, *[nn.Upsample, *block] * 4, nn.Conv2d]
    assert [type(layer) for layer in order] == expected
    assert {layer.mode for layer in order if isinstance(layer, nn.Upsample)} == {"bilinear"}
    kernels = [layer.kernel_size for layer in order if isinstance(layer, nn.Conv2d)]
    assert kernels == [(3, 3)] * 18 + [(1, 1)]


def test_paper_preset_has_the_supplements_settings():
    paper = PRESETS["paper"]
    assert paper == UNetConfig()
    assert (paper.levels, paper.epochs, paper.learning_rate) == (4, 120, 1e-3)
    assert (paper.steps, paper.residual, paper.annealed) == (0, False, False)
    # Domain 1: Table 2's 5100 slices are below the limit.
    assert training_steps(paper.steps, paper.epochs, 5100, paper.batch_size) == 120 * 319


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_slices_of_both_grids_keep_their_shape(grid):
    _, H, W = grid.shape
    assert UNet(4, 2).eval()(torch.rand(1, 1, H, W)).shape == (1, 1, H, W)


def test_a_pixel_has_a_wide_receptive_field_and_skip_connections_carry_detail():
    """Linear but for max-pooling, so that the gradient shows the receptive field."""
    network = UNet(4, 2)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.constant_(layer.weight, 1.0)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.eval()
    x = torch.rand(1, 1, 320, 320, dtype=torch.float64, requires_grad=True)
    network.double().eval()(x)[0, 0, 160, 160].backward()
    rows = (x.grad[0, 0] != 0).any(dim=1).nonzero()
    assert x.grad[0, 0, 160, 160] > 0
    # By hand: on level k a convolution reaches 2^k pixels, and there are 4 but 2 at the bottom.
    reach = sum(4 * 2**k for k in range(4)) + 2 * 16
    first, last = int(rows.min()), int(rows.max())
    # Pooling and upsampling add at most the size of a cell of the bottom each.
    assert reach - 32 <= 160 - first <= reach + 32
    assert reach - 32 <= last - 160 <= reach + 32


def test_only_pairs_are_used(small_cohort, assert_equal):
    data = Gamma(0.7).setup(small_cohort, 0).fit_data(0)
    assert UNetMethod.needs is Needs.PAIRED
    with pytest.raises(BlindnessError, match="pairs"):
        UNetMethod(data.grid, SHORT).fit(data.restricted(Needs.UNPAIRED), FitProgress())
    source, target = data.restricted(Needs.PAIRED).pairs
    bare = FitData(
        target=target.subset([0]),
        validation=target.subset([]),
        seed=0,
        _source=None,
        _pairs=(source, target),
    )
    states = []
    for given in (data.restricted(Needs.PAIRED), bare):
        method = UNetMethod(data.grid, SHORT)
        method.fit(given, FitProgress())
        states.append(method.state_dict())
    assert_equal(*states)


def test_fit_lowers_the_loss_and_gains_on_new_subjects(curve):
    data, method, progress = curve
    losses = [point.value for point in progress.curves if point.name == "loss"]
    assert sum(losses[-5:]) < 0.3 * sum(losses[:5])
    source, truth = data.test.load([0, 2]), data.references.load([0, 2])
    gain = psnr(method(source).images, truth.images) - psnr(source.images, truth.images)
    assert gain > 5
    assert progress.facts["training_slices"] == data.pairs[0].n_slices


def test_pairs_of_a_real_domain_are_used(small_cohort):
    data = Domain("domain1").setup(small_cohort, 0)
    method, progress = fit(data)
    assert progress.facts["training_slices"] == 3 * 6  # three subjects are on both scanners
    source, truth = data.test.load([0, 1]), data.references.load([0, 1])
    assert psnr(method(source).images, truth.images) > psnr(source.images, truth.images) + 3


@pytest.mark.parametrize("residual", [False, True])
def test_output_is_in_range_and_the_background_stays(residual, small_cohort):
    data = Bias().setup(small_cohort, 0)
    method = UNetMethod(data.target.grid, dataclasses.replace(SHORT, residual=residual)).eval()
    nn.init.constant_(method.network.last.weight, 1e4)  # far out of the range
    scans = data.test.load([0])
    before = scans.images.clone()
    output = method(scans).images
    assert output.min() == 0
    assert output.max() == 1
    assert (output[~scans.masks] == 0).all()
    assert torch.equal(scans.images, before)


@pytest.mark.parametrize("slices_at_once", [4, 50])
def test_scans_are_independent(slices_at_once, curve):
    data, fitted, _ = curve
    config = dataclasses.replace(CONFIG, slices_at_once=slices_at_once)  # a scan has 6
    method = UNetMethod(data.target.grid, config).eval()
    method.load_state_dict(fitted.state_dict())
    together = method(data.test.load([0, 1, 2])).images
    alone = [method(data.test.load([index])).images for index in range(3)]
    assert torch.equal(together, torch.cat(alone))
    torch.testing.assert_close(together, fitted(data.test.load([0, 1, 2])).images)


def test_fit_is_repeatable_and_depends_on_the_seed(small_cohort, assert_equal):
    data = Gamma(0.7).setup(small_cohort, 0)
    first, again, other = (fit(data, SHORT, seed=seed)[0].state_dict() for seed in (0, 0, 1))
    assert_equal(first, again)
    assert not torch.equal(first["network.last.weight"], other["network.last.weight"])


def test_a_limit_takes_the_first_pairs_and_keeps_their_shifts(small_cohort):
    data = Bias().setup(small_cohort, 0)
    source, target = data.pairs
    few = first_scans(source, 2 * 6 + 5)
    assert len(few) == 2
    assert torch.equal(few.load([1]).images, source.load([1]).images)
    assert few.subjects == target.subjects[:2]
    assert first_scans(source, 0) is source
    assert first_scans(source, 10_000) is source
    assert len(first_scans(source, 1)) == 1
    _, progress = fit(data, dataclasses.replace(SHORT, training_slices=17))
    assert progress.facts["training_slices"] == 12


def test_epochs_are_steps_through_all_slices(small_cohort):
    data = Gamma(0.7).setup(small_cohort, 0)
    slices = data.pairs[0].n_slices
    _, progress = fit(data, dataclasses.replace(SHORT, steps=0, epochs=2, batch_size=5))
    assert progress.facts["steps_done"] == 2 * math.ceil(slices / 5)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("levels", 0), ("width", 0), ("batch_size", 0), ("training_slices", -1), ("learning_rate", 0)],
)
def test_settings_out_of_range_are_errors(setting, value):
    with pytest.raises(UserError, match=setting):
        UNetConfig(**{setting: value})


def test_too_small_slices_are_an_error(small_cohort):
    with pytest.raises(UserError, match="32 x 48 cannot be halved 6 times"):
        UNetMethod(small_cohort.grid, UNetConfig(levels=6, width=1))


def test_registration():
    assert harmbench_methods.register_methods()["unet"].load() is UNetMethod
