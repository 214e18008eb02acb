"""Stand-ins for SynthSeg and FastSurfer: their interface, not the programs themselves."""

from __future__ import annotations

import os
import sys

# Tissues by the intensities of the small cohort's target, in voxels of half the input's size.
# They import little, since tests start them for every scan.
_SEGMENT = """
import sys
from pathlib import Path

if "--version" in sys.argv:
    print("2.4.2")
    sys.exit()

import nibabel as nib
import numpy as np


def option(name):
    return sys.argv[sys.argv.index(name) + 1]


def segmented(path, cortex):
    image = nib.load(path)
    data = image.get_fdata()
    labels = np.select([data <= 0, data < 0.38, data < 0.78], [0, 4, cortex], 2)
    halves = labels.astype(np.int16).repeat(2, 0).repeat(2, 1).repeat(2, 2)
    to_input = np.diag([0.5, 0.5, 0.5, 1])
    to_input[:3, 3] = -0.25
    return nib.Nifti1Image(halves, image.affine @ to_input)


"""
_SYNTHSEG = "nib.save(segmented(option('--i'), 3), option('--o'))\n"
_FASTSURFER = """
folder = Path(option("--sd"), option("--sid"), "mri")
folder.mkdir(parents=True)
labels = segmented(option("--t1"), 1003)
nib.save(
    nib.MGHImage(np.asarray(labels.dataobj, np.int32), labels.affine),
    folder / "aparc.DKTatlas+aseg.deep.mgz",
)
"""
PROGRAMS = {"mri_synthseg": _SYNTHSEG, "run_fastsurfer.sh": _FASTSURFER}


def install(folder, monkeypatch, *, failing=False):
    """Put the stand-ins on the PATH; failing ones end with exit code 3."""
    folder.mkdir(exist_ok=True)
    for name, end in PROGRAMS.items():
        text = "import sys\nsys.exit('no licence')\n" if failing else _SEGMENT + end
        path = folder / name
        path.write_text(f"#!{sys.executable}\n{text}")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
