import numpy as np
import torch

from harmbench.cohorts.phantom.lattice import Lattice
from harmbench.cohorts.phantom.masks import Extraction, draw_mask_error, extract
from harmbench.data.scans import Grid

GRID = Grid("block", (10, 60, 60), (1.2, 1.2, 1.2))


def ball(lattice: Lattice) -> torch.Tensor:
    """The distance to the surface of a cylinder of 25 mm along z."""
    _, x, y = lattice.mesh()
    return (25 - (x**2 + (y + 17) ** 2).sqrt()).expand(lattice.shape)


def mask(extraction: Extraction, seed: int) -> torch.Tensor:
    lattice = Lattice.of(GRID)
    error = draw_mask_error(extraction, np.random.default_rng(0), np.random.default_rng(seed))
    return extract(ball(lattice), extraction, error, lattice)


def test_without_error_the_mask_is_the_brain():
    lattice = Lattice.of(GRID)
    perfect = Extraction(offset=0, scatter=0, bias=0, roughness=0)
    assert torch.equal(mask(perfect, 1), lattice.to_grid(ball(lattice)) > 0)


def test_an_offset_moves_the_surface_by_so_many_millimetres():
    areas = []
    for offset in (-2.0, 0.0, 2.0):
        grown = mask(Extraction(offset=offset, scatter=0, bias=0, roughness=0), 1)
        areas.append(float(grown[0].sum()) * 1.44)
    radii = np.sqrt(np.array(areas) / np.pi)
    np.testing.assert_allclose(radii, (23, 25, 27), atol=0.3)


def test_bias_is_shared_by_scans_of_a_site_and_roughness_is_not():
    biased = Extraction(offset=0, scatter=0, bias=1.5, roughness=0)
    rough = Extraction(offset=0, scatter=0, bias=0, roughness=1.5)
    assert torch.equal(mask(biased, 1), mask(biased, 2))
    assert not torch.equal(mask(rough, 1), mask(rough, 2))
    perfect = mask(Extraction(offset=0, scatter=0, bias=0, roughness=0), 1)
    assert not torch.equal(mask(biased, 1), perfect)
