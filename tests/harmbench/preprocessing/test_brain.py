"""Cropping a brain from its volume."""

from __future__ import annotations

import numpy as np

from harmbench.preprocessing.brain import crop_brain
from harmbench.preprocessing.nifti_read import Volume


def test_specks_are_left_out_and_holes_filled() -> None:
    data = np.zeros((20, 20, 20), np.float32)
    data[4:14, 4:14, 4:14] = 5
    data[8, 8, 8] = 0
    data[18, 18, 18] = 5
    brain = crop_brain(Volume(data, np.eye(4)))
    whole = np.zeros(data.shape, bool)
    whole[brain.box] = brain.mask
    assert whole.sum() == 1000
    assert whole[8, 8, 8]
    assert not whole[18, 18, 18]
    np.testing.assert_allclose(brain.image.affine @ [0, 0, 0, 1], [4, 4, 4, 1])
