"""Normalisations: their properties, the training scans of Nyul's, and their keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from harmbench.cohorts.phantom.scanner import SCANNERS, Scanner
from harmbench.cohorts.phantom.source import Phantom
from harmbench.data.cohort import Cohort
from harmbench.data.scans import Grid, minmax
from harmbench.errors import UserError
from harmbench.preprocessing.normalization import NORMALIZATIONS, normalization
from harmbench.preprocessing.normalization.white_stripe import white_matter_mode
from harmbench.util.progress import Silent
from helpers.one_core import on_one_core

# A slab: the phantom computes all of the tissue that lies in a thick slice.
GRID = Grid("tiny", (3, 24, 30), (1.2, 7.2, 7.2))


def brain(scale: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Nested ellipsoids as bright as CSF, grey and white matter, with noise."""
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in (20, 60, 60)], indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    tissue = (radius < 0.98) * 1 + (radius < 0.92) * 1 + (radius < 0.75) * 1
    noise = np.random.default_rng(seed).standard_normal(tissue.shape)
    image = np.array([0, 300, 700, 1000])[tissue] + 40 * noise * (tissue > 0)
    image = np.clip(image, 1, None) * (tissue > 0)
    return (scale * image).astype(np.float32), tissue > 0


def applied(name: str, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    way = NORMALIZATIONS[name]
    return way(image, mask, way.standard([way.landmarks(*brain(seed=9))]))


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_a_brain_lands_in_the_unit_range_whatever_the_scanner_s_scale(name: str) -> None:
    image, mask = brain()
    before = image.copy()
    result = applied(name, image, mask)
    np.testing.assert_array_equal(image, before)
    assert result.dtype == np.float32
    assert result.shape == image.shape
    assert result.min() >= 0
    assert result.max() <= 1
    assert not result[~mask].any()
    assert np.ptp(result[mask]) > 0.3
    np.testing.assert_allclose(applied(name, *brain(scale=37.0)), result, atol=2e-5)
    # The order of intensities stays within a slice.
    line, inside = image[10].ravel(), mask[10].ravel()
    order = np.argsort(line[inside])
    assert (np.diff(result[10].ravel()[inside][order]) >= -1e-6).all()


def test_minmax_is_the_paper_s() -> None:
    image, mask = brain()
    expected = minmax(torch.from_numpy(image)).numpy() * mask
    np.testing.assert_array_equal(NORMALIZATIONS["minmax"](image, mask), expected)
    assert NORMALIZATIONS["minmax"].key(()) == ()


def test_percentile_and_zscore_have_their_defining_properties() -> None:
    image, mask = brain()
    high = np.percentile(image[mask], 99.5)
    np.testing.assert_allclose(
        applied("percentile", image, mask)[mask], np.minimum(image[mask] / high, 1), atol=1e-6
    )
    result = applied("zscore", image, mask)
    z = (image - image[mask].mean()) / image[mask].std()
    np.testing.assert_allclose(result[mask], np.clip((z[mask] + 3) / 6, 0, 1), atol=1e-5)


def test_white_stripe_finds_white_matter() -> None:
    image, mask = brain()
    assert white_matter_mode(image[mask]) == pytest.approx(1000, rel=0.02)
    # A fat rim, brighter and much smaller than white matter, does not lead it astray.
    rim = image.copy()
    rim[mask & (np.random.default_rng(1).uniform(size=image.shape) < 0.01)] = 1600
    assert white_matter_mode(rim[mask]) == pytest.approx(1000, rel=0.02)
    white = applied("whitestripe", image, mask)[(image > 960) & (image < 1040)]
    assert white.mean() == pytest.approx(60 / 80, abs=0.02)


def test_nyul_brings_landmarks_to_the_standard() -> None:
    way = NORMALIZATIONS["nyul"]
    image, mask = brain()
    standard = way.standard([way.landmarks(*brain(seed=s)) for s in (3, 4)])
    assert standard[0] == pytest.approx(0.05)
    assert standard[-1] == pytest.approx(0.95)
    bent = np.where(mask, (image / 1000) ** 1.7, 0).astype(np.float32)
    result = way(bent, mask, standard)
    np.testing.assert_allclose(way.landmarks(result, mask), standard, atol=2e-3)
    flat = np.where(mask, 5.0, 0).astype(np.float32)
    assert np.isfinite(way(flat, mask, standard)).all()


def test_an_unknown_normalisation_raises_an_error() -> None:
    with pytest.raises(UserError, match="no normalisation 'nyull'; did you mean 'nyul'"):
        normalization("nyull")


def prepared(tmp_path, name: str, subjects: str = "4") -> Cohort:
    source = Phantom(subjects, normalization=name)
    return Cohort.open(source, GRID, tmp_path, Silent())


@pytest.fixture(scope="module")
def two_scanners() -> Iterator[dict[str, Scanner]]:
    """Leave the phantom two of its five scanners."""
    scanners = dict(SCANNERS)
    for name in scanners.keys() - {"target", "domain3"}:
        del SCANNERS[name]
    yield SCANNERS
    SCANNERS.clear()
    SCANNERS.update(scanners)


@pytest.fixture(scope="module")
def nyul(tmp_path_factory, two_scanners) -> Cohort:
    with on_one_core():
        return prepared(tmp_path_factory.mktemp("nyul"), "nyul")


@pytest.mark.usefixtures("one_core")
def test_a_cohort_s_normalisation_is_in_its_name_its_keys_and_its_table(nyul, tmp_path) -> None:
    plain = prepared(tmp_path, "minmax")
    assert (plain.name, nyul.name) == ("phantom:4", "phantom:4+nyul")
    assert (plain.normalization, nyul.normalization) == ("minmax", "nyul")
    assert plain.key != nyul.key
    assert not set(plain.table["key"]) & set(nyul.table["key"])
    assert len(nyul.facts["standard"]) == 11
    images = nyul.scans("target").load([0]).images
    assert 0 < images.max() <= 1
    assert not torch.equal(images, plain.scans("target").load([0]).images)


@pytest.mark.usefixtures("one_core")
def test_the_standard_is_learnt_from_the_target_s_training_scans_alone(
    nyul, two_scanners, tmp_path, monkeypatch
) -> None:
    """Blindness: other sources, and other subjects to test on, teach nothing."""
    first = nyul
    other = replace(two_scanners["domain3"], transmit=0.6, noise=0.3)
    monkeypatch.setitem(two_scanners, "domain3", other)
    second = prepared(tmp_path / "second", "nyul")
    assert first.facts["standard"] == second.facts["standard"]
    assert first.scans("target").digest == second.scans("target").digest
    assert first.scans("domain3").digest != second.scans("domain3").digest
    training = first.scans("target", "train").load([0]).images
    assert torch.equal(training, second.scans("target", "train").load([0]).images)
