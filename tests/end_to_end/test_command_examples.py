"""examples/commands with stand-ins of the tools: INTERFACE NOT TESTED AGAINST THE TOOLS.

A stand-in accepts the documented arguments only, checks the files that it receives, and halves the
image.
"""

from __future__ import annotations

import shutil
import sys

import numpy as np
import pytest
import torch

from harmbench.contracts.fit_progress import FitProgress
from harmbench.data.scans import GRIDS
from harmbench.data.volumes import VolumeScan, template_lattice
from harmbench.plugins import Registry
from helpers import ROOT

pytestmark = pytest.mark.slow

EXAMPLES = ROOT / "examples" / "commands"
HEAD = f"""#!{sys.executable}
import argparse, sys
from pathlib import Path
import nibabel as nib
import numpy as np

def half(source, target, shape, axes):
    image = nib.load(source)
    assert image.shape == shape, image.shape
    assert "".join(nib.aff2axcodes(image.affine)) == axes
    assert np.allclose(image.header.get_zooms(), 1)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj) / 2, image.affine), target)

parser = argparse.ArgumentParser(allow_abbrev=False)
"""
STAND_INS = {
    "disarmpp": """
for name in ("input_dir", "output_dir", "resume"):
    parser.add_argument(f"--{name}", type=Path, required=True)
parser.add_argument("--gpu", type=int)
parser.add_argument("--mode", choices=["scanner-free", "reference"])
parser.add_argument("--pre_trained_model", action="store_true")
given = parser.parse_args()
assert given.resume.is_file() and given.pre_trained_model
for path in given.input_dir.glob("*.nii.gz"):
    half(path, given.output_dir / f"harm_{path.name}", (182, 218, 182), "LAS")
""",
    "haca3-test": """
for name in ("in-path", "target-image", "out-path"):
    parser.add_argument(f"--{name}", type=Path, action="append", required=True)
for name in ("harmonization-model", "fusion-model"):
    parser.add_argument(f"--{name}", type=Path, required=True)
parser.add_argument("--gpu-id", type=int)
given = parser.parse_args()
assert given.harmonization_model.is_file() and given.fusion_model.is_file()
assert nib.load(given.target_image[0]).shape == (192, 224, 192)
half(given.in_path[0], given.out_path[0], (192, 224, 192), "RAS")
""",
    "iguane": """
for name in ("source", "target", "weights"):
    parser.add_argument(name, type=Path)
given = parser.parse_args()
assert given.weights.is_file()
half(given.source, given.target, (160, 192, 160), "LAS")
""",
}
TOOLS = {"disarmpp": "disarmpp", "haca3-plus": "haca3-test", "iguane": "iguane"}


@pytest.fixture
def method(tmp_path):
    """Return the class of an example, with its stand-in and empty weights."""

    def build(name):
        folder = shutil.copytree(EXAMPLES, tmp_path / "commands")
        (folder / "tools").mkdir()
        for weights in ("trained_disarm++.pth", "haca3-plus_model_38538dab.pt"):
            (folder / "tools" / weights).touch()
        for weights in ("fusion_afafc572.pt", "iguane_weights.h5"):
            (folder / "tools" / weights).touch()
        tool = folder / "tools" / TOOLS[name]
        tool.write_text(HEAD + STAND_INS[TOOLS[name]])
        tool.chmod(0o755)
        return Registry.discover([folder / f"{name}.toml"]).entry("methods", name).load()

    return build


@pytest.fixture(scope="module")
def scan():
    """A ball of 60 mm about the centre of MNI152, brighter to the right."""
    shape, affine = template_lattice(1.0)
    axes = [affine[i, 3] + np.arange(shape[i]) for i in range(3)]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    mask = x**2 + (y + 18) ** 2 + (z - 10) ** 2 < 60**2
    image = np.where(mask, 300 + x, 0).astype(np.float32)
    return VolumeScan(image=image, mask=mask, affine=affine, subject="a", session="1")


class OneScan:
    """Fit data whose target is one scan."""

    def __init__(self, scan):
        self.target, self.seed, self._scan = self, 0, scan

    def volumes(self, space):
        return [self._scan]


@pytest.mark.parametrize("name", sorted(TOOLS))
def test_an_example_calls_its_tool_as_documented(name, method, scan) -> None:
    cls = method(name)
    tool = cls(GRIDS["quick"]).to(torch.device("cpu"))
    if cls.learns():
        tool.fit(OneScan(scan), FitProgress())
    result = tool.harmonize(scan)
    assert np.array_equal(result[scan.mask], scan.image[scan.mask] / 2)
