"""N4: a field that was laid over a brain comes off again, and nothing else is touched."""

from __future__ import annotations

import numpy as np
import torch

from harmbench.preprocessing.bias_field import correct_bias_field
from harmbench.preprocessing.brain import crop_brain
from harmbench.preprocessing.nifti_read import Volume
from helpers.volumes import sampled


def test_a_simulated_bias_field_is_removed() -> None:
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = [-80, -110, -75]
    data = sampled(np.eye(4), affine, (40, 48, 40)).astype(np.float32)
    x, y, _ = np.indices(data.shape) / np.array(data.shape).reshape(3, 1, 1, 1)
    laid = np.exp(0.5 * np.cos(np.pi * x) + 0.3 * y).astype(np.float32)
    flat, bent = (crop_brain(Volume(image, affine)) for image in (data, data * laid))
    corrected, field = correct_bias_field(bent)
    assert field.shape == bent.mask.shape
    assert (field > 0).all()
    assert not corrected.image.data[~bent.mask].any()
    np.testing.assert_allclose(corrected.image.data * field, bent.image.data, rtol=1e-5, atol=1e-6)

    # What N4 makes of the brain without the field is the measure: tissue has a field, too.
    expected, _ = correct_bias_field(flat)
    left = np.log(corrected.image.data[bent.mask] / expected.image.data[bent.mask])
    before = np.log(bent.image.data[bent.mask] / flat.image.data[bent.mask])
    assert left.std() < 0.2 * before.std()


def test_it_computes_on_one_thread_whatever_else_is_set() -> None:
    import SimpleITK as sitk

    affine = np.diag([5.0, 5.0, 5.0, 1.0])
    affine[:3, 3] = [-80, -110, -75]
    brain = crop_brain(Volume(sampled(np.eye(4), affine, (32, 38, 32)), affine))
    first, _ = correct_bias_field(brain)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(torch.get_num_threads() + 1)
    second, _ = correct_bias_field(brain)
    assert np.array_equal(first.image.data, second.image.data)
