"""SSIMH swaps low amplitudes, and changes neither phases, background nor maxima."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ssimh.method import SSIMH, SSIMHConfig, low_frequencies, swapped

from harmbench import FitData, FitProgress, Grid, Scans, ScanSet, UserError, write_row
from harmbench.data.cohort_writer import CohortWriter
from harmbench.data.scan_set import ScanKey
from harmbench.testing import parametrize_with_checks

GRID = Grid("tiny", (4, 24, 32), (1.0, 1.0, 1.0))


def brains(count, seed=0):
    """Return ellipses with texture, `(count, S, H, W)` in [0, 1], and their masks."""
    random = np.random.default_rng(seed)
    y, x = np.meshgrid(np.linspace(-1, 1, 24), np.linspace(-1, 1, 32), indexing="ij")
    images = random.uniform(0.2, 1, (count, *GRID.shape)) * 0.3 + 0.4 + 0.2 * x
    images *= np.hypot(x, y) < random.uniform(0.7, 0.9, (count, 1, 1, 1))
    images /= images.max(axis=(2, 3), keepdims=True)
    return images.astype(np.float32), images > 0


@pytest.fixture
def target(tmp_path):
    images, masks = brains(5)
    folder = CohortWriter(tmp_path, GRID).begin_domain("goal", len(images), labelled=False)
    for row in range(len(images)):
        write_row(folder, "images", row, images[row])
        write_row(folder, "masks", row, masks[row])
    keys = tuple(ScanKey(f"p{i}", "1", f"scan {i}") for i in range(5))
    return ScanSet.stored(folder, domain="goal", grid=GRID, scans=keys)


def fitted(target, **settings):
    method = SSIMH(GRID, SSIMHConfig(**settings))
    progress = FitProgress()
    method.fit(FitData(target=target, validation=target.subset([]), seed=0), progress)
    return method.eval(), progress.facts


def scans(seed=1, power=0.5):
    images, masks = brains(2, seed)
    return Scans(
        images=torch.from_numpy(images**power),
        masks=torch.from_numpy(masks),
        subjects=("a", "b"),
        sessions=("1", "1"),
        positions=torch.zeros(4),
    )


def test_only_low_amplitudes_are_replaced():
    x, other = (torch.rand(3, 24, 32, generator=torch.Generator().manual_seed(i)) for i in (0, 1))
    low = low_frequencies((24, 32), 0.1)
    reference = torch.fft.rfft2(other).abs()
    before, after = (torch.fft.rfft2(image) for image in (x, swapped(x, reference, low)))
    assert after.abs()[:, low].allclose(reference[:, low], atol=1e-3)
    assert torch.polar(before.abs(), after.angle()).allclose(before, atol=1e-3)
    assert after[:, ~low].allclose(before[:, ~low], atol=1e-3)


def test_beta_selects_a_square_of_frequencies_around_zero():
    assert low_frequencies((24, 32), 0.0).nonzero().tolist() == [[0, 0]]
    assert low_frequencies((24, 32), 0.5).all()
    low = low_frequencies((24, 32), 0.1)  # up to 2.4 of 24 rows, and 3.2 of 32 columns
    assert low.nonzero()[:, 0].unique().tolist() == [0, 1, 2, 22, 23]
    assert low.nonzero()[:, 1].unique().tolist() == [0, 1, 2, 3]


def test_the_reference_scan_does_not_change(target):
    method, facts = fitted(target, reference="scan")
    reference = target.load([target.subjects.index(facts["reference"])])
    assert method(reference).images.allclose(reference.images, atol=1e-5)


def test_the_default_reference_is_the_mean_over_scans(target):
    method, _ = fitted(target)
    amplitudes = torch.fft.rfft2(target.load(range(5)).images).abs()
    assert method.amplitude.allclose(amplitudes.mean(dim=0), atol=1e-3)


def test_slices_keep_background_and_maximum(target):
    source = scans()
    result = fitted(target, beta=0.1)[0](source).images
    assert torch.equal(result[~source.masks], source.images[~source.masks])
    assert result.amax(dim=(-2, -1)).allclose(source.images.amax(dim=(-2, -1)), atol=1e-6)
    assert not result.allclose(source.images, atol=1e-2)


def test_beta_acts_when_harmonising(target):
    method, _ = fitted(target)
    wide, _ = fitted(target, beta=0.2)
    assert torch.equal(method.amplitude, wide.amplitude)
    assert not method(scans()).images.allclose(wide(scans()).images, atol=1e-3)


def test_beta_out_of_range_is_refused():
    with pytest.raises(UserError, match=r"beta must be in \[0, 0.5\]"):
        SSIMHConfig(beta=0.6)


@parametrize_with_checks("ssimh")
def test_the_contract(check):
    check()
