import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harmbench.cohorts.phantom.anatomy import (
    AGES,
    Lattice,
    SmoothField,
    Template,
    build_anatomy,
    draw_subject,
    load_template,
)
from harmbench.data.scans import GRIDS, Grid

# Coarse in plane, and a slab through the lateral ventricles.
TINY = Grid("tiny", (6, 36, 44), (2.4, 4.8, 4.8))


@pytest.fixture(scope="module")
def template() -> Template:
    return load_template()


@pytest.fixture(scope="module")
def lattice() -> Lattice:
    return Lattice.of(TINY)


def test_lattice_averages_to_the_grid_it_refines(lattice):
    assert lattice.factors == (2, 4, 4)
    for axis, places in enumerate(lattice.mesh()):
        found = lattice.to_grid(places.expand(lattice.shape))
        assert found.shape == TINY.shape
        profile = found.movedim(axis, 0).flatten(1)
        x, y, z = TINY.origin
        start, step = (z, x, y)[axis], TINY.spacing[axis]
        expected = start + step * torch.arange(TINY.shape[axis])
        torch.testing.assert_close(profile, expected[:, None].expand_as(profile))


def test_lattice_of_the_paper_grid_is_the_grid_and_a_margin():
    lattice = Lattice.of(GRIDS["paper"])
    assert lattice.factors == (1, 1, 1)
    assert lattice.shape == (54, 148, 180)
    assert lattice.spacing == pytest.approx((1.2, 1.2, 1.2), abs=1e-4)
    torch.testing.assert_close(lattice.axes[0][2:-2], torch.tensor(GRIDS["paper"].positions))


def test_constant_coefficients_make_a_constant_field(lattice):
    drawn = SmoothField.draw(np.random.default_rng(0), 20.0)
    field = SmoothField(np.full_like(drawn.coefficients, 3.0), 20.0).on(lattice)
    torch.testing.assert_close(field, torch.full_like(field, 3.0))


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 2**32), st.sampled_from([8.0, 12.0]))
def test_fields_have_unit_variance_and_are_smooth(seed, spacing):
    lattice = Lattice.of(Grid("wide", (12, 36, 44), (9.6, 4.8, 4.8)))
    field = SmoothField.draw(np.random.default_rng(seed), spacing).on(lattice)[0]
    assert field.std() == pytest.approx(1.0, abs=0.15)
    # White noise would step by 1.4; this steps by about 1.2 of the voxel over the spacing.
    assert 0.9 < (field[:, 1:] - field[:, :-1]).std() * spacing / 1.2 < 1.7


def test_a_field_is_the_same_on_every_grid():
    """Different steps and extents: the coarse places that both have, have the same values."""
    field = SmoothField.draw(np.random.default_rng(1), 16.0)
    wide = field.on(Lattice.of(Grid("a", (5, 9, 9), (1.2, 1.2, 1.2))))
    narrow = field.on(Lattice.of(Grid("b", (3, 5, 5), (1.2, 1.2, 1.2))))
    torch.testing.assert_close(wide[:, 1:-1, 2:-2, 2:-2], narrow, rtol=0, atol=1e-4)


def test_template_is_a_brain_in_mni_space(template):
    csf, grey, white, brain = template.probabilities.astype(float) / 255

    def at(volume, x, y, z):
        oz, ox, oy = template.origin
        return volume[round(z - oz), round(x - ox), round(y - oy)]

    assert at(white, 20, -30, 30) > 0.9  # centrum semiovale
    assert at(grey, 14, 12, 10) > 0.8  # caudate head
    assert min(at(csf, 5, 5, 16), at(csf, -5, 5, 16)) > 0.8  # frontal horns
    assert at(brain, 0, -20, 10) == 1
    assert at(brain, 90, -20, 10) == 0
    assert (csf + grey + white).max() < 1.01


def test_a_subject_is_drawn_from_seed_and_name_alone(template, lattice):
    first, again = (build_anatomy(draw_subject(0, "P00001"), template, lattice) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one, other)
    for other in (draw_subject(0, "P00002"), draw_subject(1, "P00001")):
        differing = build_anatomy(other, template, lattice)
        labels = [anatomy.fractions.argmax(0) for anatomy in (first, differing)]
        brain = (first.brain > 0.5) & (differing.brain > 0.5)
        assert (labels[0] != labels[1])[brain].float().mean() > 0.1


def test_fractions_are_crisp_and_sum_to_one(template, lattice):
    anatomy = build_anatomy(draw_subject(0, "P00003"), template, lattice)
    torch.testing.assert_close(anatomy.fractions.sum(0), torch.ones(lattice.shape))
    assert (anatomy.fractions >= 0).all()
    inside = anatomy.brain > 0.99
    assert (anatomy.fractions.amax(0)[inside] > 0.9).float().mean() > 0.6
    assert (anatomy.fractions[0][anatomy.brain == 0] == 1).all()
    shares = [float(fraction[inside].mean()) for fraction in anatomy.fractions]
    assert 0.03 < shares[0] < 0.3
    assert 0.3 < shares[1] < 0.6
    assert 0.25 < shares[2] < 0.55


def test_age_widens_the_ventricles(template, lattice):
    """Widening and atrophy alone, everything else of the subject being equal."""
    from dataclasses import replace

    subject = draw_subject(0, "P00004")
    y, x = lattice.axes[2], lattice.axes[1]
    middle = ((x.abs() < 30)[:, None] & (y > -50) & (y < 30)).expand(lattice.shape)
    volumes = []
    for ventricles in (0.0, 0.25, 0.5):
        changed = replace(subject, ventricles=ventricles)
        csf = build_anatomy(changed, template, lattice).fractions[0]
        volumes.append(float(csf[middle].sum()))
    assert volumes[0] * 1.1 < volumes[1] < volumes[2] / 1.1
    dry, wet = (
        build_anatomy(replace(subject, atrophy=value), template, lattice).fractions[0].mean()
        for value in (0.0, 0.8)
    )
    assert wet > 1.02 * dry


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31))
def test_whoever_is_drawn_is_possible(seed):
    subject = draw_subject(seed, "anybody")
    assert AGES[0] <= subject.age <= AGES[1]
    assert all(0.85 < scale < 1.15 for scale in subject.scale)
    assert 0 <= subject.ventricles < 0.6  # below 1 the widening stays one to one
    assert all(0.9 < factor < 1.1 for factor in (*subject.t1, subject.water))
