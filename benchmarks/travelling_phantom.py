"""Write a travelling-subject study of phantom subjects, in the real layout of a study.

Every subject of the layout becomes a phantom subject, every scanner one of the phantom's five, and
every visit a session of its own. Volumes are whole brains at 2 mm, each with the pose of its
session in the affine::

    python benchmarks/travelling_phantom.py LAYOUT OUTPUT --pattern '(?P<scanner>...)(?P<visit>...)'

LAYOUT is a folder with `T1w_files.txt`, tables and sidecars. Files that do not match the pattern
are left out.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from scipy.spatial.transform import Rotation

from harmbench.cohorts.bids.dataset_description import NAME
from harmbench.cohorts.bids.scan import entities_of
from harmbench.cohorts.phantom.anatomy import build_anatomy
from harmbench.cohorts.phantom.lattice import Lattice
from harmbench.cohorts.phantom.masks import extract
from harmbench.cohorts.phantom.render import render
from harmbench.cohorts.phantom.scanner import SCANNERS
from harmbench.cohorts.phantom.session import draw_session
from harmbench.cohorts.phantom.streams import name_training_subject
from harmbench.cohorts.phantom.subject import draw_subject
from harmbench.cohorts.phantom.template import load_template
from harmbench.data.prepared_volume import grid_volume_affine
from harmbench.data.scans import Grid
from harmbench.util.seeds import numpy_generator

# The whole brain; the phantom's own grid covers 60 mm of it.
GRID = Grid("whole brain", (80, 80, 96), (2.0, 2.0, 2.0), (0.0, -17.0, 8.0))


def pose(subject: str, scanner: str, visit: str) -> np.ndarray:
    """Return the `(4, 4)` matrix from MNI152 to the scanner's frame."""
    random = numpy_generator(0, "travelling pose", subject, scanner, visit)
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", random.normal(0, 4, 3), degrees=True).as_matrix()
    matrix[:3, 3] = random.normal(0, 5, 3)
    return matrix


class Renderer:
    """Renders phantom subjects on scanners, and keeps the anatomy of the last subject."""

    def __init__(self) -> None:
        self._template = load_template()
        self._lattice = Lattice.of(GRID)
        self._name = ""

    def volume(self, name: str, scanner: str, visit: str) -> nib.Nifti1Image:
        """Return the brain of a session, on an arbitrary scale."""
        if name != self._name:
            self._name, self._subject = name, draw_subject(name)
            self._anatomy = build_anatomy(self._subject, self._template, self._lattice)
        typical = SCANNERS[scanner]
        session = draw_session(name, scanner, visit)
        image = render(self._anatomy, self._subject.size, typical, session, self._lattice).image
        mask = extract(self._anatomy.depth, typical.extraction, session.mask, self._lattice)
        slices = torch.where(mask, self._lattice.to_grid(image), 0)
        data = (slices / slices.max() * 4000).numpy().transpose(1, 2, 0)
        affine = pose(name, scanner, visit) @ grid_volume_affine(GRID)
        return nib.Nifti1Image(data.astype(np.int16), affine)


def copy_tables(layout: Path, output: Path) -> None:
    """Copy everything of a layout but the list of its images."""
    for path in layout.rglob("*"):
        if path.is_file() and path.name != "T1w_files.txt":
            target = output / path.relative_to(layout)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def main() -> None:
    """Write the study."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("layout", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--pattern", required=True, help="of session labels, as in a recipe")
    parser.add_argument("--subjects", type=int, help="the first N subjects alone")
    options = parser.parse_args()
    copy_tables(options.layout, options.output)
    files = []
    for line in (options.layout / "T1w_files.txt").read_text().split():
        entities = entities_of(Path(line))
        match = re.fullmatch(options.pattern, entities.get("ses", ""))
        if match and line.endswith("_T1w.nii.gz"):
            visit = f"{match['visit']}-{entities.get('run', '1')}"
            files.append((entities["sub"], match["scanner"], visit, line))
    subjects = sorted({subject for subject, *_ in files})[: options.subjects]
    scanners = sorted({scanner for _, scanner, *_ in files})
    models = list(SCANNERS)
    renderer = Renderer()
    # The shipped recipes are for real scans: this mark makes boards say that these are not.
    description = {"Name": "phantom subjects", "BIDSVersion": "1.10.0", "Simulated": True}
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / NAME).write_text(json.dumps(description, indent=1))
    for subject, scanner, visit, line in sorted(files):
        if subject not in subjects:
            continue
        name = name_training_subject(subjects.index(subject) + 1)
        model = models[scanners.index(scanner) % len(models)]
        path = options.output / line
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(renderer.volume(name, model, f"{scanner}-{visit}"), path)
        print(f"{line}: {name} on {model}", flush=True)


if __name__ == "__main__":
    main()
