"""The field of a scan by N4, in cosines."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from harmbench_methods.blindcurve.config import PRESETS
from harmbench_methods.blindcurve.cosines import Cosines
from harmbench_methods.blindcurve.field import exponent_of, n4_field
from harmbench_methods.blindcurve.population import Population
from harmbench_methods.histogram import Histogram
from harmbench_tasks.simulated import Exp
from helpers.methods import fitted

DEGREE = 2


@pytest.fixture(scope="module")
def scan(small_cohort):
    return Exp().setup(small_cohort, 0).references.load([0])


@pytest.fixture(scope="module")
def population(small_cohort):
    histogram = fitted(Histogram, Exp().setup(small_cohort, 0))
    return Population(
        config=PRESETS["tiny"],
        grid=small_cohort.grid,
        cosines=Cosines(DEGREE),
        knots=histogram.knots,
        slicewise=False,
    )


def shaded(scan, cosines, strength):
    """The scan with a field, and the field's coefficients."""
    image, mask = scan.images[0], scan.masks[0]
    field = torch.zeros(len(cosines.terms))
    field[cosines.terms.index((0, 1, 0))] = strength
    return image * 0.6 * cosines.field(field, tuple(image.shape)).exp(), mask, field


@pytest.fixture(scope="module")
def found(scan, population):
    """The field of a scan with a field, by N4."""
    image, mask, _ = shaded(scan, population.cosines, 0.2)
    return n4_field(population, image, mask)


def test_an_added_field_is_found(scan, population, found):
    image, mask, _ = shaded(scan, population.cosines, 0.0)
    shadowed, _, field = shaded(scan, population.cosines, 0.2)
    found = found * exponent_of(shadowed[mask], population.knots)
    natural = n4_field(population, image, mask) * exponent_of(image[mask], population.knots)
    place = int(field.argmax())
    assert 0.1 < float((found - natural)[place]) < 0.25
    others = torch.arange(len(field)) != place
    assert float((found - natural)[others].abs().max()) < 0.07


def test_where_slices_are_scaled_one_by_one_only_the_field_within_slices_counts(
    scan, population, found
):
    image, mask, _ = shaded(scan, population.cosines, 0.2)
    slicewise = dataclasses.replace(population, slicewise=True)
    along = [i for i, term in enumerate(population.cosines.terms) if term[1:] == (0, 0)]
    within = n4_field(slicewise, image, mask)
    assert float(within[along].abs().max()) < 1e-6
    assert float(found[along].abs().max()) > 1e-3


def test_a_scan_that_n4_cannot_work_on_has_no_field(scan, population):
    empty = torch.zeros_like(scan.masks[0])
    empty[0, 0, 0] = True
    assert not n4_field(population, torch.zeros_like(scan.images[0]), empty).any()
