"""`harmbench.harmonize` gives the voxels of the command line, whatever form an image has."""

from __future__ import annotations

import warnings
from pathlib import Path

import nibabel
import numpy as np
import pytest

import harmbench
from harmbench import BadScanError, UserError
from helpers.command_line import inside
from helpers.harmonizing import brain
from helpers.registrations import reuse_registration, share_registrations

__all__ = ["inside"]

ODD = """
from harmbench import Method, Needs, hookimpl

class Half(Method):
    name = "half"
    summary = "halves intensities"
    needs = Needs.NOTHING

    def forward(self, scans):
        return scans.with_images(scans.images * 0.5)

@hookimpl
def register_methods():
    return {"half": Half}
"""


@pytest.fixture(scope="module")
def scan(tmp_path_factory, registrations):
    """The template at 4 mm as a scan, with a plugin and a home next to it."""
    folder = tmp_path_factory.mktemp("scan")
    nibabel.save(brain(), folder / "scan.nii.gz")
    share_registrations(registrations, folder / "home")
    reuse_registration(folder / "home", folder / "scan.nii.gz", image="4 mm")
    (folder / "half.py").write_text(ODD)
    return folder / "scan.nii.gz"


@pytest.fixture
def harmonized(scan):
    """Harmonise an image with the method of the plugin."""

    def call(image, method="half", **options):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return harmbench.harmonize(
                image,
                method,
                **{
                    "plugins": [scan.with_name("half.py")],
                    "home": scan.parent / "home",
                    "progress": False,
                    **options,
                },
            )

    return call


def test_paths_images_and_arrays_give_the_same_voxels(harmonized, scan, inside):
    image = nibabel.load(scan)
    by_path, by_image = harmonized(scan), harmonized(image)
    by_array = harmonized(np.asarray(image.dataobj), affine=image.affine)
    expected = by_path.get_fdata()
    assert np.array_equal(by_image.get_fdata(), expected)
    assert by_array.get_fdata() == pytest.approx(expected, abs=1.0)
    assert np.array_equal(by_path.affine, image.affine)
    assert by_path.get_data_dtype() == image.get_data_dtype()
    assert expected.sum() < 0.9 * image.get_fdata().sum()
    home = str(scan.parent / "home")
    code, _, errors = inside(
        *("harmonize", scan, "-o", "out.nii", "-m", "half", "--no-figure"),
        *("--plugin", scan.with_name("half.py")),
        HARMBENCH_HOME=home,
    )
    assert code == 0, errors
    assert np.array_equal(nibabel.load("out.nii").get_fdata(), expected)


def test_the_image_is_in_memory_and_no_file_stays(harmonized, scan, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    image = harmonized(scan, "identity")
    assert list(Path(tmp_path).iterdir()) == []
    assert np.array_equal(image.get_fdata(), nibabel.load(scan).get_fdata())


@pytest.mark.parametrize(
    ("image", "options", "complaint"),
    [
        (np.zeros((4, 4, 4)), {}, "affine="),
        (np.zeros((4, 4)), {"affine": np.eye(4)}, r"\(4, 4\)"),
        ([1, 2], {}, "list"),
        ("missing.nii", {}, "missing.nii"),
        ("missing.nii", {"method": None}, "fit= or method="),
        ("missing.nii", {"method": "halve"}, "'half'"),
        (np.zeros((4, 4, 4)), {"affine": np.eye(4), "covariates": {"age": 1}}, "no covariates"),
    ],
)
def test_a_mistake_is_named(harmonized, image, options, complaint):
    with pytest.raises((UserError, BadScanError), match=complaint) as caught:
        harmonized(image, **options)
    assert "\n" not in str(caught.value)
