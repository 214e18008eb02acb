from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from scipy import ndimage

from harmbench.metrics.anatomy import (
    NMI,
    GradientCorrelationSource,
    Hallucination,
    NMISource,
    Sharpness,
    edges,
)
from harmbench.testing.tiny import tiny_cohort


@pytest.fixture(scope="module")
def truth():
    return tiny_cohort().scans("target", "test").load([0, 2])


def like(truth, images, source=None):
    images = torch.where(truth.masks, images, 0)
    return dataclasses.replace(
        truth, images=images, source=truth.images if source is None else source
    )


def blurred(images, pixels=1.0):
    return torch.from_numpy(ndimage.gaussian_filter(images.numpy(), (0, 0, pixels, pixels)))


def value(metric, harmonized, truth):
    return metric.measure(harmonized, truth, None).tolist()


def test_mutual_information_is_two_for_equal_and_one_for_independent_scans(truth) -> None:
    assert value(NMI(), like(truth, truth.images), truth) == pytest.approx([2.0, 2.0])
    random = torch.from_numpy(np.random.default_rng(0).uniform(size=truth.images.shape)).float()
    assert max(value(NMI(), like(truth, random), truth)) < 1.15


def test_mutual_information_hardly_depends_on_contrast(truth) -> None:
    curve, other = like(truth, truth.images**1.5), like(truth, truth.images.flip(0))
    assert min(value(NMI(), curve, truth)) > 1.5
    assert max(value(NMI(), other, truth)) < min(value(NMI(), curve, truth))


def test_sharpness_falls_with_blur_rises_with_noise_and_ignores_scale(truth) -> None:
    assert value(Sharpness(), like(truth, truth.images / 3), truth) == pytest.approx([1, 1])
    assert max(value(Sharpness(), like(truth, blurred(truth.images)), truth)) < 0.95
    noise = 0.1 * torch.randn(truth.images.shape, generator=torch.Generator().manual_seed(0))
    assert min(value(Sharpness(), like(truth, truth.images + noise), truth)) > 1.05


@pytest.mark.parametrize("metric", [NMISource(), GradientCorrelationSource()], ids=lambda m: m.name)
def test_another_brain_is_not_the_anatomy_of_the_source(metric, truth) -> None:
    same = value(metric, like(truth, truth.images**1.3), None)
    swapped = value(metric, like(truth, truth.images.flip(0)), None)
    assert min(same) > max(swapped)


def test_only_structure_that_is_nowhere_is_a_hallucination(truth) -> None:
    metric = Hallucination()
    source = like(truth, truth.images**1.5).images
    for images in (truth.images, source, blurred(truth.images), (truth.images + source) / 2):
        assert max(value(metric, like(truth, images, source), truth)) < 0.001
    invented = truth.images.clone()
    invented[:, :, 12:18, 20:26] = 0
    assert min(value(metric, like(truth, invented, source), truth)) > 0.003


def test_metrics_need_a_source_and_a_truth(truth) -> None:
    alone = dataclasses.replace(truth, source=None)
    assert not NMISource().applies(alone, truth, None)
    assert not Hallucination().applies(like(truth, truth.images), None, None)
    assert NMISource().applies(like(truth, truth.images), None, None)


def test_normalised_gradients_are_below_one_and_zero_at_the_border(truth) -> None:
    values, inside = edges(truth.images.double(), truth.masks)
    assert float(values.min()) >= 0
    assert float(values.max()) < 1
    assert not values[~inside].any()
