"""The pages on the ways to bring a method, followed from an empty folder to a row on the board."""

from __future__ import annotations

import re

import nibabel as nib
import numpy as np
import pytest
from nilearn.datasets import load_mni152_template

METHODS = {
    "bring-slices.md": "site-means",
    "bring-volumes.md": "median-scale",
    "bring-command.md": "my-tool",
    "bring-submission.md": "power-0.8",
}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", METHODS)
def test_a_page_leads_from_an_empty_folder_onto_the_leaderboard(shell, page, tmp_path, name):
    folder = tmp_path / "empty"
    # The reader's own scan.
    template = load_mni152_template(resolution=4)
    data = np.asarray(template.dataobj)
    data = (np.where(data > 0.05, data, 0) * 1000).astype(np.int16)
    nib.save(nib.Nifti1Image(data, template.affine), folder / "scan.nii.gz")
    saved = re.findall(r"Save (?:it|the code) as `(\w+\.py)`", page(name).text)
    boards = []
    for language, code in page(name).steps:
        if language == "python" and saved:
            (folder / saved.pop()).write_text(code)
        elif language == "python" and name == "bring-submission.md":
            (folder / "own_tool.py").write_text(code)
            shell("python own_tool.py")
        elif language == "console":
            output = shell(code)
            boards += [output] if "harmbench leaderboard" in code else []
    (board,) = boards
    assert re.search(rf"^ *{re.escape(METHODS[name])}( §)? .*\d", board, re.MULTILINE)
