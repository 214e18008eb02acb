from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from harmbench.cohorts.bids.source import Bids
from harmbench.data.cohort import Cohort
from harmbench.data.prepare_options import PrepareOptions
from harmbench.data.scans import Grid
from harmbench.data.volumes import Frame, VolumeSpace
from harmbench.util.progress import Silent
from helpers.one_core import on_one_core
from helpers.registrations import reuse_registration, share_registrations
from helpers.volumes import Tree, coarse, labelled

GRID = Grid("tiny", (5, 18, 22), (12.0, 9.6, 9.6))
TEMPLATE = VolumeSpace(frame=Frame.TEMPLATE, spacing=4.0)


def with_axes(image, codes):
    change = ornt_transform(io_orientation(image.affine), axcodes2ornt(codes))
    return image.as_reoriented(change)


@pytest.fixture(scope="module")
def tree(tmp_path_factory, registrations):
    tree = Tree(tmp_path_factory.mktemp("study") / "bids")
    share_registrations(registrations, tree.home)
    for subject, site in (("A", "here"), ("B", "here"), ("C", "there"), ("D", "there")):
        image = with_axes(coarse(), "PSR") if subject == "D" else None
        path = tree.add(subject, site, image, labels=labelled(image or coarse()))
        # In millimetres, the brain of D is that of the others.
        reuse_registration(tree.home, path)
    return tree


@pytest.fixture(scope="module", params=["percentile", "nyul"])
def cohort(request, tree):
    source = Bids(str(tree.root), tree.recipe, normalization=request.param)
    with on_one_core():
        return Cohort.open(source, GRID, tree.home, Silent())


def test_the_acquired_volume_gives_the_prepared_slices_to_the_bit(cohort) -> None:
    scans = cohort.scans(cohort.sources[0])
    for place in range(len(scans)):
        scan, opened = scans.volumes(VolumeSpace()).open(place)
        assert scan.image.shape == (50, 62, 54)
        assert not scan.image[~scan.mask].any()
        np.testing.assert_array_equal(opened.to_grid(scan.image), scans.load([place]).images[0])


def test_in_the_template_it_gives_nearly_the_same_slices(cohort) -> None:
    scans = cohort.scans(cohort.target)
    scan, opened = scans.volumes(TEMPLATE).open(0)
    assert nib.aff2axcodes(scan.affine) == ("R", "A", "S")
    slices, prepared = opened.to_grid(scan.image), scans.load([0])
    inside = prepared.masks[0].numpy()
    assert not slices[~inside].any()
    expected = prepared.images[0].numpy()
    assert np.corrcoef(slices[inside], expected[inside])[0, 1] > 0.97


def test_a_stripped_scan_has_no_head(cohort) -> None:
    scans = cohort.scans(cohort.target)
    reason = scans.no_volumes(VolumeSpace(head=True))
    assert reason is not None
    assert reason.startswith("are brain-extracted")


@pytest.mark.usefixtures("one_core")
def test_a_head_is_given_whole_where_a_mask_came_with_it(tmp_path, registrations) -> None:
    tree = Tree(tmp_path / "bids")
    share_registrations(registrations, tree.home)
    image = coarse()
    brain = np.asarray(image.dataobj)
    around = np.random.default_rng(0).uniform(0.25, 0.35, brain.shape)
    head = nib.Nifti1Image(np.where(brain > 0, brain, around).astype(np.float32), image.affine)
    mask = nib.Nifti1Image((brain > 0).astype(np.uint8), image.affine)
    for subject, site in (("A", "here"), ("B", "here"), ("C", "there"), ("D", "there")):
        path = tree.add(subject, site, head)
        folder = tree.root / "derivatives" / "masks" / path.parent.relative_to(tree.root)
        folder.mkdir(parents=True)
        nib.save(mask, folder / f"sub-{subject}_desc-brain_mask.nii.gz")
        reuse_registration(tree.home, path, folder / f"sub-{subject}_desc-brain_mask.nii.gz")
    (tree.root / "derivatives" / "masks" / "dataset_description.json").write_text("{}")
    options = PrepareOptions()
    source = Bids(str(tree.root), tree.recipe, normalization="percentile", prepare_options=options)
    scans = Cohort.open(source, GRID, tree.home, Silent()).scans("here")
    for space in (
        VolumeSpace(head=True),
        VolumeSpace(frame=Frame.TEMPLATE, spacing=4.0, head=True),
    ):
        assert scans.no_volumes(space) is None
        scan = scans.volumes(space)[0]
        outside = scan.image[~scan.mask]
        assert (outside > 0.2).mean() > 0.3
