from dataclasses import replace

import pytest
import torch

from harmbench.cohorts.phantom.anatomy import build_anatomy
from harmbench.cohorts.phantom.lattice import Lattice
from harmbench.cohorts.phantom.lesions import Lesion
from harmbench.cohorts.phantom.subject import draw_subject


@pytest.fixture(scope="module")
def lattice(tiny) -> Lattice:
    return Lattice.of(tiny)


def test_a_subject_is_drawn_from_its_name_alone(template, lattice):
    first, again = (build_anatomy(draw_subject("P00001"), template, lattice) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one, other)
    differing = build_anatomy(draw_subject("P00002"), template, lattice)
    labels = [anatomy.fractions.argmax(0) for anatomy in (first, differing)]
    brain = (first.brain > 0.5) & (differing.brain > 0.5)
    assert (labels[0] != labels[1])[brain].float().mean() > 0.15


def test_fractions_are_crisp_and_sum_to_one_inside_and_to_zero_far_outside(template, lattice):
    anatomy = build_anatomy(draw_subject("P00003"), template, lattice)
    assert (anatomy.fractions >= 0).all()
    total = anatomy.fractions.sum(0)
    inside = anatomy.brain > 0.99
    torch.testing.assert_close(total[inside], torch.ones_like(total[inside]))
    assert (total <= 1 + 1e-5).all()
    assert (total[anatomy.depth < -11] == 0).all()
    assert (anatomy.fractions.amax(0)[inside] > 0.9).float().mean() > 0.6
    csf, grey, white, lesion, membranes = (
        float(fraction[inside].mean()) for fraction in anatomy.fractions
    )
    assert 0.03 < csf < 0.3
    assert 0.3 < grey < 0.6
    assert 0.25 < white < 0.55
    assert 0 < lesion < 0.05
    assert 0 < membranes < 0.05


def test_fluid_surrounds_the_brain_and_dura_surrounds_the_fluid(template, lattice):
    anatomy = build_anatomy(draw_subject("P00003"), template, lattice)
    just = (anatomy.depth < -1.5) & (anatomy.depth > -2.0)
    csf, dura = anatomy.fractions[0], anatomy.fractions[4]
    assert csf[just].mean() > 0.5
    depths = [float((-anatomy.depth * part)[anatomy.depth < -1.5].sum()) for part in (csf, dura)]
    totals = [float(part[anatomy.depth < -1.5].sum()) for part in (csf, dura)]
    assert depths[1] / totals[1] > depths[0] / totals[0]


def csf(subject, template, lattice) -> torch.Tensor:
    anatomy = build_anatomy(subject, template, lattice)
    return anatomy.fractions[0] * (anatomy.brain > 0.99)


def test_widening_alone_enlarges_the_ventricles(template, lattice):
    subject = draw_subject("P00004")
    y, x = lattice.axes[2], lattice.axes[1]
    middle = ((x.abs() < 30)[:, None] & (y > -50) & (y < 30)).expand(lattice.shape)
    small, wide, large = (
        float(csf(replace(subject, ventricles=value), template, lattice)[middle].sum())
        for value in (0.0, 0.3, 0.6)
    )
    assert small * 1.1 < wide < large / 1.1


def test_atrophy_and_thinning_take_grey_matter(template, lattice):
    subject = draw_subject("P00004")

    def grey(**changes: float) -> float:
        anatomy = build_anatomy(replace(subject, **changes), template, lattice)
        return float((anatomy.fractions[1] * anatomy.brain).sum())

    assert grey(atrophy=0.8) < 0.99 * grey(atrophy=0.0)
    assert grey(thinning=0.3) < 0.99 * grey(thinning=0.0)


def test_a_lesion_replaces_white_matter_and_nothing_else(template, lattice):
    subject = replace(draw_subject("P00004"), lesions=())
    healthy = build_anatomy(subject, template, lattice)
    lesions = (Lesion((18.0, 24.0, -10.0), (5.0, 5.0, 8.0), True),)
    ill = build_anatomy(replace(subject, lesions=lesions), template, lattice)
    assert healthy.fractions[3].max() == 0
    assert ill.fractions[3].max() > 0.5
    torch.testing.assert_close(ill.fractions[2] + ill.fractions[3], healthy.fractions[2])
    for tissue in (0, 1, 4):
        assert torch.equal(ill.fractions[tissue], healthy.fractions[tissue])


def test_iron_and_short_t1_are_in_deep_grey_matter(template, lattice):
    subject = replace(draw_subject("P00004"), iron=8.0)
    anatomy = build_anatomy(subject, template, lattice)
    z, x, y = (
        int((axis - at).abs().argmin()) for axis, at in zip(lattice.axes, (15, 20, 5), strict=True)
    )
    assert anatomy.iron[z, x, y] > 2
    assert anatomy.iron[z, 0, 0] < 0.1
    assert anatomy.t1[0, z, x, y] < anatomy.t1[0, z, 0, 0]
