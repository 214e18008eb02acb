import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from harmbench.cohorts.phantom import fields
from harmbench.cohorts.phantom.anatomy import Anatomy, build_anatomy
from harmbench.cohorts.phantom.lattice import Lattice
from harmbench.cohorts.phantom.relaxation import TISSUES
from harmbench.cohorts.phantom.render import render, signal
from harmbench.cohorts.phantom.scanner import SCANNERS
from harmbench.cohorts.phantom.session import ScanSession, draw_session
from harmbench.cohorts.phantom.smooth_field import SmoothField
from harmbench.cohorts.phantom.subject import draw_subject
from harmbench.data.scans import Grid


def uniform(lattice: Lattice, tissue: int) -> Anatomy:
    """A head of nothing but one of the tissues."""
    fractions = torch.zeros(5, *lattice.shape)
    fractions[tissue] = 1
    ones = torch.ones(lattice.shape)
    return Anatomy(fractions, ones, 20 * ones, torch.ones(2, *lattice.shape), ones, 0 * ones)


def flat(domain: str) -> ScanSession:
    """A session without fields."""
    drawn = draw_session("P00001", domain)
    zero = SmoothField(np.zeros_like(drawn.fields[0].coefficients), drawn.fields[0].spacing)
    return replace(drawn, b1=1.0, transmit=0.0, fields=(zero, zero))


@pytest.mark.parametrize("domain", ["target", "domain2"])
def test_noise_is_rician_and_of_the_level_asked_for(domain):
    """Of a uniform head without fields, high signal: the spread is the level drawn."""
    lattice = Lattice.of(Grid("block", (16, 40, 40), (1.2, 1.2, 1.2)))
    session = flat(domain)
    scanner = SCANNERS[domain]
    scanner = replace(scanner, acceleration=0.0, coil=replace(scanner.coil, corrected=0.0))
    inner = (slice(3, -3),) * 3
    white = uniform(lattice, 2)
    clean = render(white, 1.0, scanner, session, lattice).noise_free[inner]
    image = render(white, 1.0, scanner, session, lattice).image[inner]
    level = session.noise * float(signal(white, scanner, _ones(lattice)).mean())
    # Interpolation between acquired voxels, and the filter, keep part of it.
    kept = float((image - clean).std()) / level
    assert 0.2 < kept < (2 / 3) ** 1.5
    # Where there is no signal, magnitude noise is Rayleigh: its mean is 1.25 of the level.
    empty = uniform(lattice, 2)
    empty.fractions.zero_()
    noise = render(empty, 1.0, scanner, session, lattice).image[inner]
    assert float(noise.mean()) == pytest.approx(math.sqrt(math.pi / 2) * level * kept, rel=0.1)


def _ones(lattice: Lattice) -> fields.Fields:
    return fields.Fields(*(torch.ones(lattice.shape) for _ in range(3)))


@pytest.mark.parametrize("name", ["csf", "gm", "wm", "lesion", "meninges"])
def test_a_voxel_of_one_tissue_has_the_signal_of_its_equation(name):
    lattice = Lattice.of(Grid("block", (2, 3, 3), (1.2, 1.2, 1.2)))
    number = ["csf", "gm", "wm", "lesion", "meninges"].index(name)
    scanner = SCANNERS["target"]
    tissue = TISSUES[3.0][name]
    expected = scanner.sequence.signal(torch.tensor(tissue.t1), torch.tensor(1.0))
    expected = expected * scanner.sequence.transverse(tissue)
    rendered = signal(uniform(lattice, number), scanner, _ones(lattice))
    torch.testing.assert_close(rendered, expected.expand_as(rendered))


def test_iron_darkens_grey_matter_more_at_higher_field():
    lattice = Lattice.of(Grid("block", (2, 3, 3), (1.2, 1.2, 1.2)))
    grey = uniform(lattice, 1)
    rich = grey._replace(iron=torch.full(lattice.shape, 20.0))
    ratios = [
        float(
            (signal(rich, scanner, _ones(lattice)) / signal(grey, scanner, _ones(lattice)))[0, 0, 0]
        )
        for scanner in (SCANNERS["domain2"], SCANNERS["target"])
    ]
    assert ratios[0] == pytest.approx(math.exp(-20 * 0.0040 / 2))
    assert ratios[1] == pytest.approx(math.exp(-20 * 0.0032))


def test_the_same_arguments_give_the_same_bits_and_motion_blurs(template, tiny):
    lattice = Lattice.of(tiny)
    subject = draw_subject("P00001")
    anatomy = build_anatomy(subject, template, lattice)
    session = draw_session("P00001", "target")
    scanner = SCANNERS["target"]
    first, again = (render(anatomy, subject.size, scanner, session, lattice) for _ in range(2))
    assert torch.equal(first.image, again.image)
    assert not torch.equal(first.image, first.noise_free)
    moved = render(anatomy, subject.size, scanner, replace(session, motion=3.0), lattice)
    steps = [
        float((each[:, 1:] - each[:, :-1]).abs().mean())
        for each in (first.noise_free, moved.noise_free)
    ]
    assert steps[1] < 0.95 * steps[0]
