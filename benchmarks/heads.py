"""How often is a brain-extracted scan taken for a head, and a small head for a brain?

Brains are the scans of a folder. Heads are versions of one head: scaled to smaller subjects, with
air and skull set to zero, without neck or face, with bias field, noise and larger voxels; and with
the scalp, or its fat, darkened as by fat suppression. The head must lie in MNI space::

    python benchmarks/heads.py ../shared/brains ../shared/cases/head_T1w.nii.gz
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from nilearn.datasets import load_mni152_template
from scipy import ndimage

from harmbench.preprocessing.brain import MAX_BRAIN_LITRES
from harmbench.preprocessing.head_detection import (
    contains_skull,
    layer_levels,
    margin_ratio,
    skull_dip,
)
from harmbench.preprocessing.nifti_read import Array, Volume, load_volume
from harmbench.util.resample import resample

SIZES = (1.0, 0.9, 0.8, 0.7)  # relative to the head of an adult
ZEROED = (0.0, 0.1, 0.2)  # below this share of the 99th percentile voxels are set to zero
SUPPRESSED = (0.02, 0.1, 0.2, 0.3, 0.5)  # intensity that is left of the scalp or its fat
FAT = 0.6  # of the 99th percentile of the head: brighter voxels of the scalp are fat
BACKGROUND = 0.005  # of the same: darker voxels are background
AROUND = 5  # mm between the template's brain and what is darkened
DIP = 0.2  # heads with a smaller one are recognised by the ratio only
VOXELS = ((1, 1, 1), (2, 2, 2), (1, 1, 4))  # of the file, averaged


def positions(volume: Volume) -> Array:
    """Return the position of every voxel in mm, `(3, X, Y, Z)`."""
    place = volume.affine[:3, 3].reshape(3, 1, 1, 1)
    return np.tensordot(volume.affine[:3, :3], np.indices(volume.data.shape), 1) + place


def largest_component(data: Array) -> Array:
    """Set all but the largest component to zero."""
    components, _ = ndimage.label(data)
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    return np.where(components == sizes.argmax(), data, 0)


def averaged(volume: Volume, factors: tuple[int, int, int]) -> Volume:
    """Average blocks of voxels."""
    shape = [n // f for n, f in zip(volume.data.shape, factors, strict=True)]
    data = volume.data[tuple(slice(n * f) for n, f in zip(shape, factors, strict=True))]
    x, y, z = shape
    blocks = data.reshape(x, factors[0], y, factors[1], z, factors[2])
    return Volume(blocks.mean((1, 3, 5)), volume.affine @ np.diag([*factors, 1.0]))


def parts(volume: Volume) -> dict[str, Array]:
    """Return what is left of a head in MNI space, `(X, Y, Z)` bool each."""
    _, y, z = positions(volume)
    neck, face = z < -55, (y > 55) & (z < -15) | (y > 30) & (z < -35)
    return {
        "whole": np.ones(volume.data.shape, bool),
        "no neck": ~neck,
        "no face": ~face,
        "neither": ~neck & ~face,
        "upper part": (z > -30) & ~((y > 40) & (z < 0)),
    }


def versions(head: Volume) -> Iterator[tuple[str, Volume]]:
    """Yield the versions of a head."""
    rng = np.random.default_rng(0)
    bright = np.percentile(head.data[head.data > 0], 99)
    y = positions(head)[1]
    bias = 1 + 1.5 * (y - y.min()) / np.ptp(y)
    noise = rng.normal(0, 0.05 * bright, head.data.shape)
    for least in ZEROED:
        data = largest_component(np.where(head.data > least * bright, head.data, 0))
        for name, part in parts(head).items():
            for fault, image in (
                ("", data),
                (", bias", data * bias),
                (", noise", np.where(data > 0, np.abs(data + noise), 0)),
            ):
                for factors in VOXELS:
                    kept = Volume(np.where(part, image, 0).astype(np.float32), head.affine)
                    voxels = averaged(kept, factors)
                    for size in SIZES:
                        affine = np.diag([size, size, size, 1.0]) @ voxels.affine
                        text = f"{name}{fault}, zero below {least:.0%}, {factors}, size {size}"
                        yield text, Volume(voxels.data, affine)


def suppressed(head: Volume) -> Iterator[tuple[str, Volume]]:
    """Yield versions of a head with a dark scalp, or dark fat."""
    template = load_mni152_template(resolution=1)
    brain = ndimage.binary_dilation(np.asarray(template.dataobj) > 0, iterations=AROUND)
    inside = resample(brain.astype(np.float32), template.affine, head.affine, head.data.shape)
    scalp = inside < 0.5
    bright = FAT * np.percentile(head.data[head.data > 0], 99)
    for title, darkened in (("scalp", scalp), ("fat", scalp & (head.data > bright))):
        for factor in SUPPRESSED:
            data = np.where(darkened, head.data * factor, head.data)
            for name, part in parts(head).items():
                kept = np.where(part, data, 0).astype(np.float32)
                for size in SIZES:
                    affine = np.diag([size, size, size, 1.0]) @ head.affine
                    yield f"{title} at {factor:.0%}, {name}, size {size}", Volume(kept, affine)


def report(title: str, heads: Iterator[tuple[str, Volume]]) -> None:
    """Print how many of the small ones of some heads are taken for brains."""
    small = missed = count = flat = 0
    ratio = 0.0
    for text, head in heads:
        count += 1
        foreground = head.data > BACKGROUND * np.percentile(head.data[head.data > 0], 99)
        levels = layer_levels(head, foreground)
        if np.count_nonzero(foreground) * head.voxel_volume < MAX_BRAIN_LITRES * 1e6:
            small += 1
            if skull_dip(levels) < DIP:
                flat, ratio = flat + 1, max(ratio, margin_ratio(levels))
            if not contains_skull(head, foreground):
                missed += 1
                print(f"missed: {text}: dip {skull_dip(levels):.2f}, {margin_ratio(levels):.2f}")
    print(
        f"{title}: {count} versions, {small} of them below {MAX_BRAIN_LITRES} L: {missed} of these "
        f"taken for brains; {flat} have a dip below {DIP}, with a ratio of at most {ratio:.2f}"
    )


def main() -> None:
    """Print the error rates."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("brains", type=Path)
    parser.add_argument("head", type=Path)
    options = parser.parse_args()
    paths = sorted(options.brains.rglob("*_T1w.nii.gz"))
    brains = [load_volume(path) for path in paths]
    levels = [layer_levels(brain, brain.data != 0) for brain in brains]
    wrong = sum(contains_skull(brain, brain.data != 0) for brain in brains)
    print(
        f"brains: {wrong} of {len(brains)} taken for heads; largest dip "
        f"{max(map(skull_dip, levels)):.3f}, smallest ratio {min(map(margin_ratio, levels)):.2f}"
    )
    head = load_volume(options.head)
    report("heads", versions(head))
    report("heads with suppressed fat", suppressed(head))


if __name__ == "__main__":
    main()
