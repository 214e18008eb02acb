from __future__ import annotations

import pytest

from harmbench.errors import UserError
from harmbench.external.image_index import ImageIndex, places_of

PLACES = places_of("site-a", "a")


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.mark.parametrize(
    "name",
    [
        "sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz",
        "sub-01/ses-2/anat/sub-01_ses-2_desc-harmonized_T1w.nii",
        "test/a/sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz",
        "a/sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz",
        "site-a/sub-01_ses-2_T1w.nii.gz",
        "sub-01_ses-2_T1w.nii.gz",
    ],
)
def test_an_image_is_found_by_its_entities(name, tmp_path) -> None:
    touch(tmp_path, name, "other/sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz")
    index = ImageIndex.read(tmp_path)
    assert index.find(PLACES, "0_1", "2", "") == tmp_path / name
    assert index.find(PLACES, "01", "1", "") is None


def test_an_image_without_session_is_of_session_1(tmp_path) -> None:
    touch(tmp_path, "sub-01/anat/sub-01_T1w.nii.gz")
    index = ImageIndex.read(tmp_path)
    assert index.find(PLACES, "01", "1", "") is not None


def test_the_most_specific_folder_counts(tmp_path) -> None:
    touch(tmp_path, "a/sub-01_T1w.nii.gz", "site-a/sub-01_T1w.nii.gz", "sub-01_T1w.nii.gz")
    found = ImageIndex.read(tmp_path).find(PLACES, "01", "1", "")
    assert found == tmp_path / "site-a" / "sub-01_T1w.nii.gz"


def test_the_run_of_the_scan_decides_between_images(tmp_path) -> None:
    touch(tmp_path, "sub-01_run-1_T1w.nii.gz", "sub-01_run-2_T1w.nii.gz")
    index = ImageIndex.read(tmp_path)
    found = index.find(PLACES, "01", "1", "sub-01_run-2_T1w.nii.gz")
    assert found == tmp_path / "sub-01_run-2_T1w.nii.gz"


def test_two_images_of_a_scan_are_an_error_that_names_both(tmp_path) -> None:
    touch(tmp_path, "sub-01_desc-a_T1w.nii.gz", "sub-01_desc-b_T1w.nii.gz")
    with pytest.raises(UserError, match="desc-a_T1w.nii.gz, sub-01_desc-b_T1w.nii.gz; leave one"):
        ImageIndex.read(tmp_path).find(PLACES, "01", "1", "")


def test_a_table_names_images_in_other_folders(tmp_path) -> None:
    touch(tmp_path, "images/one.nii.gz", "images/shifted.nii.gz")
    table = tmp_path / "images.csv"
    table.write_text(
        "subject,session,path,task\nsub-01,2,images/one.nii.gz,\n01,2,images/shifted.nii.gz,sim-exp\n"
    )
    index = ImageIndex.read(table)
    assert index.find(PLACES, "01", "2", "") == tmp_path / "images" / "one.nii.gz"
    shifted = index.find(places_of("sim-exp", "sim-exp"), "01", "2", "")
    assert shifted == tmp_path / "images" / "shifted.nii.gz"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("nothing", None, "there is no folder or CSV file"),
        ("empty", "", "has no image named as sub-01_ses-1_T1w.nii.gz"),
        ("a.csv", "subject,path\n1,a.nii\n", "lacks the column session"),
        ("a.csv", "subject,session,path\n1,1,a.nii\n", "there is no file .*a.nii"),
        ("a.csv", "", "cannot be read as CSV"),
    ],
)
def test_a_submission_without_images_is_one_line(name, content, reason, tmp_path) -> None:
    path = tmp_path / name
    if name == "empty":
        path.mkdir()
    elif content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=reason):
        ImageIndex.read(path)
