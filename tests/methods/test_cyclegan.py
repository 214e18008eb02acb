"""The CycleGAN: its networks, layer by layer, its losses and pool, and its fit without pairs."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import nn

import harmbench_methods
from harmbench import BlindnessError, Needs, UserError, torch_generator
from harmbench.contracts.fit_progress import FitProgress
from harmbench.data.scans import GRIDS
from harmbench_methods.cyclegan.config import PRESETS, CycleGANConfig
from harmbench_methods.cyclegan.image_pool import ImagePool
from harmbench_methods.cyclegan.method import CycleGAN, Game, realness
from harmbench_methods.cyclegan.networks import SMALLEST, Discriminator, Generator
from harmbench_tasks.domains import Domain
from harmbench_tasks.simulated import Bias, Gamma

pytestmark = pytest.mark.usefixtures("one_thread")

CONFIG = CycleGANConfig(
    width=4,
    blocks=1,
    discriminator_width=8,
    residual=True,
    steps=130,
    learning_rate=2e-3,
    cycle_weight=2.0,  # a fit as short as this would do nothing but go in circles with 10
)
# The pool is full after 3 steps, so that what a kill might lose is drawn from it.
SHORT = dataclasses.replace(CONFIG, steps=10, pool_size=3)


def fit(data, config=CONFIG, progress=None, seed=3):
    method = CycleGAN(data.target.grid, config)
    progress = progress or FitProgress()
    method.fit(data.fit_data(seed), progress)
    return method, progress


@pytest.fixture(scope="module")
def domain(small_cohort):
    """Another scanner, and the method fitted to it."""
    data = Domain("domain1").setup(small_cohort, 0)
    # Of disjoint subjects this cohort has too few to learn from; these are in both domains.
    source, target = (small_cohort.scans(name, "train") for name in ("domain1", "target"))
    data = dataclasses.replace(data, source=source, target=target)
    return data, *fit(data)


def psnr(a, b):
    return float(-10 * torch.log10((a - b).square().mean()))


def n_convolution(ins, outs, kernel):
    return ins * outs * kernel**2 + outs


def n_parameters(network):
    return sum(tensor.numel() for tensor in network.parameters())


@pytest.mark.parametrize("preset", PRESETS)
def test_parameters_are_those_of_the_layers(preset):
    config = PRESETS[preset]
    w, d = config.width, config.discriminator_width
    generator = (
        n_convolution(1, 2 * w, 3)
        + n_convolution(2 * w, 4 * w, 3)
        + config.blocks * 2 * n_convolution(4 * w, 4 * w, 3)
        + n_convolution(4 * w, 2 * w, 3)
        + n_convolution(2 * w, w, 3)
        + n_convolution(w, 1, 7)
    )
    discriminator = (
        n_convolution(1, d, 4)
        + n_convolution(d, 2 * d, 4)
        + n_convolution(2 * d, 4 * d, 4)
        + n_convolution(4 * d, 8 * d, 4)
        + n_convolution(8 * d, 1, 4)
    )
    assert n_parameters(Generator(w, config.blocks, False)) == generator
    assert n_parameters(Discriminator(d)) == discriminator
    if preset == "paper":
        assert (generator, discriminator) == PAPER_PARAMETERS


PAPER_PARAMETERS = (11_289_857, 2_762_689)


def kinds(network):
    plain = (nn.Conv2d, nn.ConvTranspose2d, nn.InstanceNorm2d, nn.ReLU, nn.LeakyReLU)
    return [layer for layer in network.modules() if isinstance(layer, plain)]


def test_generator_has_two_convolutions_nine_blocks_and_three_convolutions():
    layers = kinds(Generator(2, 9, False))
    normalized = [nn.InstanceNorm2d, nn.ReLU]
    before = [nn.Conv2d, *normalized] * 2
    block = [nn.Conv2d, *normalized, nn.Conv2d, nn.InstanceNorm2d]
    after = [nn.ConvTranspose2d, *normalized] * 2 + [nn.Conv2d]
    assert [type(layer) for layer in layers] == before + block * 9 + after
    convolutions = [x for x in layers if isinstance(x, nn.Conv2d | nn.ConvTranspose2d)]
    strides = [layer.stride[0] for layer in convolutions]
    assert strides == [2, 2, *[1] * 18, 2, 2, 1]


def test_discriminator_has_five_convolutions_four_leaky_relus_and_four_normalizations():
    layers = kinds(Discriminator(2))
    expected = [nn.Conv2d, nn.InstanceNorm2d, nn.LeakyReLU] * 4 + [nn.Conv2d]
    assert [type(layer) for layer in layers] == expected
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    assert [layer.stride[0] for layer in convolutions] == [2, 2, 2, 1, 1]
    assert {layer.negative_slope for layer in layers if isinstance(layer, nn.LeakyReLU)} == {0.2}


def without_normalization(network):
    """Take out what looks at the whole slice: the rest shows the receptive field."""
    for parent in network.modules():
        for name, layer in parent.named_children():
            if isinstance(layer, nn.InstanceNorm2d | nn.ReLU | nn.LeakyReLU):
                setattr(parent, name, nn.Identity())
            elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.constant_(layer.weight, 0.1)
    return network.double()


def influence(network, size, row):
    """First and last row of the input that the answer in the middle of `row` depends on."""
    x = torch.rand(1, 1, size, size, dtype=torch.float64, requires_grad=True)
    answer = network(x)
    answer[0, 0, row, row].backward()
    rows = (x.grad[0, 0] != 0).any(dim=1).nonzero()
    return int(rows.min()), int(rows.max())


def test_discriminator_judges_patches_of_70_pixels():
    first, last = influence(without_normalization(Discriminator(1)), 160, 9)
    assert last - first + 1 == 70


@pytest.mark.parametrize("blocks", [0, 2])
def test_receptive_field_of_the_generator(blocks):
    first, last = influence(without_normalization(Generator(1, blocks, True)), 128, 64)
    # On either side, by hand: 3 of the last convolution, then at half, at a quarter (two for
    # each block) and back; the cells of transposed convolutions make it uneven by up to 3.
    reach = 3 + 2 * blocks * 4 + 4
    assert reach <= 64 - first <= reach + 6
    assert reach <= last - 64 <= reach + 6


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_slices_of_both_grids_keep_their_shape(grid):
    _, H, W = grid.shape
    assert Generator(1, 1, False)(torch.rand(1, 1, H, W)).shape == (1, 1, H, W)


def test_slices_of_odd_size_keep_their_shape():
    assert Generator(1, 1, True)(torch.rand(2, 1, 33, 46)).shape == (2, 1, 33, 46)


def test_paper_preset_has_the_settings_of_the_supplement():
    paper = PRESETS["paper"]
    assert paper == CycleGANConfig()
    assert (paper.blocks, paper.epochs, paper.learning_rate) == (9, 40, 2e-4)
    assert (paper.cycle_weight, paper.identity_weight, paper.momentum) == (10.0, 0.5, 0.5)
    assert (paper.pool_size, paper.steps, paper.residual) == (50, 0, False)


def test_paper_output_is_in_range_and_the_background_stays(small_cohort):
    data = Bias().setup(small_cohort, 0)
    config = dataclasses.replace(CONFIG, residual=False)
    method = CycleGAN(data.target.grid, config).eval()
    scans = data.test.load([0])
    before = scans.images.clone()
    for weight in (1.0, 50.0):
        nn.init.constant_(method.generator.layers[-1].weight, weight)
        output = method(scans).images
        assert output.min() == 0
        assert output.max() <= 1
        assert (output[~scans.masks] == 0).all()
        result = method.generator(2 * scans.images[0][:, None] - 1)
        assert result.abs().max() <= 1
    assert torch.equal(scans.images, before)


def test_residual_output_is_clamped_and_begins_at_the_input(small_cohort):
    data = Bias().setup(small_cohort, 0)
    method = CycleGAN(data.target.grid, CONFIG).eval()
    scans = data.test.load([0])
    nn.init.zeros_(method.generator.layers[-1].weight)
    torch.testing.assert_close(method(scans).images, scans.images)
    nn.init.constant_(method.generator.layers[-1].weight, 50.0)
    output = method(scans).images
    assert (float(output.min()), float(output.max())) == (0, 1)


def test_adversarial_loss_is_least_squares():
    answers = torch.tensor([0.0, 2.0, 1.0])
    assert realness(answers, 1) == pytest.approx(2 / 3)
    assert realness(answers, 0) == pytest.approx(5 / 3)


def test_losses_are_the_papers(small_cohort):
    method = CycleGAN(small_cohort.grid, dataclasses.replace(CONFIG, cycle_weight=10.0))
    game = Game(method, 0)
    for network in (game.to_target, game.to_source):
        nn.init.normal_(network.layers[-1].weight, 0.0, 0.5)
    x, y = (
        small_cohort.scans(name, "train").slices(torch.arange(2)) for name in ("domain1", "target")
    )
    result = game.generators_loss(x, y)
    a, b = 2 * x[:, None] - 1, 2 * y[:, None] - 1
    fake_b, fake_a = game.to_target(a), game.to_source(b)
    adversarial = (game.of_target(fake_b) - 1).square().mean() + (
        game.of_source(fake_a) - 1
    ).square().mean()
    cycle = (game.to_source(fake_b) - a).abs().mean() + (game.to_target(fake_a) - b).abs().mean()
    identity = (game.to_target(b) - b).abs().mean() + (game.to_source(a) - a).abs().mean()
    torch.testing.assert_close(result["loss"], adversarial + 10 * cycle + 5 * identity)
    judged = game.discriminators_loss(x, y)  # the pools are empty: these very images
    expected = (
        (game.of_target(b) - 1).square().mean()
        + game.of_target(fake_b).square().mean()
        + (game.of_source(a) - 1).square().mean()
        + game.of_source(fake_a).square().mean()
    )
    torch.testing.assert_close(judged, expected / 2)
    judged.backward()
    assert all(tensor.grad is None for tensor in game.to_target.parameters())
    assert len(game.targets.images) == len(game.sources.images) == 2


def pictures(*numbers):
    return torch.tensor(numbers, dtype=torch.float32).view(-1, 1, 1, 1)


def test_pool_shows_new_images_until_it_is_full_then_half_old_ones():
    pool = ImagePool(50, torch_generator(0, "pool"))
    first = pictures(*range(50))
    assert torch.equal(pool.swap(first), first)
    new = pictures(*range(50, 1050))
    shown = pool.swap(new)
    old = int((shown != new).sum())
    assert 440 < old < 560
    # Nothing is lost and nothing shown twice: in the pool or shown, each once.
    everything = torch.cat([shown, torch.stack(pool.images)]).flatten().sort().values
    assert torch.equal(everything, torch.arange(1050.0))
    assert len(pool.images) == 50


def test_pool_of_size_zero_returns_its_input():
    pool = ImagePool(0, torch_generator(0, "pool"))
    assert torch.equal(pool.swap(pictures(1, 2)), pictures(1, 2))
    assert pool.images == []


def test_pool_state_is_restored():
    pool = ImagePool(4, torch_generator(0, "pool"))
    pool.swap(pictures(*range(9)))
    state = pool.state_dict()
    fresh = ImagePool(4, torch_generator(1, "pool"))
    fresh.load_state_dict(state)
    more = pictures(*range(9, 40))
    assert torch.equal(fresh.swap(more), pool.swap(more))
    # What was kept is as it was, whatever was done since.
    assert not torch.equal(torch.stack(state["images"]), torch.stack(fresh.images))


def test_a_restored_pool_returns_images_on_the_device_of_the_new_ones():
    pool = ImagePool(4, torch_generator(0, "pool"))
    pool.swap(pictures(*range(4)))
    # A checkpoint is read on the CPU, and the training continues on a GPU.
    fresh = ImagePool(4, torch_generator(1, "pool"))
    fresh.load_state_dict(pool.state_dict())
    shown = fresh.swap(pictures(*range(4, 24)).to("meta"))
    assert shown.device.type == "meta"


def test_needs_the_source_and_no_pairs(small_cohort):
    data = Domain("domain1").setup(small_cohort, 0).fit_data(0)
    assert CycleGAN.needs is Needs.UNPAIRED
    with pytest.raises(BlindnessError, match="source"):
        CycleGAN(data.grid, SHORT).fit(data.restricted(Needs.TARGET), FitProgress())
    given = data.restricted(Needs.UNPAIRED)
    with pytest.raises(BlindnessError):
        _ = given.pairs
    # It learns without a subject that was scanned on both scanners.
    assert not set(given.target.subjects) & set(given.source.subjects)
    CycleGAN(data.grid, SHORT).fit(given, FitProgress())


def test_fit_lowers_the_cycle_loss_and_gains_on_new_subjects(domain):
    data, method, progress = domain
    cycle = [point.value for point in progress.curves if point.name == "generators.cycle"]
    # Adversarial training differs between processors; the loss falls to about a quarter.
    assert sum(cycle[-10:]) / 10 < 0.5 * cycle[0]
    source, truth = data.test.load([0, 1]), data.references.load([0, 1])
    gain = psnr(method(source).images, truth.images) - psnr(source.images, truth.images)
    assert gain > 0.5
    assert progress.facts["source_slices"] == 5 * 6
    assert progress.facts["training_slices"] == 4 * 6


def test_learning_rate_is_constant_for_a_half_and_then_falls_to_nothing(domain):
    progress = domain[2]
    for phase in ("generators", "discriminators"):
        rates = {
            point.step: point.value / CONFIG.learning_rate
            for point in progress.curves
            if point.name == f"{phase}.learning_rate"
        }
        for step, rate in rates.items():
            assert rate == pytest.approx(min(1, 2 * (1 - (step - 1) / CONFIG.steps)))
        assert rates[CONFIG.steps] == pytest.approx(2 / CONFIG.steps)


def test_a_resumed_fit_is_identical_to_an_uninterrupted_fit(
    small_cohort, tmp_path, kills, assert_equal
):
    data = Bias().setup(small_cohort, 0)
    with pytest.raises(kills.Killed):
        fit(data, SHORT, FitProgress(kills(7), tmp_path, checkpoint_seconds=0))
    (checkpoint,) = tmp_path.iterdir()
    parts = torch.load(checkpoint, weights_only=True)["state"]["parts"]
    targets, sources = parts["keep-3"], parts["keep-4"]
    assert len(targets["images"]) == len(sources["images"]) == SHORT.pool_size
    method, progress = fit(data, SHORT, FitProgress(checkpoints=tmp_path, checkpoint_seconds=0))
    assert progress.facts["resumed_at"] == 6
    whole, uninterrupted = fit(data, SHORT)
    assert_equal(method.state_dict(), whole.state_dict())
    assert progress.curves == uninterrupted.curves


def test_epochs_cover_the_larger_set_within_limits(small_cohort):
    data = Gamma(0.7).setup(small_cohort, 0)
    config = dataclasses.replace(
        SHORT, steps=0, epochs=1, batch_size=5, source_slices=6, target_slices=14
    )
    _, progress = fit(data, config)
    assert (progress.facts["source_slices"], progress.facts["training_slices"]) == (6, 12)
    assert progress.facts["steps_done"] == math.ceil(12 / 5)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("blocks", -1), ("width", 0), ("batch_size", 0), ("source_slices", -1), ("momentum", 1.0)],
)
def test_invalid_settings_are_rejected(setting, value):
    with pytest.raises(UserError, match=setting):
        CycleGANConfig(**{setting: value})


def test_too_small_slices_are_rejected(small_cohort):
    grid = dataclasses.replace(small_cohort.grid, shape=(2, SMALLEST - 1, 30))
    with pytest.raises(UserError, match="23 x 30 are too small; at least 24 x 24"):
        CycleGAN(grid, CONFIG)
    # The least is enough for all that is in a fit.
    slices = torch.rand(1, SMALLEST, SMALLEST)
    grid = dataclasses.replace(grid, shape=(1, SMALLEST, SMALLEST))
    game = Game(CycleGAN(grid, CONFIG), 0)
    assert torch.isfinite(game.generators_loss(slices, slices)["loss"])
    assert torch.isfinite(game.discriminators_loss(slices, slices))


def test_registration():
    assert harmbench_methods.register_methods()["cyclegan"].load() is CycleGAN
