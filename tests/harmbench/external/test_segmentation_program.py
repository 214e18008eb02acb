from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from harmbench.data.scans import Grid
from harmbench.errors import UserError
from harmbench.external.segmentation_program import SegmentationProgram

GRID = Grid("small", (6, 10, 12), (3.0, 2.0, 2.0))
# Writes the image's bright and dark half as labels 7 and 9, on voxels of 1 mm.
TOOL = """
import sys
from pathlib import Path
import nibabel as nib
import numpy as np
from nibabel.processing import resample_to_output

source, output, mode = sys.argv[1:]
image = nib.load(source)
data = image.get_fdata()
labels = np.select([data <= 0, data < 0.5], [0, 9], 7).astype(np.int16)
labels = resample_to_output(nib.Nifti1Image(labels, image.affine), 1, order=0)
if mode == "folder":
    output = Path(output, "deep", "labels.nii.gz")
    output.parent.mkdir()
if mode == "text":
    Path(output).write_text("no image")
elif mode != "none":
    nib.save(labels, output)
"""


@pytest.fixture
def program(tmp_path):
    def build(mode="file", command="{python}", extra=""):
        (tmp_path / "tool.py").write_text(TOOL)
        path = tmp_path / "tool.toml"
        path.write_text(
            'name = "tool"\nsummary = "halves"\n'
            f'apply = ["{command}", "tool.py", "{{input}}", "{{output}}", "{mode}"]\n'
            f"tissues = {{ dark = [9], bright = [7] }}\n{extra}"
        )
        return SegmentationProgram.read(path)

    return build


def scan():
    image = np.zeros(GRID.shape, np.float32)
    image[1:5, 2:8, 2:6], image[1:5, 2:8, 6:10] = 0.3, 0.8
    return image, image > 0


def segmented(program):
    return program.segment(*scan(), GRID, torch.device("cpu"))


@pytest.mark.parametrize("mode", ["file", "folder"])
def test_labels_on_other_voxels_return_to_the_grid(program, mode) -> None:
    image, mask = scan()
    extra = 'result = "deep/labels.nii.gz"' if mode == "folder" else ""
    dark, bright = segmented(program(mode, extra=extra))
    assert dark.shape == GRID.shape
    assert not dark[~mask].any()
    np.testing.assert_array_equal(bright[2:4, 3:7, 3:9] > 0.5, image[2:4, 3:7, 3:9] > 0.5)
    np.testing.assert_array_equal(dark[2:4, 3:7, 3:9] > 0.5, image[2:4, 3:7, 3:9] < 0.5)


@pytest.mark.parametrize(
    ("mode", "extra", "named"),
    [("none", "", "{output}"), ("text", "", "output.nii.gz"), ("file", "timeout = 0.01", "0.01 s")],
)
def test_a_program_that_fails_gets_one_line(program, mode, extra, named) -> None:
    with pytest.raises(UserError) as caught:
        segmented(program(mode, extra=extra))
    assert str(caught.value).startswith("tool: ")
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_result_that_the_program_does_not_write_is_named(program) -> None:
    with pytest.raises(UserError, match=r"other\.mgz"):
        segmented(program("folder", extra='result = "other.mgz"'))


def test_an_absent_program_is_named(program) -> None:
    assert program().absent is None
    assert program(command=sys.executable).absent is None
    assert "no-such-tool" in program(command="no-such-tool").absent


def test_the_identity_is_that_of_command_and_script(program, tmp_path) -> None:
    first = program().identity
    assert program("folder").identity != first
    assert program().identity == first
    again = program()
    (tmp_path / "tool.py").write_text(TOOL + "# changed\n")
    assert again.identity != first
