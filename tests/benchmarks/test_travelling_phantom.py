"""A study of travelling phantom subjects: its measured repeatability is the simulated one."""

from __future__ import annotations

import dataclasses

import nibabel as nib
import numpy as np
import pytest
import torch
from travelling_phantom import Renderer, pose

from harmbench.cohorts.bids.source import Bids
from harmbench.data.cohort import Cohort
from harmbench.data.scans import GRIDS
from harmbench.data.spaces import SPACE
from harmbench.data.target import with_target
from harmbench.metrics.image import PSNR
from harmbench.preprocessing.masking import load_masked
from harmbench.preprocessing.normalization import normalization
from harmbench.preprocessing.registration import Registration
from harmbench.preprocessing.resampling import resample_brain
from harmbench.statistics.estimate import mean_interval
from harmbench.util.progress import Silent
from harmbench_tasks.travel import repeated

GRID = GRIDS["quick"]
SUBJECTS = ("P00001", "P00002", "P00003")
# Was not scanned on the target scanner.
OTHER = "P00004"
# Scanner of the phantom by session: two visits to the target, one or two to another scanner.
SESSIONS = {"A1": "target", "A2": "target", "B1": "domain2", "B2": "domain2"}
VISITS = {**dict.fromkeys(SUBJECTS, ("A1", "A2", "B1")), OTHER: ("B1", "B2")}
RECIPE = """
name = "travellers"
target = "a"
[scanners]
entity = "ses"
pattern = "(?P<scanner>[AB])(?P<visit>[0-9])"
[domains.a]
scanner = "A"
[domains.b]
scanner = "B"
[pairs]
reference = "first"
[split]
test_only = true
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Return the source of a small study of eleven volumes, its prepared cohort, and the home."""
    home, root = (tmp_path_factory.mktemp(name) for name in ("home", "study"))
    renderer = Renderer()
    for subject, sessions in VISITS.items():
        for session in sessions:
            folder = root / f"sub-{subject}" / f"ses-{session}" / "anat"
            folder.mkdir(parents=True)
            path = folder / f"sub-{subject}_ses-{session}_T1w.nii.gz"
            nib.save(renderer.volume(subject, SESSIONS[session], session), path)
    recipe = root / "recipe.toml"
    recipe.write_text(RECIPE)
    source = Bids(str(root), recipe, normalization="percentile")
    return source, Cohort.open(source, GRID, home, Silent()), home


def with_true_pose(study, scans):
    """Return prepared scans as they are if the relative pose of two visits is known exactly."""
    source, cohort, home = study
    digests = source._digests(GRID, home)
    normalize = normalization("percentile")
    images, masks = [], []
    for scan in scans.scans:
        rows = cohort.table[cohort.table["subject"] == scan.subject]
        (reference,) = [
            row for row in rows.itertuples() if row.details[SPACE] == f"{row.domain}/{row.session}"
        ]
        (file,) = [
            each
            for group in digests.scans.domains.values()
            for each in group
            if (each.subject, each.session) == (scan.subject, scan.session)
        ]
        there, back = (
            pose(scan.subject, SESSIONS[session], session)
            for session in (scan.session, reference.session)
        )
        to_scan = there @ np.linalg.inv(back) @ np.array(reference.details["mni_to_scan"])
        brain = load_masked(digests.brain_source(file), home).brain
        registration = Registration(tuple(map(tuple, to_scan)), 1.0)
        image, mask = resample_brain(brain, registration, GRID)
        images.append(torch.from_numpy(normalize.first_pass(image, mask)).float())
        masks.append(torch.from_numpy(mask))
    loaded = scans.load(range(len(scans)))
    return dataclasses.replace(loaded, images=torch.stack(images), masks=torch.stack(masks))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_measured_repeatability_is_the_simulated_one_within_its_interval(study):
    _, cohort, _ = study
    first, again = repeated(cohort, "a")
    assert first.subjects == SUBJECTS

    def psnr(one, other):
        values = PSNR().measure(one, other, first)
        return np.asarray(values, dtype=float).reshape(len(SUBJECTS), -1).mean(axis=1)

    everything = range(len(first))
    measured = psnr(again.load(everything), first.load(everything))
    simulated = psnr(with_true_pose(study, again), with_true_pose(study, first))
    interval = mean_interval(measured)
    assert interval.low < simulated.mean() < interval.high
    # Estimating the pose costs little, and cannot gain.
    assert -2 < (measured - simulated).mean() < 0.3
    # Far above what scans of two scanners have in common.
    pairs = cohort.pairs("b", "test")
    assert measured.mean() > psnr(*(side.load(everything) for side in pairs)).mean() + 3


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_subject_that_was_not_on_the_target_has_pairs_with_another_target(study):
    _, cohort, _ = study
    rows = cohort.table[cohort.table["subject"] == OTHER]
    assert not rows["paired"].any()
    first, again = repeated(with_target(cohort, "b"), "b")
    assert (first.subjects, again.subjects) == ((OTHER,), (OTHER,))
    one, other = (side.load([0]) for side in (first, again))
    assert float(PSNR().measure(other, one, first).mean()) > 25
