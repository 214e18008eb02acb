"""Fields are sums of cosines, and a map undoes what it says it undoes."""

from __future__ import annotations

import dataclasses

import torch

from harmbench_methods.blindcurve.cosines import Cosines
from harmbench_methods.blindcurve.maps import Map, without_field


def test_a_field_is_the_sum_of_its_terms():
    cosines, shape = Cosines(2), (3, 4, 5)
    coefficients = torch.randn(len(cosines.terms), generator=torch.Generator().manual_seed(0))
    places = torch.stack(
        torch.meshgrid(*((torch.arange(n) + 0.5) / n for n in shape), indexing="ij"), dim=-1
    ).reshape(-1, 3)
    field = cosines.field(coefficients, shape)
    torch.testing.assert_close(cosines.at(places) @ coefficients, field.flatten())
    assert (0, 0, 0) not in cosines.terms
    assert int(cosines.degrees.max()) == 2


def test_slices_keep_their_maxima():
    cosines, shape = Cosines(2), (3, 4, 5)
    image = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    image[1] = 0
    field = 0.2 * torch.ones(len(cosines.terms))
    log_field = cosines.field(field, shape)
    bare = without_field(image, log_field, slicewise=True)
    torch.testing.assert_close(bare.amax(dim=(1, 2)), image.amax(dim=(1, 2)))
    plain = without_field(image, log_field, slicewise=False)
    torch.testing.assert_close(plain, image / log_field.exp())


def test_a_map_undoes_a_field_and_a_curve():
    generator = torch.Generator().manual_seed(0)
    cosines = Cosines(3)
    truth = torch.rand(4, 8, 8, generator=generator) * 0.9 + 0.1
    truth = truth / truth.amax(dim=(1, 2), keepdim=True)
    mask = torch.ones_like(truth, dtype=torch.bool)
    mask[:, :2] = False
    truth = truth * mask
    truth = truth / truth.amax(dim=(1, 2), keepdim=True)
    field = 0.1 * torch.randn(len(cosines.terms), generator=generator)
    source = truth**1.5 * cosines.field(field, (4, 8, 8)).exp()
    source = source / source.amax(dim=(1, 2), keepdim=True)
    y = torch.linspace(0, 1, 257)
    scan_map = Map(field=field, x=y**1.5, y=y, slicewise=True)
    log_field = cosines.field(field, (4, 8, 8))
    result = scan_map(source, mask, log_field)
    torch.testing.assert_close(result, truth, atol=2e-3, rtol=0)
    unchanged = dataclasses.replace(scan_map, unchanged=True)
    assert torch.equal(unchanged(source, mask, log_field), source)
