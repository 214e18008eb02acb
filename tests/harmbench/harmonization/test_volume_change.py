from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harmbench import Frame, Needs, VolumeMethod, VolumeSpace
from harmbench.data.scans import GRIDS
from harmbench.errors import BadScanError
from harmbench.harmonization.volume_change import volume_change
from harmbench.preprocessing.acquired_volume import AcquiredVolume
from harmbench.preprocessing.brain import crop_brain
from harmbench.preprocessing.masking import BrainSource
from harmbench.preprocessing.registration import Registration
from helpers.volumes import coarse, volume_of

GRID = GRIDS["quick"]
SPACES = [VolumeSpace(), VolumeSpace(frame=Frame.TEMPLATE, spacing=4.0)]


def method_of(space, function):
    class Method(VolumeMethod):
        name = "test"
        summary = "a test"
        needs = Needs.NOTHING

        def harmonize(self, scan):
            return function(scan)

    Method.space = space
    return Method(GRID)


def changed_by(space, function):
    volume = volume_of(coarse())
    brain = crop_brain(volume)
    identity = Registration(tuple(tuple(row) for row in np.eye(4).tolist()), 1.0)
    source = AcquiredVolume(
        source=BrainSource(path=Path("scan.nii"), mask=None, content=None),
        registration=identity,
        grid=GRID,
        home=Path(),
        normalization="percentile",
        standard=(),
        n4=False,
        stripped=True,
    )
    method = method_of(space, function)
    change = volume_change(method, source, volume, brain, subject="A", session="1", seed=0)
    return volume, brain, change


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_a_method_that_changes_nothing_or_the_scale_alone_leaves_the_scan(space) -> None:
    for factor in (1, 40):
        _, _, (change, inside, flags) = changed_by(space, lambda scan, f=factor: scan.image * f)
        assert inside.any()
        assert np.abs(change).max() < 1e-4
        assert not flags


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_a_change_of_contrast_arrives_inside_the_brain_and_nowhere_else(space) -> None:
    volume, brain, (change, inside, _) = changed_by(space, lambda scan: scan.image**2)
    top = np.percentile(volume.data[brain.box][brain.mask], 99.5)
    expected = volume.data**2 / top - volume.data
    assert not change[~inside].any()
    assert np.corrcoef(change[inside], expected[inside])[0, 1] > 0.95


def test_a_failure_is_the_failure_of_the_scan() -> None:
    def fail(scan):
        raise RuntimeError("no licence")

    with pytest.raises(BadScanError, match="test failed: RuntimeError: no licence"):
        changed_by(VolumeSpace(), fail)
