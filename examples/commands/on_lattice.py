"""Run a tool that expects a fixed box of 1 mm voxels in MNI152, without interpolation.

`on_lattice.py SHAPE ORIGIN INPUT OUTPUT [--also FILE] [--las] -- COMMAND...` cuts or pads the input
to the shape, so that the centre of its first voxel lies at ORIGIN, runs the command, and puts its
result back on the voxels of the input. In the command, `@input`, `@output` and `@also` stand for
the files on the box, `@input_folder` and `@output_folder` for their folders; `@also` is a second
scan, such as a reference. SHAPE and ORIGIN are three whole numbers separated by commas; the voxels
of the input must lie on whole millimetres. With `--las` the first axis of the box points to the
left, as in FSL's template.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np


def overlap(size: int, box: int, start: int) -> tuple[slice, slice]:
    """Return the part of an axis that lies in the box, in the input and in the box."""
    low, high = max(0, start), min(size, start + box)
    return slice(low, high), slice(low - start, high - start)


def parts(shape, affine, box, origin):
    """Return the common part of input and box, as slices of both."""
    start = np.rint(np.array(origin) - affine[:3, 3]).astype(int)
    if not np.allclose(affine[:3, :3], np.eye(3), atol=1e-4):
        sys.exit("the input has no voxels of 1 mm with axes to right, anterior and superior")
    pairs = [overlap(*each) for each in zip(shape, box, start, strict=True)]
    return tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs)


def to_box(path, box, origin, target, las):
    """Write the part of a scan that lies in the box, with zeros elsewhere."""
    image = nib.load(path)
    data = np.asarray(image.dataobj, dtype=np.float32)
    here, there = parts(data.shape, image.affine, box, origin)
    result = np.zeros(box, np.float32)
    result[there] = data[here]
    affine = np.eye(4)
    affine[:3, 3] = origin
    if las:
        result = result[::-1]
        affine[0, 0], affine[0, 3] = -1, origin[0] + box[0] - 1
    nib.save(nib.Nifti1Image(result, affine), target)


def from_box(result, path, box, origin, target, las):
    """Write the result of the box on the voxels of the scan; the scan stays outside the box."""
    image = nib.load(path)
    data = np.asarray(image.dataobj, dtype=np.float32)
    changed = np.asarray(nib.load(result).dataobj, dtype=np.float32).squeeze()
    if changed.shape != box:
        sys.exit(f"the tool returned the shape {changed.shape}, expected {box}")
    if las:
        changed = changed[::-1]
    here, there = parts(data.shape, image.affine, box, origin)
    data[here] = changed[there]
    nib.save(nib.Nifti1Image(data, image.affine, image.header), target)


def main() -> None:
    """Run the command of the command line."""
    split = sys.argv.index("--")
    own, command = sys.argv[1:split], sys.argv[split + 1 :]
    box, origin = (tuple(map(int, text.split(","))) for text in own[:2])
    (source, target), las = own[2:4], "--las" in own
    with tempfile.TemporaryDirectory(dir=Path(target).parent) as name:
        # Separate folders, for tools that work on folders.
        files = {part: Path(name, part, "scan.nii.gz") for part in ("input", "output", "also")}
        for file in files.values():
            file.parent.mkdir()
        to_box(source, box, origin, files["input"], las)
        if "--also" in own:
            to_box(own[own.index("--also") + 1], box, origin, files["also"], las)
        values = {f"@{part}": str(file) for part, file in files.items()}
        values |= {f"@{part}_folder": str(file.parent) for part, file in files.items()}
        ended = subprocess.run([values.get(each, each) for each in command], check=False)
        if ended.returncode:
            sys.exit(ended.returncode)
        written = sorted(files["output"].parent.iterdir())
        if len(written) != 1:
            sys.exit(f"the tool wrote {len(written)} files, expected one")
        from_box(written[0], source, box, origin, target, las)


if __name__ == "__main__":
    main()
