"""The spin echo, and the phantom's T2-weighted images."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from harmbench.cohorts.phantom.relaxation import TISSUES, Relaxation
from harmbench.cohorts.phantom.scanning import scan_subject, t2_weighted
from harmbench.cohorts.phantom.source import Phantom
from harmbench.cohorts.phantom.spin_echo import SpinEcho

USUAL = SpinEcho(repetition=6.0, echo_time=0.1)


@pytest.fixture(scope="module")
def images(template, tiny):
    """A subject's T1w scans and T2w image."""
    return scan_subject("P00001", template, tiny), t2_weighted("P00001", template, tiny)


def weight(sequence: SpinEcho, tissue: Relaxation, b1: float = 1.0) -> float:
    signal = sequence.signal(torch.tensor(tissue.t1), torch.tensor(b1))
    return float(signal) * sequence.transverse(tissue)


@pytest.mark.parametrize("tesla", TISSUES)
@pytest.mark.parametrize("name", ["csf", "gm", "wm"])
def test_signal_is_the_textbooks(tesla, name):
    tissue = TISSUES[tesla][name]
    expected = tissue.proton_density * (1 - math.exp(-6.0 / tissue.t1)) * math.exp(-0.1 / tissue.t2)
    assert weight(USUAL, tissue) == pytest.approx(expected, rel=1e-6)


def test_pulses_that_miss_their_angles_excite_and_refocus_less():
    tissue = TISSUES[3.0]["gm"]
    # 80 degrees for 90 excite sin(80); 160 for 180 refocus sin(80) squared.
    ratio = weight(USUAL, tissue, 80 / 90) / weight(USUAL, tissue)
    assert ratio == pytest.approx(math.sin(math.radians(80)) ** 3, rel=1e-6)
    assert weight(USUAL, tissue, 1.1) == pytest.approx(weight(USUAL, tissue, 0.9), rel=1e-6)


def test_fluid_is_brightest_and_white_matter_darkest(images):
    scans, t2 = images
    brain = scans.masks["target"]
    csf, grey, white = (float(t2[brain & (scans.labels == value)].mean()) for value in (1, 2, 3))
    assert csf > 1.3 * grey
    assert grey > 1.1 * white
    assert set(t2[~brain].tolist()) == {0.0}
    assert torch.equal(t2.amax((1, 2)), torch.ones(6))


def test_bright_tissue_in_t1_is_dark_in_t2(images):
    scans, t2 = images
    # Without fluid and dura at the surface, which differ between the masks of scanners.
    brain = (scans.labels > 0) & scans.masks["domain3"] & scans.masks["target"]
    pair = [scans.images[domain][brain].numpy() for domain in ("domain3", "target")]
    assert np.corrcoef(pair)[0, 1] > 0.8
    assert np.corrcoef(pair[0], t2[brain].numpy())[0, 1] < -0.6


def test_the_cohort_renders_it_for_its_subjects_alone(images, tiny):
    phantom = Phantom("4")
    assert torch.equal(phantom.t2_weighted("P00001", tiny), images[1])
    assert phantom.t2_weighted("P00003", tiny) is None
