"""Versions of scans, and their changes."""

from __future__ import annotations

import torch

from harmbench_tasks.faults import CutFieldOfView, Inverted
from harmbench_tasks.scan_changes import Changes, versions
from harmbench_tasks.simulated import FormulaCurve


def test_versions_have_sessions_of_their_own(small_cohort):
    scans = versions(small_cohort.scans("target", "test"), ["a", "b"])
    assert [(scan.subject, scan.session) for scan in scans.scans][:4] == [
        ("p0", "1a"), ("p0", "1b"), ("p0", "2a"), ("p0", "2b"),
    ]  # fmt: skip


def test_each_scan_has_its_own_change_and_then_the_shift(small_cohort):
    scans = small_cohort.scans("target", "test").subset([0])
    plain, shift = scans.load([0]), FormulaCurve("gamma", 2.0)
    changes = Changes((None, Inverted()), shift, (0, 0))
    changed = versions(scans, ["a", "b"]).with_transform(changes).load([0, 1])
    assert torch.equal(changed.images[0], plain.images[0] ** 2)
    inside = plain.masks[0]
    assert torch.equal(changed.images[1][inside], (1 - plain.images[0][inside]) ** 2)
    assert bool((changed.images[1][~inside] == 0).all())


def test_digest_covers_changes_and_shift(small_cohort):
    grid = small_cohort.grid
    variants = [
        Changes((None, Inverted())),
        Changes((Inverted(), None)),
        Changes((None, CutFieldOfView(grid))),
        Changes((None, Inverted()), FormulaCurve("exp"), (0, 1)),
    ]
    assert len({changes.digest for changes in variants}) == len(variants)
