"""Heads and brains made of the template, and small programs in place of extraction tools."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from scipy import ndimage

# Takes the arguments of SynthStrip and HD-BET, and writes the mask of what is bright. It imports
# no library, since tests start it for every head.
THRESHOLD = """#!{python}
import pathlib, sys
import array, gzip, struct
pathlib.Path({calls!r}).open("a").write(" ".join(sys.argv[1:]) + "\\n")
given = dict(zip(sys.argv[1:], sys.argv[2:]))
with gzip.open(given["-i"]) as file:
    header, voxels = bytearray(file.read(352)), array.array("f", file.read())
assert struct.unpack_from("<2h", header, 70) == (16, 32), "the voxels are no float32"
struct.pack_into("<2h", header, 70, 2, 8)  # uint8
mask = gzip.compress(header + bytes(voxel > 0.15 for voxel in voxels), 1)
output = given["-m"] if "-m" in given else given["-o"].replace(".nii.gz", "_bet.nii.gz")
pathlib.Path(output).write_bytes(mask)
"""


class Tools:
    """Programs on the PATH, and what they were called with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls = folder / "calls.txt"

    def install(self, name: str, text: str = THRESHOLD) -> None:
        program = self.folder / name
        program.write_text(text.format(python=sys.executable, calls=str(self.calls)))
        program.chmod(0o755)

    def install_failing(self, name: str) -> None:
        """Install a program that fails until `repair`, with one version throughout."""
        start = "import pathlib, sys\n"
        check = f"{start}pathlib.Path(__file__ + '.ok').exists() or sys.exit('no space')\n"
        self.install(name, THRESHOLD.replace(start, check, 1))

    def repair(self) -> None:
        """Make all programs work."""
        for program in list(self.folder.iterdir()):
            program.with_name(f"{program.name}.ok").touch()

    @property
    def called(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


def head_of(image: Any) -> Any:
    """A head around a brain: dim tissue to 30 mm from it."""
    data = np.asarray(image.dataobj)
    around = ndimage.distance_transform_edt(data == 0, sampling=image.header.get_zooms()) < 30
    return nib.Nifti1Image(
        np.where(data > 0.2, data, 0.1 * around).astype(np.float32), image.affine
    )


def brain_of(image: Any) -> Any:
    data = np.asarray(image.dataobj)
    return nib.Nifti1Image(np.where(data > 0.2, data, 0).astype(np.float32), image.affine)
