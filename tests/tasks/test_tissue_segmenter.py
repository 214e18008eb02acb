"""The network of three tissues: what it learns, and what it returns."""

from __future__ import annotations

import torch

from harmbench.contracts.fit_progress import FitProgress
from harmbench.util.seeds import seeded
from harmbench_tasks.segmentation_network import SegmenterConfig
from harmbench_tasks.tissue_features import FEATURES, features
from harmbench_tasks.tissue_segmenter import TissueAugmentation, TissueSegmenter
from harmbench_tasks.volumes import Volumes


def test_it_learns_the_tissues_of_the_target(small_cohort):
    data = Volumes("domain1").setup(small_cohort, 0)
    config = SegmenterConfig(
        width=8, levels=3, units=1, steps=60, batch_size=4, learning_rate=2e-2, validate_every=30
    )
    with seeded(0):
        segmenter = TissueSegmenter(small_cohort.grid, config)
        segmenter.fit(TissueSegmenter.entitled(data.fit_data(0)), FitProgress())
    segmenter.eval()
    scans = data.references.load([0, 1])
    found = segmenter(scans).predicted
    for tissue in (1, 2, 3):
        one, other = found == tissue, scans.labels == tissue
        assert 2 * (one & other).sum() / (one.sum() + other.sum()) > 0.7
    tissues = segmenter.probabilities(scans)
    assert tissues.shape == (2, 3, *small_cohort.grid.shape)
    assert float(tissues.sum(dim=1).max()) <= 1 + 1e-5
    assert not tissues[~scans.masks[:, None].expand_as(tissues)].any()
    assert features(segmenter, scans, small_cohort.grid).shape == (2, len(FEATURES))


def test_image_and_labels_move_together(small_cohort):
    scan = small_cohort.scans("target", "train").load([0])
    image, labels = scan.images[0, 3], scan.labels[0, 3]
    augmentation = TissueAugmentation(tuple(image.shape))
    moved, tissues = augmentation(image, labels, 5)
    assert not torch.equal(moved, image)
    means = [float(moved[tissues == tissue].mean()) for tissue in (1, 2, 3)]
    assert means == sorted(means)
    assert {*tissues.unique().tolist()} <= {0, 1, 2, 3}
