"""How often does registration fail on real brains that are rotated, cropped, noisy or damaged?

Every scan is registered as it is and after each perturbation of `PERTURBATIONS`. The error of a
registration is the mean distance, over the brain, between two positions of the template's points:
by the registration of the perturbed scan, and by that of the scan as it is, moved likewise.
Rows are appended to a CSV file as they are computed, and rows in the file are not computed again::

    python benchmarks/registration.py ../shared/brains rows.csv --scans 6
    git show COMMIT:harmbench/preprocessing/registration.py > /tmp/before.py
    python benchmarks/registration.py ../shared/brains rows.csv --scans 6 --before /tmp/before.py

With `--before`, each brain is also registered by that file, in turn, and the last column is the
median ratio of CPU seconds. `--part 1/4` takes every fourth perturbation, each scan beginning with
another one, so that every perturbation is computed on a quarter of the scans.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
from scipy import ndimage
from scipy.spatial.transform import Rotation

from harmbench.errors import BadScanError
from harmbench.preprocessing import registration
from harmbench.preprocessing.brain import crop_brain
from harmbench.preprocessing.nifti_read import Affine, Volume, load_volume
from harmbench.util.resample import resample

LARGE_ERROR = 5.0  # mm
COLUMNS = ("scan", "perturbation", "version", "error", "correlation", "seconds", "values", "reason")

# A perturbation returns the volume and the `(4, 4)` movement of its points in mm.
Perturbation = Callable[[Volume, np.random.Generator], tuple[Volume, Affine]]


def centre(volume: Volume) -> np.ndarray:
    """Return the centre of the foreground in mm."""
    return (volume.affine @ [*ndimage.center_of_mass(volume.data > 0), 1])[:3]


def moved(volume: Volume, movement: Affine) -> tuple[Volume, Affine]:
    """Move a volume in mm, by its affine."""
    return Volume(volume.data, movement @ volume.affine), movement


def rotated(x: float = 0, y: float = 0, z: float = 0) -> Perturbation:
    """Rotate about the brain's centre: pitch, roll and yaw in degrees, in this order."""

    def perturb(volume: Volume, rng: np.random.Generator) -> tuple[Volume, Affine]:
        rotation, pivot = Rotation.from_euler("xyz", [x, y, z], degrees=True), centre(volume)
        movement = np.eye(4)
        movement[:3, :3] = rotation.as_matrix()
        movement[:3, 3] = pivot - movement[:3, :3] @ pivot
        return moved(volume, movement)

    return perturb


def shifted(x: float, y: float, z: float) -> Perturbation:
    """Move by an offset in mm."""
    movement = np.eye(4)
    movement[:3, 3] = x, y, z
    return lambda volume, rng: moved(volume, movement)


def stored(order: tuple[int, int, int], flips: tuple[int, ...]) -> Perturbation:
    """Store the same voxels along other axes: positions in mm stay."""

    def perturb(volume: Volume, rng: np.random.Generator) -> tuple[Volume, Affine]:
        data, affine = volume.data.transpose(order), volume.affine[:, [*order, 3]]
        for axis in flips:
            data = np.flip(data, axis)
            affine = affine.copy()
            affine[:, 3] += affine[:, axis] * (data.shape[axis] - 1)
            affine[:, axis] *= -1
        return Volume(np.ascontiguousarray(data), affine), np.eye(4)

    return perturb


def voxels(x: float, y: float, z: float) -> Perturbation:
    """Resample to another voxel size in mm."""

    def perturb(volume: Volume, rng: np.random.Generator) -> tuple[Volume, Affine]:
        image = crop_brain(volume).image
        ratios = np.array([x, y, z]) / image.voxel_size
        shape = tuple(int(n) for n in np.ceil(np.array(image.data.shape) / ratios) + 2)
        affine = image.affine @ np.diag([*ratios, 1.0])
        affine[:3, 3] -= affine[:3, :3] @ [0.5, 0.5, 0.5]
        data = resample(image.data, image.affine, affine, shape)
        return Volume(np.where(data > 0.02 * data.max(), data, 0), affine), np.eye(4)

    return perturb


def necked(volume: Volume, rng: np.random.Generator) -> tuple[Volume, Affine]:
    """Add a cylinder below the brain: 5 cm wide and 6 cm long, of noise."""
    image = volume
    lower = int(np.ceil(70 / image.voxel_size[2]))
    affine = image.affine.copy()
    affine[:3, 3] -= affine[:3, 2] * lower
    image = Volume(np.pad(image.data, ((0, 0), (0, 0), (lower, 0))), affine)
    x, y, z = positions(image) - centre(image).reshape(3, 1, 1, 1)
    bottom = z[image.data > 0].min()
    inside = ((y + 25) ** 2 + x**2 < 25**2) & (z > bottom - 40) & (z < bottom + 20)
    tissue = np.median(image.data[image.data > 0]) * rng.uniform(0.2, 1.2, image.data.shape)
    data = np.where(inside & (image.data == 0), tissue, image.data)
    return Volume(data.astype(np.float32), affine), np.eye(4)


def positions(volume: Volume) -> np.ndarray:
    """Return the position of every voxel in mm, `(3, X, Y, Z)`."""
    indices = np.indices(volume.data.shape, dtype=np.float32)
    place = volume.affine[:3, 3].reshape(3, 1, 1, 1)
    return np.tensordot(volume.affine[:3, :3], indices, 1) + place


def biased(axis: int) -> Perturbation:
    """Double the intensity from one end of the brain to the other."""

    def perturb(volume: Volume, rng: np.random.Generator) -> tuple[Volume, Affine]:
        along = positions(volume)[axis]
        low, high = along[volume.data > 0].min(), along[volume.data > 0].max()
        gain = 1 + np.clip((along - low) / (high - low), 0, 1)
        return Volume((volume.data * gain).astype(np.float32), volume.affine), np.eye(4)

    return perturb


def with_outliers(volume: Volume, rng: np.random.Generator) -> tuple[Volume, Affine]:
    """Set 200 voxels of the brain to ten times the maximum."""
    data = volume.data.copy()
    data.flat[rng.choice(np.flatnonzero(data > 0), 200, replace=False)] = 10 * data.max()
    return Volume(data, volume.affine), np.eye(4)


def with_hole(volume: Volume, rng: np.random.Generator) -> tuple[Volume, Affine]:
    """Set a ball of 25 mm radius, 45 mm from the brain's centre, to 5 % of the median."""
    direction = rng.normal(size=3)
    middle = centre(volume) + 45 * direction / np.linalg.norm(direction)
    distance = np.linalg.norm(positions(volume) - middle.reshape(3, 1, 1, 1), axis=0)
    dark = 0.05 * np.median(volume.data[volume.data > 0])
    data = np.where((distance < 25) & (volume.data > 0), dark, volume.data)
    return Volume(data.astype(np.float32), volume.affine), np.eye(4)


def all_of(*perturbations: Perturbation) -> Perturbation:
    """Apply several perturbations one after another."""

    def perturb(volume: Volume, rng: np.random.Generator) -> tuple[Volume, Affine]:
        movement = np.eye(4)
        for each in perturbations:
            volume, further = each(volume, rng)
            movement = further @ movement
        return volume, movement

    return perturb


PERTURBATIONS: dict[str, Perturbation] = {
    "none": lambda volume, rng: (volume, np.eye(4)),
    **{f"pitch {x:+}": rotated(x=x) for x in (-40, -25, 25, 40)},
    **{f"roll {y:+}": rotated(y=y) for y in (-40, -25, 25, 40)},
    **{f"yaw {z:+}": rotated(z=z) for z in (-40, 25, 40)},
    "roll -15, yaw +15": rotated(y=-15, z=15),
    "pitch +40, roll +40": rotated(x=40, y=40),
    "pitch -40, yaw +40": rotated(x=-40, z=40),
    "40 about all three": rotated(x=40, y=-40, z=40),
    "stored PSR": stored((1, 2, 0), (0,)),
    "stored LAI": stored((0, 1, 2), (0, 2)),
    "offset 60 mm": shifted(60, -60, 60),
    "0.7 mm": voxels(0.7, 0.7, 0.7),
    "3 mm": voxels(3, 3, 3),
    "0.8 x 0.8 x 3 mm": voxels(0.8, 0.8, 3),
    "3 x 1 x 1 mm": voxels(3, 1, 1),
    "neck": necked,
    "bias front": biased(1),
    "bias top": biased(2),
    "outliers": with_outliers,
    "hole": with_hole,
    "together": all_of(
        necked,
        with_hole,
        biased(1),
        with_outliers,
        voxels(1, 1, 3),
        rotated(x=25, y=15, z=-10),
        shifted(60, -60, 60),
    ),
}


def points_of_template() -> np.ndarray:
    """Return points all over the template's brain, `(4, N)` in mm."""
    from nilearn.datasets import load_mni152_template

    image = load_mni152_template(resolution=2)
    indices = np.argwhere(np.asarray(image.dataobj) > 0)[::37]
    return image.affine @ np.c_[indices, np.ones(len(indices))].T


def registered(module: ModuleType, brain: object) -> tuple[Affine | None, dict[str, object]]:
    """Register a brain; return the matrix, None if it is rejected, and the row's measurements."""
    start = time.process_time()
    try:
        result = module.register(brain)
    except BadScanError as error:
        return None, {"seconds": time.process_time() - start, "reason": str(error)}
    matrix = np.array(result.matrix)
    values = " ".join(f"{value:.3f}" for value in np.linalg.svd(matrix[:3, :3])[1])
    seconds = time.process_time() - start
    return matrix, {"seconds": seconds, "correlation": result.correlation, "values": values}


def study(scans: dict[Path, list[str]], versions: dict[str, ModuleType], table: Path) -> None:
    """Compute the missing rows of scans and their perturbations, and append them to the table."""
    known = set()
    if table.exists():
        old = pd.read_csv(table)
        known = set(zip(old["scan"], old["perturbation"], old["version"], strict=True))
    points = points_of_template()
    with table.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        if file.tell() == 0:
            writer.writeheader()
        for path, names in scans.items():
            label = path.name.removesuffix("_T1w.nii.gz")
            wanted = {(label, name, version) for name in names for version in versions}
            if wanted <= known:
                continue
            volume = crop_brain(load_volume(path)).image
            brain = crop_brain(volume)
            unchanged = {name: registered(versions[name], brain) for name in versions}
            for name in names:
                rng = np.random.default_rng(list(PERTURBATIONS).index(name))
                perturbed, movement = PERTURBATIONS[name](volume, rng)
                brain = crop_brain(perturbed)
                for version, module in versions.items():
                    if (label, name, version) in known:
                        continue
                    reference = unchanged[version][0]
                    matrix, row = (
                        unchanged[version] if name == "none" else registered(module, brain)
                    )
                    if matrix is not None and reference is not None:
                        apart = (matrix - movement @ reference) @ points
                        row["error"] = np.linalg.norm(apart[:3], axis=0).mean()
                    writer.writerow(row | {"scan": label, "perturbation": name, "version": version})
                file.flush()


def part(names: list[str], scan: int, which: str) -> list[str]:
    """Return the perturbations of a scan in part I of K, `I/K`, of a balanced design."""
    index, count = (int(number) for number in which.split("/"))
    return [name for k, name in enumerate(names) if (k + scan) % count == index - 1]


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the table of a version: a line for each perturbation, and for all together."""

    def line(group: pd.DataFrame) -> dict[str, object]:
        return {
            "scans": len(group),
            "rejected": int(group["correlation"].isna().sum()),
            f"over {LARGE_ERROR:g} mm": int((group["error"] > LARGE_ERROR).sum()),
            "median mm": round(group["error"].median(), 2),
            "95 % mm": round(group["error"].quantile(0.95), 2),
            "largest mm": round(group["error"].max(), 2),
            "correlation": round(group["correlation"].median(), 3),
            "CPU s": round(group["seconds"].median(), 2),
        }

    lines = {name: line(group) for name, group in rows.groupby("perturbation", sort=False)}
    return pd.DataFrame(lines | {"all": line(rows)}).T


def module_at(path: Path) -> ModuleType:
    """Import a Python file."""
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        sys.exit(f"{path} is no Python file")
    module = module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Compute the missing rows, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("brains", type=Path, help="a folder with *_T1w.nii.gz, or such a file")
    parser.add_argument("table", type=Path, help="the CSV file of rows")
    parser.add_argument("--scans", type=int, help="the number of scans, spread over the folder")
    parser.add_argument("--before", type=Path, help="another registration.py to compare with")
    parser.add_argument("--perturbations", nargs="+", choices=PERTURBATIONS, metavar="NAME")
    parser.add_argument("--part", default="1/1", help="part I/K of the perturbations of each scan")
    options = parser.parse_args()
    found = sorted(options.brains.rglob("*_T1w.nii.gz")) or [options.brains]
    chosen = np.linspace(0, len(found) - 1, min(options.scans or len(found), len(found)))
    names = options.perturbations or [*PERTURBATIONS]
    scans = {found[int(i)]: part(names, n, options.part) for n, i in enumerate(chosen)}
    versions = {} if options.before is None else {"before": module_at(options.before)}
    versions["now"] = registration
    study(scans, versions, options.table)

    rows = pd.read_csv(options.table)
    for version, group in rows.groupby("version", sort=False):
        print(f"\n{version}\n{summary(group).to_string()}")
    if len(versions) > 1:
        times = rows.pivot_table("seconds", ["scan", "perturbation"], "version")
        ratio = (times["now"] / times["before"]).median()
        print(f"\nCPU seconds, now / before: median ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
