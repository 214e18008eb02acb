"""Stand-ins for SynthSeg and FastSurfer: their interface, not the programs themselves."""

from __future__ import annotations

import os
import sys

# Tissues by the intensities of the small cohort's target, in voxels of half the input's size.
# They import no library, since tests start them for every scan.
_SEGMENT = """
import gzip, math, struct, sys
from array import array
from pathlib import Path

if "--version" in sys.argv:
    print("2.4.2")
    sys.exit()


def option(name):
    return sys.argv[sys.argv.index(name) + 1]


def segmented(path, cortex):
    with gzip.open(path) as file:
        content = file.read()
    x, y, z = struct.unpack_from("<3h", content, 42)
    rows = [struct.unpack_from("<4f", content, 280 + 16 * i) for i in range(3)]
    data = array("f", content[352 : 352 + 4 * x * y * z])
    labels = [0 if v <= 0 else 4 if v < 0.38 else cortex if v < 0.78 else 2 for v in data]
    halves = []
    for k in range(z):
        plane = []
        for start in range(k * x * y, (k + 1) * x * y, x):
            plane += 2 * [label for label in labels[start : start + x] for _ in range(2)]
        halves += 2 * plane
    affine = [[a / 2, b / 2, c / 2, d - (a + b + c) / 4] for a, b, c, d in rows]
    spacing = [math.hypot(*column) for column in list(zip(*affine))[:3]]
    return halves, (2 * x, 2 * y, 2 * z), affine, spacing


"""
_SYNTHSEG = """
labels, shape, affine, spacing = segmented(option("--i"), 3)
header = bytearray(352)
struct.pack_into("<i", header, 0, 348)
struct.pack_into("<8h", header, 40, 3, *shape, 1, 1, 1, 1)
struct.pack_into("<2h", header, 70, 4, 16)  # int16
struct.pack_into("<4f", header, 76, 1, *spacing)
struct.pack_into("<2f", header, 108, 352, 1)
struct.pack_into("<2h", header, 252, 0, 4)  # the affine of MNI152 alone
struct.pack_into("<12f", header, 280, *affine[0], *affine[1], *affine[2])
header[344:347] = b"n+1"
Path(option("--o")).write_bytes(gzip.compress(header + array("h", labels).tobytes(), 1))
"""
_FASTSURFER = """
labels, shape, affine, spacing = segmented(option("--t1"), 1003)
directions = [row[axis] / spacing[axis] for axis in range(3) for row in affine]
centre = [sum(row[axis] * shape[axis] / 2 for axis in range(3)) + row[3] for row in affine]
header = struct.pack(">7ih15f", 1, *shape, 1, 1, 0, 1, *spacing, *directions, *centre)
voxels = array("i", labels)
voxels.byteswap()
folder = Path(option("--sd"), option("--sid"), "mri")
folder.mkdir(parents=True)
(folder / "aparc.DKTatlas+aseg.deep.mgz").write_bytes(
    gzip.compress(header.ljust(284, bytes(1)) + voxels.tobytes(), 1)
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
