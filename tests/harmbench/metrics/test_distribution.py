"""Metrics without a paired truth, against SciPy and by hand."""

from __future__ import annotations

import dataclasses
import math
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from harmbench.metrics.distribution import (
    GMWMContrast,
    GMWMContrastError,
    Wasserstein,
    contrast,
    population_contrast,
    population_quantiles,
    quantile_function,
)


def test_wasserstein_is_scipys(small_cohort) -> None:
    target = small_cohort.scans("target", "train")
    everybody = target.load(range(len(target)))
    population = everybody.images[everybody.masks].numpy()
    scans = small_cohort.scans("north", "test").load([0, 1, 2])
    result = Wasserstein().measure(scans, None, target)
    expected = [
        wasserstein_distance(image[mask].numpy(), population)
        for image, mask in zip(scans.images, scans.masks, strict=True)
    ]
    assert min(expected) > 0.02
    np.testing.assert_allclose(result.numpy(), expected, atol=3e-4)


def test_population_quantiles_are_of_all_voxels_together(small_cohort) -> None:
    target = small_cohort.scans("target", "train")
    everybody = target.load(range(len(target)))
    population = everybody.images[everybody.masks].double().numpy()
    levels = (np.arange(4096) + 0.5) / 4096
    expected = np.quantile(population, levels, method="inverted_cdf")
    np.testing.assert_allclose(population_quantiles(target), expected, atol=8e-6)


def test_wasserstein_of_a_population_of_one_to_itself_and_shifted(small_cohort) -> None:
    target = small_cohort.scans("target", "train").subset([0])
    scan = target.load([0])
    assert Wasserstein().measure(scan, None, target).item() < 2e-4
    shifted = scan.with_images(scan.images + 0.125)
    assert Wasserstein().measure(shifted, None, target).item() == pytest.approx(0.125, abs=2e-4)


def test_wasserstein_sees_the_foreground_alone(small_cohort) -> None:
    target = small_cohort.scans("target", "train")
    scans = small_cohort.scans("domain1", "test").load([0, 1])
    noisy = scans.with_images(torch.where(scans.masks, scans.images, 0.7))
    first, second = (Wasserstein().measure(s, None, target) for s in (scans, noisy))
    assert torch.equal(first, second)
    empty = dataclasses.replace(
        scans, masks=scans.masks & torch.tensor([True, False])[:, None, None, None]
    )
    result = Wasserstein().measure(empty, None, target)
    assert result[0] == first[0]
    assert torch.isnan(result[1])


@settings(max_examples=50)
@given(st.integers(1, 5000), st.integers(0, 2**32 - 1))
def test_quantile_function_is_hazens(n: int, seed: int) -> None:
    values = np.random.default_rng(seed).random(n)
    levels = (np.arange(4096) + 0.5) / 4096
    expected = np.quantile(values, levels, method="hazen")
    np.testing.assert_allclose(quantile_function(torch.from_numpy(values)), expected, atol=1e-12)


def test_population_is_read_once_for_its_content(own_cohort) -> None:
    cohort = own_cohort()
    target = cohort.scans("target", "train")
    # Contents no other test has asked about.
    mine = dataclasses.replace(
        target, scans=tuple(dataclasses.replace(s, key=f"once {s.key}") for s in target.scans)
    )
    quantiles, ratio = population_quantiles(mine), population_contrast(mine)
    shutil.rmtree(cohort.directory)
    again = dataclasses.replace(mine)
    assert torch.equal(population_quantiles(again), quantiles)
    assert torch.equal(population_contrast(again), ratio)
    with pytest.raises(FileNotFoundError):
        population_quantiles(mine.subset([0, 1]))


def test_contrast_by_hand() -> None:
    images = torch.tensor([0.2, 0.4, 0.7, 0.9, 0.8, 1.0]).view(1, 1, 1, 6)
    labels = torch.tensor([2, 2, 3, 3, 1, 0], dtype=torch.uint8).view(1, 1, 1, 6)
    # Means 0.3 and 0.8, variances 0.01 each.
    assert contrast(images, labels).item() == pytest.approx(0.5 / math.sqrt(0.02), rel=1e-6)
    turned = contrast(0.9 - 0.5 * images, labels).item()
    assert turned == pytest.approx(0.5 / math.sqrt(0.02), rel=1e-5)


def test_contrast_where_it_is_none_or_undefined() -> None:
    images = torch.full((3, 1, 1, 4), 0.5)
    images[2, ..., 2:] = 0.75
    labels = torch.tensor([2, 2, 3, 3], dtype=torch.uint8).repeat(3, 1).view(3, 1, 1, 4).clone()
    labels[1] = 2
    flat, lacking, ideal = contrast(images, labels).tolist()
    assert flat == 0
    assert math.isnan(lacking)
    assert ideal == math.inf


def test_contrast_error_to_the_population(small_cohort) -> None:
    target = small_cohort.scans("target", "train")
    everybody = target.load(range(len(target)))
    mean = contrast(everybody.images, everybody.labels).mean()
    scans = small_cohort.scans("domain1", "test").load([0, 1])
    values = GMWMContrast().measure(scans, None, target)
    errors = GMWMContrastError().measure(scans, None, target)
    torch.testing.assert_close(errors, (values - mean).abs())
    assert (errors > 0.3).all()
    alone = target.subset([0])
    assert GMWMContrastError().measure(alone.load([0]), None, alone).item() == 0


def test_without_labels(small_cohort) -> None:
    north = small_cohort.scans("north", "train")
    labelled = small_cohort.scans("domain1", "test").load([0])
    assert torch.isnan(GMWMContrastError().measure(labelled, None, north)).all()
    bare = north.load([0])
    assert Wasserstein().applies(bare, None, north)
    assert GMWMContrast().applies(labelled, None, north)
    assert not GMWMContrast().applies(bare, bare, north)
    assert not GMWMContrastError().applies(labelled, None, north)
    assert GMWMContrastError().applies(labelled, None, small_cohort.scans("target", "train"))
    with pytest.raises(ValueError, match="needs labels"):
        GMWMContrast().measure(bare, None, north)


def test_population_without_foreground(own_cohort) -> None:
    cohort = own_cohort()
    for path in (cohort.directory / "north" / "masks").iterdir():
        np.load(path, mmap_mode="r+")[:] = False
    north = cohort.scans("north", "train")
    other = dataclasses.replace(
        north, scans=tuple(dataclasses.replace(s, key=f"dark {s.key}") for s in north.scans)
    )
    assert torch.isnan(population_quantiles(other)).all()


def test_table_is_of_whole_scans(small_cohort) -> None:
    scans = small_cohort.scans("north", "test").load([0, 1, 2])
    table = Wasserstein().table(scans, None, small_cohort.scans("target", "train"))
    assert table["subject"].tolist() == ["n0", "n0", "n1"]
    assert table["scan"].tolist() == ["1", "2", "1"]
    assert (table["slice"] == -1).all()
