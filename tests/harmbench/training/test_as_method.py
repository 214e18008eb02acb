"""Networks and functions as methods: what they make of scans, and what their results hang on."""

from __future__ import annotations

import dataclasses
from functools import partial

import pytest
import torch
from torch import nn

from harmbench import Needs, Phase, SliceBatches, UserError, as_method, torch_generator, train
from harmbench.execution.compute.fitted import build
from harmbench.testing import check_method
from harmbench.util.source_code import code_version


def squared(x):
    """Take the square."""
    assert x.shape[1:] == (1, 32, 48)
    return x**2


def reversed_slices(x):
    assert x.ndim == 3
    return x.flip(0)


def brightened(x):
    return x + 0.6


def fit_curve(network, data, progress):
    batches = SliceBatches(
        data.target,
        size=4,
        device=torch.device("cpu"),
        generator=torch_generator(data.seed, "curve"),
    )
    train(
        network,
        batches,
        Phase(
            loss=lambda x: (network(x[:, None] ** 2)[:, 0] - x).square().mean(),
            optimizer=torch.optim.Adam(network.parameters(), lr=0.05),
        ),
        progress,
        name="curve",
        steps=20,
    )


class Line(nn.Module):
    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(0.5))

    def forward(self, x):
        return (x * self.slope).clamp(0, 1)


Squared = as_method(squared, "squared")
Reversed = as_method(reversed_slices, "reversed-slices", of="scans", summary="turns over")
Halved = as_method(Line(), "halved")
Trained = as_method(Line(), "trained", needs=Needs.TARGET, fit=fit_curve)


@pytest.fixture
def scans(small_cohort):
    return small_cohort.scans("domain1", "test").load([0, 1])


@pytest.mark.parametrize("method", [Squared, Halved, Trained], ids=lambda method: method.name)
def test_they_hold_to_the_contract(method):
    check_method(method)


def test_the_function_is_applied_within_the_mask(small_cohort, scans):
    result = Squared(small_cohort.grid)(scans)
    torch.testing.assert_close(
        result.images, torch.where(scans.masks, scans.images**2, scans.images)
    )
    whole = dataclasses.replace(scans, masks=torch.ones_like(scans.masks))
    turned = Reversed(small_cohort.grid)(whole)
    torch.testing.assert_close(turned.images, scans.images.flip(1))


def test_slices_go_through_a_few_at_a_time(small_cohort, scans):
    sizes = []

    def counted(x):
        sizes.append(len(x))
        return x.clone()

    method = as_method(counted, "counted", slices_at_once=4)
    torch.testing.assert_close(method(small_cohort.grid)(scans).images, scans.images)
    assert sizes == [4, 2, 4, 2]


def test_clamp_limits_the_output_to_0_and_1(small_cohort, scans):
    assert float(as_method(brightened, "b")(small_cohort.grid)(scans).images.max()) > 1
    cut = as_method(brightened, "b", clamp=True)(small_cohort.grid)(scans).images
    assert float(cut.max()) == 1


def test_another_shape_is_an_error(small_cohort, scans):
    method = as_method(lambda x: x[..., 1:], "cropped")
    with pytest.raises(ValueError, match=r"'cropped' returned shape \(6, 32, 47\).*\(6, 32, 48\)"):
        method(small_cohort.grid)(scans)


def test_each_instance_has_its_own_copy_of_the_network(small_cohort):
    network = Line()
    kind = as_method(network, "line")
    first, second = kind(small_cohort.grid), kind(small_cohort.grid)
    assert list(first.state_dict()) == ["network.slope"]
    with torch.no_grad():
        first.network.slope.fill_(2.0)
    assert second.network.slope.item() == network.slope.item() == 0.5


def test_the_class_belongs_to_the_module_that_calls_as_method():
    assert (Squared.__module__, Squared.__qualname__) == (__name__, "Squared")
    assert Reversed.__qualname__ == "ReversedSlices"
    assert (Squared.name, Squared.summary, Reversed.summary) == (
        "squared",
        "Take the square.",
        "turns over",
    )
    assert Halved.summary == "a network of the class Line, applied to slices"
    assert as_method(brightened, "b", of="scans").summary == "a function, applied to scans"
    assert Squared.needs is Needs.NOTHING
    assert not Squared.learns()
    assert Trained.learns()


def test_code_version_depends_on_weights_source_and_version():
    network = Line()
    versions = [code_version(as_method(network, "line"))]
    versions.append(code_version(as_method(network, "line", version="2")))
    with torch.no_grad():
        network.slope.fill_(0.7)
    versions.append(code_version(as_method(network, "line")))
    versions.append(code_version(as_method(squared, "line")))
    versions.append(code_version(as_method(brightened, "line")))
    convolution = nn.Conv2d(1, 1, 3, padding=1)
    versions.append(code_version(as_method(convolution, "line")))
    convolution.padding_mode = "reflect"
    versions.append(code_version(as_method(convolution, "line")))
    assert len(set(versions)) == len(versions)
    assert code_version(as_method(squared, "a")) == code_version(as_method(squared, "b"))


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (squared, {"of": "volumes"}, "neither 'slices' nor 'scans'"),
        (squared, {"needs": Needs.TARGET}, "without fit="),
        (squared, {"needs": Needs.TARGET, "fit": fit_curve}, r"only a torch.nn.Module"),
        (Line(), {"fit": fit_curve}, "without needs="),
        (Line(), {"needs": Needs.TRUTH}, "is for controls"),
    ],
)
def test_invalid_arguments_raise(function, options, message):
    with pytest.raises(UserError, match=message):
        as_method(function, "mine", **options)


def test_the_class_of_a_network_is_made_anew_by_the_seed(small_cohort):
    grid = small_cohort.grid
    factory = partial(nn.Conv2d, 1, 1, kernel_size=3, padding=1)
    method = as_method(factory, "convolution", needs=Needs.TARGET, fit=fit_curve)
    assert method.summary == "a network of the class Conv2d, applied to slices"
    first, again, other = (
        build(method, name="convolution", grid=grid, config=None, seed=seed, device="cpu")
        for seed in (0, 0, 1)
    )
    assert torch.equal(first.network.weight, again.network.weight)
    assert not torch.equal(first.network.weight, other.network.weight)
    wider = as_method(partial(nn.Conv2d, 1, 1, kernel_size=5, padding=2), "convolution")
    assert code_version(wider) != code_version(as_method(factory, "convolution"))
    assert isinstance(as_method(Line, "line")(grid).network, Line)
