"""The simulated scanner: its field, contrast, blur and noise, and what is fixed to a scanner."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr

from harmbench.data.scans import GRIDS
from harmbench_tasks.scanner_shift import (
    FIELD_DEVIATION,
    HEAD,
    LOOP_RADIUS,
    NOISE,
    NOISE_VOXEL,
    ScannerShift,
    ShiftSession,
    blurred,
    draw_scanner,
    draw_session,
    draw_shift,
    log_sensitivity,
)
from harmbench_tasks.simulated_scanner import SimulatedScanner

STILL = ShiftSession(
    rotation=(0, 0, 0), translation=(0, 0, 0), gains=(0, 0, 0), bend=0, blur=0, noise_seed=0
)


def shift_of(scans, session: ShiftSession, **changes) -> ScannerShift:
    """Return the shift of the first scan by one session of a drawn scanner."""
    values = {"grid": scans.grid, "scanner": draw_scanner(0, "t"), "labels": None} | changes
    return ScannerShift(sessions=(session,) * len(scans), **values)


def test_a_single_loop_has_the_field_of_biot_and_savart_on_its_axis() -> None:
    distances = torch.tensor([0.0, 50.0, 120.0])
    positions = torch.stack([distances, torch.zeros(3), torch.zeros(3)], dim=-1)
    expected = (1 + (distances / LOOP_RADIUS) ** 2) ** -1.5
    result = log_sensitivity(positions, torch.zeros(1, 3)).exp()
    torch.testing.assert_close(result, expected)


@pytest.mark.parametrize("seed", range(3))
def test_the_field_is_smooth_and_as_strong_as_stated(seed: int) -> None:
    grid = GRIDS["quick"]
    shift = ScannerShift(grid=grid, scanner=draw_scanner(seed, "t"), sessions=(STILL,), labels=None)
    positions = shift.positions(STILL, torch.arange(0, 50, 5))
    field = shift.log_field(positions)
    head = ((positions / torch.tensor(HEAD)) ** 2).sum(dim=-1) <= 1
    assert float(field[head].std()) == pytest.approx(FIELD_DEVIATION, rel=0.25)
    assert float(field.diff(dim=-1).abs().max()) < 0.05


def test_a_pose_moves_the_head_in_the_field() -> None:
    shift = ScannerShift(
        grid=GRIDS["quick"], scanner=draw_scanner(0, "t"), sessions=(STILL,), labels=None
    )
    index = torch.tensor([10, 40])
    still = shift.positions(STILL, index)
    moved = shift.positions(dataclasses.replace(STILL, translation=(1, 2, 3)), index)
    torch.testing.assert_close(moved - still, torch.tensor([1.0, 2, 3]).expand_as(still).double())
    turned = shift.positions(dataclasses.replace(STILL, rotation=(90, 0, 0)), index)
    torch.testing.assert_close(turned.norm(dim=-1), still.norm(dim=-1))
    torch.testing.assert_close(turned[..., 0], still[..., 0])
    torch.testing.assert_close(turned[..., 1], -still[..., 2])


def test_the_blur_is_gaussian() -> None:
    image = torch.rand(2, 24, 30, generator=torch.Generator().manual_seed(0))
    expected = [gaussian_filter(each.numpy(), (0.8, 1.3), mode="constant") for each in image]
    torch.testing.assert_close(
        blurred(image, (0.8, 1.3)), torch.tensor(np.stack(expected)), atol=2e-3, rtol=0
    )


def test_each_tissue_has_its_own_gain(small_cohort) -> None:
    scans = small_cohort.scans("target", "train")
    scanner = dataclasses.replace(draw_scanner(0, "t"), field_power=0.0)
    session = dataclasses.replace(STILL, gains=(0.3, 0.0, -0.3))
    shift = shift_of(scans, session, scanner=scanner, labels=scans)
    loaded = scans.load([1])
    images, labels = loaded.images[0], loaded.labels[0]
    contrast = shift._with_contrast(images, session, 1, torch.arange(len(images)))
    # The blur of the labels is a fraction of a voxel of this coarse grid.
    for tissue, gain in ((1, 0.3), (2, 0.0), (3, -0.3)):
        ratio = (contrast / images)[labels == tissue].median()
        assert float(ratio) == pytest.approx(math.exp(gain), rel=0.01)
    assert (contrast[labels == 0] == 0).all()


def test_noise_has_the_stated_deviation_and_is_strongest_at_the_centre(small_cohort) -> None:
    scans = small_cohort.scans("target", "train")
    shift = shift_of(scans, STILL)
    index = torch.arange(scans.grid.shape[0])
    ones = torch.ones(scans.grid.shape)
    noise = torch.stack(
        [
            shift._with_noise(
                ones, shift.positions(STILL, index), dataclasses.replace(STILL, noise_seed=k), index
            )
            for k in range(200)
        ]
    )
    deviation = noise.std(dim=0)
    at_centre = NOISE * math.sqrt(NOISE_VOXEL / math.prod(scans.grid.spacing))
    assert float(deviation[3, 15:17, 23:25].mean()) == pytest.approx(at_centre, rel=0.1)
    assert float(deviation[0, 0].mean()) < 0.8 * at_centre


def test_a_scanner_is_common_to_all_scans_and_a_session_is_not(small_cohort) -> None:
    train, test = (small_cohort.scans("target", split) for split in ("train", "test"))
    first, second = (draw_shift(scans, 0, "t", tissues=True) for scans in (train, test))
    assert first.scanner == second.scanner
    sessions = {*first.sessions, *second.sessions}
    assert len(sessions) == len(train) + len(test)
    assert draw_scanner(1, "t") != draw_scanner(0, "t") != draw_scanner(0, "u")
    again = draw_shift(test.subset([1]), 0, "t", tissues=True)
    assert again.sessions == second.sessions[1:2]
    drawn = draw_session(first.scanner, 0, "t", subject="p3", session="1")
    assert drawn == first.sessions[train.subjects.index("p3")]


def test_no_global_curve_undoes_the_shift(small_cohort) -> None:
    data = SimulatedScanner().setup(small_cohort, 0)
    shifted, truth = data.test.load([0]), data.references.load([0])
    brain = truth.masks[0, 3]
    rank = spearmanr(shifted.images[0, 3][brain], truth.images[0, 3][brain]).statistic
    assert 0.5 < rank < 0.99


def test_without_labels_a_curve_changes_the_contrast(own_cohort, change_table) -> None:
    cohort = change_table(own_cohort(), lambda scan: {**scan, "labelled": scan["subject"] != "p1"})
    data = SimulatedScanner().setup(cohort, 0)
    assert data.parameters["contrast"] == "curve"
    shift = draw_shift(data.references, 0, "sim-scanner", tissues=False)
    x = torch.linspace(0, 1, 11).expand(1, 2, 11)
    y = shift._with_contrast(x, shift.sessions[0], 0, torch.tensor([0]))
    assert (y[0, 0].diff() > 0).all()
    assert y[0, 0, [0, -1]].tolist() == pytest.approx([0, 1])
    assert float((y - x).abs().max()) > 0.01


def test_digests_follow_parameters_and_labels(small_cohort) -> None:
    scans = small_cohort.scans("target", "train")
    shift = draw_shift(scans, 0, "t", tissues=True)
    assert shift.digest == draw_shift(scans, 0, "t", tissues=True).digest
    changed = (
        draw_shift(scans, 1, "t", tissues=True),
        draw_shift(scans, 0, "t", tissues=False),
        draw_shift(scans.subset([0, 1]), 0, "t", tissues=True),
    )
    assert len({shift.digest, *(other.digest for other in changed)}) == 4
