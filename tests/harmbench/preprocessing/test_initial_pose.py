"""The search for the pose of a brain."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from harmbench.preprocessing.initial_pose import brain_rotations
from harmbench.preprocessing.nifti_read import Volume
from harmbench.preprocessing.registration_images import isotropic, load_template


@pytest.mark.parametrize("angles", [(0, 0, 0), (40, 0, 0), (-20, 40, 40), (-33, 27, 12)], ids=str)
def test_the_best_rotation_is_the_nearest_one(angles: tuple[float, float, float]) -> None:
    template = load_template()
    turn, centre = np.eye(4), np.array(template.centre)
    rotation = Rotation.from_euler("xyz", angles, degrees=True)
    turn[:3, :3] = rotation.as_matrix()
    turn[:3, 3] = centre - turn[:3, :3] @ centre
    turned = Volume(template.volume.data, turn @ template.volume.affine)
    brain = isotropic(turned, 3.0, 40.0)
    found = brain_rotations(brain, centre, 1.0, template.volume, template.centre)
    apart = [np.degrees((rotation.inv() * Rotation.from_matrix(one)).magnitude()) for one in found]
    assert apart[0] == min(apart) < 15
    between = [
        (Rotation.from_matrix(one).inv() * Rotation.from_matrix(other)).magnitude()
        for index, one in enumerate(found)
        for other in found[:index]
    ]
    assert len(found) >= 3
    assert np.degrees(min(between)) >= 30


def test_a_brain_elsewhere_resembles_the_template_in_no_rotation() -> None:
    template = load_template()
    brain = isotropic(template.volume, 3.0, 40.0)
    far = np.array(template.centre) + 1000
    assert brain_rotations(brain, far, 1.0, template.volume, template.centre) == []
