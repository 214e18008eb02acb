"""The white-matter segmenter: training, augmentation, and resuming after a kill."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from harmbench import FitData, FitProgress, Grid, UserError
from harmbench.data.cohort import Cohort
from harmbench_tasks.segmentation_network import SegmenterConfig
from harmbench_tasks.segmenter import WHITE, Augmentation, Segmenter

SMALL = SegmenterConfig(
    width=4, levels=3, units=1, steps=60, batch_size=4, learning_rate=1e-2, validate_every=20
)


@pytest.fixture(scope="module")
def data(small_cohort: Cohort) -> FitData:
    train, validation = (small_cohort.scans("target", split) for split in ("train", "validation"))
    return FitData(target=train, validation=validation, seed=0)


def segmenter(data: FitData, config: SegmenterConfig = SMALL) -> Segmenter:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Segmenter(data.grid, config)


def test_it_segments_white_matter_of_new_subjects(data, small_cohort, one_thread):
    model, progress = segmenter(data), FitProgress()
    model.fit(data, progress)
    model.eval()
    scans = small_cohort.scans("target", "test").load([0, 2])
    result = model(scans)
    assert result.predicted.dtype == torch.uint8
    assert result.predicted.shape == scans.images.shape
    assert set(result.predicted.unique().tolist()) == {0, WHITE}
    predicted, true = result.predicted == WHITE, scans.labels == WHITE
    dice = 2 * (predicted & true).sum() / (predicted.sum() + true.sum())
    assert dice > 0.9
    assert progress.facts["validation_dice"] > 0.9
    one = model(small_cohort.scans("target", "test").load([2]))
    assert torch.equal(one.predicted[0], result.predicted[1])
    middle = dataclasses.replace(
        scans, images=scans.images[:, 3:4], masks=scans.masks[:, 3:4], labels=None
    )
    assert torch.equal(model(middle).predicted, result.predicted[:, 3:4])


def test_a_killed_fit_resumes_with_the_same_result(data, tmp_path, kills, assert_equal, one_thread):
    config = dataclasses.replace(SMALL, steps=12, validate_every=5)
    whole = segmenter(data, config)
    whole.fit(data, FitProgress())
    with pytest.raises(kills.Killed):
        segmenter(data, config).fit(data, FitProgress(kills(7), tmp_path, checkpoint_seconds=0))
    resumed, progress = segmenter(data, config), FitProgress(None, tmp_path)
    resumed.fit(data, progress)
    assert progress.facts["resumed_at"] > 0
    assert_equal(resumed.state_dict(), whole.state_dict())


def image_and_label(data: FitData) -> tuple[torch.Tensor, torch.Tensor]:
    scans = data.target.load([0])
    return scans.images[0, 3], (scans.labels[0, 3] == WHITE).float()


def test_augmentation_moves_image_and_labels_together(data) -> None:
    image, label = image_and_label(data)
    augmentation = Augmentation(image.shape)
    first, again, other = (augmentation(label, label, seed) for seed in (1, 1, 2))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[1], other[1])
    assert not torch.equal(first[1], label)
    # The image is interpolated and the labels are not: they agree but for the edges.
    assert set(first[1].unique().tolist()) == {0.0, 1.0}
    assert ((first[0] - first[1]).abs() > 0.5).float().mean() < 0.01


def test_augmentation_keeps_intensities(data) -> None:
    image, label = image_and_label(data)
    flat = torch.full_like(image, 0.5)
    for seed in range(5):
        inside = Augmentation(image.shape)(flat, label, seed)[0][10:-10, 15:-15]
        torch.testing.assert_close(inside, torch.full_like(inside, 0.5))


def test_data_without_white_matter_is_an_error(data, own_cohort) -> None:
    bare = FitData(target=data.target.without_labels(), validation=data.validation, seed=0)
    with pytest.raises(UserError, match="training scans of 'target' have no labels"):
        segmenter(bare).fit(bare, FitProgress())
    cohort = own_cohort()
    for path in (cohort.directory / "target" / "labels").iterdir():
        remove_white_matter(path)
    train, validation = (cohort.scans("target", split) for split in ("train", "validation"))
    empty = FitData(target=train, validation=validation, seed=0)
    with pytest.raises(UserError, match="labels of 'target' have no white matter"):
        segmenter(empty).fit(empty, FitProgress())


def remove_white_matter(path: Path) -> None:
    import numpy as np

    labels = np.load(path)
    labels[labels == WHITE] = 2
    np.save(path, labels)


def test_a_grid_that_cannot_be_halved_is_an_error() -> None:
    with pytest.raises(UserError, match="30 x 32 cannot be halved 2 times"):
        Segmenter(Grid("odd", (4, 30, 32), (1, 1, 1)), SMALL)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"levels": 1}, {"learning_rate": 0.0}])
def test_settings_out_of_range_are_an_error(wrong) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        dataclasses.replace(SMALL, **wrong)
