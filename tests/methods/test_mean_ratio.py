"""One fixed gain map from two mean images."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from harmbench import FitData, FitProgress, Grid, UserError
from harmbench_methods.identity import Identity
from harmbench_methods.mean_ratio import MeanRatio, MeanRatioConfig, window_size
from harmbench_tasks.domains import Domain
from helpers.methods import fitted, mean_psnr

GRID = Grid("small", (16, 40, 48), (3.0, 3.0, 3.0))


@dataclasses.dataclass(frozen=True)
class Gain:
    """Multiplies every scan by one smooth map in [0.6, 1]."""

    digest: str = "gain"

    @property
    def map(self) -> Tensor:
        s, h, w = (torch.linspace(0, 1, n) for n in GRID.shape)
        wave = torch.cos(torch.pi * s)[:, None, None] * torch.cos(torch.pi * h)[:, None]
        return 0.8 + 0.1 * wave + 0.1 * torch.cos(torch.pi * w)

    def __call__(self, images: Tensor, masks: Tensor, scan: Tensor, index: Tensor) -> Tensor:
        return images * self.map[index]


@pytest.fixture(scope="module")
def data(heads) -> FitData:
    """The target, and other subjects' scans after the gain."""
    scans = heads(GRID, 12)
    target, source = scans.subset(range(6)), scans.subset(range(6, 12))
    source = dataclasses.replace(source, domain="source").with_transform(Gain())
    return FitData(target=target, validation=target, seed=0, _source=source)


@pytest.fixture(scope="module")
def method(data: FitData) -> MeanRatio:
    method = MeanRatio(GRID)
    method.fit(data, FitProgress())
    return method


def test_a_known_gain_map_is_recovered(method: MeanRatio, data: FitData) -> None:
    foreground = data.target.load(range(len(data.target))).masks.any(dim=0)
    error = (method.gain * Gain().map - 1)[foreground].abs()
    before = (Gain().map - 1)[foreground].abs()
    assert error.mean() < 0.2 * before.mean()


def test_harmonised_scans_resemble_the_same_scans_without_the_gain(
    method: MeanRatio, data: FitData
) -> None:
    source = data.source.load([0, 1])
    truth = dataclasses.replace(data.source, _transform=None).load([0, 1])
    output = method(source)

    def error(images: Tensor) -> Tensor:
        return (images - truth.images)[truth.masks].abs().mean()

    assert error(output.images) < 0.25 * error(source.images)


def test_the_background_does_not_change(method: MeanRatio, data: FitData) -> None:
    source = data.source.load([0])
    bright = source.with_images(torch.where(source.masks, source.images, 0.25))
    output = method(bright).images
    assert (output[~source.masks] == 0.25).all()
    assert torch.equal(output[source.masks], method(source).images[source.masks])


def test_the_gain_is_one_far_from_all_foreground(method: MeanRatio) -> None:
    assert (method.gain[:, 0, 0] == 1).all()


def test_it_gains_on_another_scanner(small_cohort) -> None:
    data = Domain("domain1").setup(small_cohort, 0)
    assert mean_psnr(fitted(MeanRatio, data), data) > mean_psnr(fitted(Identity, data), data) + 1


def test_the_window_is_odd_and_nearest_to_the_setting() -> None:
    assert window_size(20.0, (1.2, 2.4, 2.4)) == (17, 9, 9)
    assert window_size(0.5, (1.2, 1.2, 1.2)) == (1, 1, 1)
    with pytest.raises(UserError, match="window"):
        MeanRatioConfig(window=0)
