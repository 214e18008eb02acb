"""Masks are compared with the template's brain after registration."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harmbench.errors import BadScanError
from harmbench.preprocessing.brain import crop_brain
from harmbench.preprocessing.mask_agreement import agreement, register_checked
from harmbench.preprocessing.masking import MaskedScan
from harmbench.preprocessing.nifti_read import FileFacts, Volume
from harmbench.preprocessing.registration import Registration
from helpers.volumes import template

IDENTITY = Registration(tuple(map(tuple, np.eye(4).tolist())), 0.9)
Change = Callable[[np.ndarray, np.ndarray], np.ndarray]


def scan_with(change: Change, cached: Path | None = None) -> MaskedScan:
    """The template at 3 mm with a changed mask; what the mask adds has one intensity."""
    data, affine = template()
    data, affine = data[::3, ::3, ::3], affine @ np.diag([3.0, 3.0, 3.0, 1.0])
    points = np.indices(data.shape).reshape(3, -1)
    world = (affine[:3, :3] @ points + affine[:3, 3:]).reshape(3, *data.shape)
    mask = change(data > 0, world)
    volume = Volume(np.where(mask, np.where(data > 0, data, 0.5), 0).astype(np.float32), affine)
    brain = crop_brain(volume)
    return MaskedScan(volume=volume, brain=brain, content="c", extraction="tool 1", cached=cached)


def face(mask: np.ndarray, world: np.ndarray) -> np.ndarray:
    x, y, z = world
    return mask | ((abs(x) < 50) & (y > 20) & (z < -20) & (z > -65))


def no_temporal_lobe(mask: np.ndarray, world: np.ndarray) -> np.ndarray:
    x, y, z = world
    return mask & ~((x < -25) & (z < 0) & (y > -45))


def slabs(mask: np.ndarray, world: np.ndarray) -> np.ndarray:
    return mask & (np.floor(world[2] / 9) % 2 == 0)


@pytest.mark.parametrize(
    ("change", "dice", "beyond", "missing"),
    [
        (lambda mask, world: mask, (0.97, 1), (0, 0.001), (0, 0.001)),
        (face, (0.9, 0.97), (0.1, 0.2), (0, 0.001)),
        (no_temporal_lobe, (0.9, 0.97), (0, 0.001), (0.01, 0.1)),
        (slabs, (0, 0.75), (0, 0.001), (0.2, 0.5)),
    ],
)
def test_parts_that_are_too_much_or_missing_are_measured(
    change: Change,
    dice: tuple[float, float],
    beyond: tuple[float, float],
    missing: tuple[float, float],
) -> None:
    found = agreement(scan_with(change).brain, IDENTITY)
    assert dice[0] <= found.dice <= dice[1]
    assert beyond[0] <= found.beyond <= beyond[1]
    assert missing[0] <= found.missing <= missing[1]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the registration of the whole brain, for scans whose brain differs little."""
    home = tmp_path_factory.mktemp("home")
    register_checked(scan_with(lambda mask, world: mask), "a.nii.gz", home)
    return home


def test_a_good_mask_has_no_doubts_and_a_partial_one_is_named(home: Path) -> None:
    good = register_checked(scan_with(lambda mask, world: mask), "a.nii.gz", home)
    assert not good.doubts
    assert good.agreement is not None
    assert good.agreement.dice > 0.95
    partial = register_checked(scan_with(no_temporal_lobe), "a.nii.gz", home)
    assert any("misses" in doubt and "of the inner brain" in doubt for doubt in partial.doubts)


def with_undefined(radius: float) -> MaskedScan:
    """The template without a ball at the forehead, which is undefined in the file."""

    def ball(world: np.ndarray) -> np.ndarray:
        x, y, z = world
        inside: np.ndarray = x**2 + (y - 70) ** 2 + z**2 < radius**2
        return inside

    undefined: list[np.ndarray] = []

    def cut(mask: np.ndarray, world: np.ndarray) -> np.ndarray:
        undefined.append(ball(world))
        return mask & ~undefined[0]

    scan = scan_with(cut)
    facts = FileFacts(undefined=undefined[0])
    volume = dataclasses.replace(scan.volume, facts=facts)
    return dataclasses.replace(scan, volume=volume, stripped=True)


def test_an_undefined_part_of_the_brain_is_named(home: Path) -> None:
    doubts = register_checked(with_undefined(30), "a.nii.gz", home).doubts
    assert doubts[-1] == "undefined voxels (NaN or infinity) border on 5% of the brain's surface"
    reason = r"^a.nii.gz does not match the template: undefined voxels .* border on 19% .* again$"
    with pytest.raises(BadScanError, match=reason):
        register_checked(with_undefined(85), "a.nii.gz", home)


@pytest.mark.slow
def test_masks_with_missing_parts_are_registered_to_the_place_of_the_whole(tmp_path: Path) -> None:
    corners = np.array([(x, y, z, 1) for x in (-60, 60) for y in (-90, 60) for z in (-40, 70)])
    for name, scan in (("lobe", scan_with(no_temporal_lobe)), ("ball", with_undefined(30))):
        found = register_checked(scan, "a.nii.gz", tmp_path / name)
        moved = (np.array(found.registration.matrix) @ corners.T - corners.T)[:3]
        assert np.linalg.norm(moved, axis=0).max() < 5, name
        assert found.doubts, name
    with pytest.raises(BadScanError, match="the brain mask of a.nii.gz .tool 1. does not match"):
        register_checked(scan_with(face), "a.nii.gz", tmp_path / "face")
    with pytest.raises(BadScanError, match="undefined voxels"):
        register_checked(with_undefined(85), "a.nii.gz", tmp_path / "most")


def test_an_undefined_background_is_no_reason_for_doubt(home: Path) -> None:
    scan = scan_with(lambda mask, world: mask)
    facts = FileFacts(undefined=scan.volume.data == 0)
    volume = dataclasses.replace(scan.volume, facts=facts)
    scan = dataclasses.replace(scan, volume=volume, stripped=True)
    assert register_checked(scan, "a.nii.gz", home).doubts == ()


def test_an_impossible_mask_is_refused_and_removed_from_the_cache(
    home: Path, tmp_path: Path
) -> None:
    cached = tmp_path / "mask.nii.gz"
    cached.touch()
    with pytest.raises(BadScanError) as caught:
        register_checked(scan_with(face, cached), "a.nii.gz", home)
    line = str(caught.value)
    assert line.startswith("the brain mask of a.nii.gz (tool 1) does not match the template: ")
    assert line.endswith("; give a brain mask")
    assert not cached.exists()
