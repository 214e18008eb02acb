from __future__ import annotations

import pytest

from harmbench.external.image_names import entities, image_path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sub-01_ses-2_T1w.nii.gz", {"sub": "01", "ses": "2"}),
        ("sub-01_T1w.nii", {"sub": "01"}),
        ("sub-01_ses-2_run-1_desc-harmonized_T1w.nii.gz", {"sub": "01", "ses": "2", "run": "1"}),
        ("sub-01_ses-2_space-MNI_desc-brain_mask.nii.gz", None),
        ("sub-01_ses-2_dseg.nii.gz", None),
        ("ses-2_T1w.nii.gz", None),
        ("T1w.nii.gz", None),
        ("._sub-01_T1w.nii.gz", None),
    ],
)
def test_entities_name_the_scan_and_not_its_processing(name, expected) -> None:
    assert entities(name) == expected


def test_a_path_has_only_letters_and_digits_in_its_entities() -> None:
    path = image_path("OAS1_0001", "1.5T")
    assert path.name == "sub-OAS10001_ses-15T_T1w.nii.gz"
    assert entities(path.name) == {"sub": "OAS10001", "ses": "15T"}
