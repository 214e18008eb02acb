"""Nyul's map through the library, on volumes of the tiny cohort."""

from __future__ import annotations

import numpy as np
import pytest
from intensity_normalization.adapters.images import NumpyImageAdapter
from intensity_normalization.normalizers.population.nyul import NyulNormalizer
from nyul_plugin.method import Nyul

from harmbench import FitData, FitProgress, VolumeScan
from harmbench.testing import parametrize_with_checks
from harmbench.testing.tiny import tiny_cohort


@pytest.fixture(scope="module")
def data():
    cohort = tiny_cohort()
    train, validation = (cohort.scans("target", split) for split in ("train", "validation"))
    return FitData(target=train, validation=validation, seed=0)


@pytest.fixture(scope="module")
def fitted(data):
    method = Nyul(data.grid)
    method.fit(data, FitProgress())
    return method.eval()


def test_it_is_the_map_of_the_library(data, fitted):
    brains = [
        NumpyImageAdapter(np.where(scan.mask, scan.image, 0))
        for scan in data.target.volumes(Nyul.space)
    ]
    library = NyulNormalizer().fit_population(brains)
    scan = tiny_cohort().scans("domain1", "test").volumes(Nyul.space)[0]
    expected = library.transform(NumpyImageAdapter(np.where(scan.mask, scan.image, 0))).get_data()
    result = fitted.harmonize(scan)
    assert np.allclose(result[scan.mask], np.maximum(expected, 0)[scan.mask], atol=1e-4)
    assert (result[~scan.mask] == 0).all()


def test_percentiles_become_those_of_the_standard_scale(fitted):
    scan = tiny_cohort().scans("domain1", "test").volumes(Nyul.space)[0]
    result = fitted.harmonize(scan)
    standard, percentiles = fitted.histogram.numpy()
    inside = scan.mask & (scan.image > 0)
    assert np.allclose(np.percentile(result[inside], percentiles), standard, atol=0.5)


@pytest.mark.parametrize("level", [0.0, 0.5])
def test_a_scan_without_contrast_stays_as_it_is(fitted, level):
    image = np.full((4, 5, 6), level, np.float32)
    scan = VolumeScan(
        image=image, mask=np.ones(image.shape, bool), affine=np.eye(4), subject="p", session="1"
    )
    assert np.array_equal(fitted.harmonize(scan), image)


@parametrize_with_checks("nyul")
def test_the_contract(check):
    check()
