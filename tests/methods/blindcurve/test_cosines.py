"""The cosines that fields consist of."""

from __future__ import annotations

import math

import pytest
import torch

from harmbench_methods.blindcurve.cosines import Cosines


@pytest.mark.parametrize("degree", [1, 2, 3, 4])
def test_field_has_every_term_up_to_its_degree_once(degree):
    cosines = Cosines(degree)
    # Monomials of three variables up to the degree, without the constant.
    assert len(set(cosines.terms)) == len(cosines.terms) == math.comb(degree + 3, 3) - 1
    assert cosines.degrees.tolist() == [sum(term) for term in cosines.terms]
    assert (cosines.degrees.min(), cosines.degrees.max()) == (1, degree)


def test_fields_of_the_third_degree_have_19_terms():
    assert len(Cosines(3).terms) == 19


def test_terms_have_zero_mean_and_are_orthogonal():
    shape = (24, 40, 32)
    terms = Cosines(3).basis(torch.arange(shape[0]), shape).flatten(1)
    torch.testing.assert_close(terms.mean(dim=1), torch.zeros(19), rtol=0, atol=1e-5)
    gram = terms @ terms.T / terms.shape[1]
    torch.testing.assert_close(gram, gram.diagonal().diag(), rtol=0, atol=1e-5)
    assert 0.1 < float(gram.diagonal().min()) <= float(gram.diagonal().max()) < 0.6


def test_a_term_is_the_product_of_its_cosines():
    S, H, W = shape = (5, 6, 7)
    cosines = Cosines(3)
    term = cosines.basis(torch.arange(S), shape)[cosines.terms.index((1, 0, 2))]
    expected = math.cos(math.pi * 3.5 / S) * math.cos(2 * math.pi * 4.5 / W)
    torch.testing.assert_close(term[3, :, 4], torch.full((H,), expected))


def test_the_terms_of_a_slice_do_not_depend_on_the_other_slices():
    cosines, shape = Cosines(2), (9, 6, 7)
    index = torch.tensor([7, 0, 4])
    assert torch.equal(cosines.basis(index, shape), cosines.basis(torch.arange(9), shape)[:, index])
