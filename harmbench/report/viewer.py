"""Pictures of the slice viewer: one sheet per method, of three subjects by three slices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from harmbench.util.hashing import bytes_digest, digest
from harmbench.util.npz import read_npz

# Larger differences have the last colour of the map; intensities are in [0, 1].
LIMIT = 0.3
# Ends and middle of ColorBrewer's RdBu, distinct for all kinds of colour vision.
_BLUE, _WHITE, _RED = (5, 48, 97), (247, 247, 247), (103, 0, 31)

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Layer:
    """One picture of the viewer.

    Attributes
    ----------
    name
        Name of the method, source or reference.
    image
        File name of its sheet.
    difference
        File name of the sheet of differences, or None.
    """

    name: str
    image: str
    difference: str | None


@dataclass(frozen=True, kw_only=True)
class Viewer:
    """Pictures of a task, to be shown one at a time.

    Attributes
    ----------
    layers
        The source first, then methods in the order of the board, then the reference.
    subjects, positions
        Rows and columns of every sheet: the subjects, and MNI152 z of the slices in mm.
    width, height
        Of one slice, in pixels.
    minus
        Name of the picture that is subtracted in the differences.
    paired
        Whether the reference is the truth, or a scan of another subject.
    """

    layers: tuple[Layer, ...]
    subjects: tuple[str, ...]
    positions: tuple[float, ...]
    width: int
    height: int
    minus: str
    paired: bool


def write_viewer(folder: Path, stem: str, files: Mapping[str, Path]) -> Viewer | None:
    """Write the sheets of a task.

    Parameters
    ----------
    folder
        Folder of the pictures.
    stem
        Beginning of the file names.
    files
        `slices.npz` of a cell, by method, in the order of the viewer. Unreadable files, and
        those with other subjects than the first, are left out.

    Returns
    -------
    Viewer or None
        None without any picture.
    """
    shown = _same_slices(files)
    if not shown:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    first = next(iter(shown.values()))
    source = first["source"]
    paired = "reference" in first
    reference = first["reference"] if paired else np.broadcast_to(first["target"], source.shape)
    base = reference if paired else source
    layers = [Layer("source, unharmonised", f"{stem}-source.png", None)]
    _write_grey(folder / layers[0].image, source)
    if paired:
        layers[0] = Layer(layers[0].name, layers[0].image, f"{stem}-source-difference.png")
        _write_difference(folder / f"{stem}-source-difference.png", source, base)
    for i, (label, arrays) in enumerate(shown.items()):
        layer = Layer(label, f"{stem}-{i}.png", f"{stem}-{i}-difference.png")
        _write_grey(folder / layer.image, arrays["harmonized"])
        _write_difference(folder / f"{stem}-{i}-difference.png", arrays["harmonized"], base)
        layers.append(layer)
    name = "reference, the truth" if paired else "target domain (another subject)"
    layers.append(Layer(name, f"{stem}-reference.png", None))
    _write_grey(folder / layers[-1].image, reference)
    height, width = source.shape[2:]
    return Viewer(
        layers=tuple(layers),
        subjects=tuple(map(str, first["subjects"])),
        positions=tuple(map(float, first["positions"])),
        width=width,
        height=height,
        minus="reference" if paired else "source",
        paired=paired,
    )


def _same_slices(files: Mapping[str, Path]) -> dict[str, Arrays]:
    """Read the files that show the same slices of the same subjects as the first."""
    shown: dict[str, Arrays] = {}
    first = ""
    for label, path in files.items():
        try:
            arrays = read_npz(path)
            scene = digest(arrays["subjects"].tolist(), bytes_digest(arrays["source"].tobytes()))
        except (OSError, ValueError, KeyError):
            continue
        first = first or scene
        if scene == first:
            shown[label] = arrays
    return shown


def _sheet(images: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Join `(P, K, W, H)` upright slices to one picture, a row for each subject."""
    return np.vstack([np.hstack(list(row)) for row in images])


def _write_grey(path: Path, images: npt.NDArray[Any]) -> None:
    Image.fromarray(_sheet(images)).save(path, optimize=True)


def _write_difference(path: Path, first: npt.NDArray[Any], second: npt.NDArray[Any]) -> None:
    difference = (first.astype(np.float32) - second.astype(np.float32)) / 255
    levels = np.clip((difference / LIMIT + 1) / 2, 0, 1) * 255
    picture = Image.fromarray(_sheet(levels.round().astype(np.uint8)), mode="P")
    picture.putpalette(palette().tobytes())
    picture.save(path, optimize=True)


def palette() -> npt.NDArray[np.uint8]:
    """Return the colours of differences from `-LIMIT` to `LIMIT`, `(256, 3)`: blue, white, red."""
    positions = np.linspace(-1, 1, 256)[:, None]
    middle, ends = np.array(_WHITE), np.where(positions < 0, np.array(_BLUE), np.array(_RED))
    # Steeper next to zero, so that small differences are visible.
    colours = middle + (ends - middle) * np.abs(positions) ** 0.8
    rounded: npt.NDArray[np.uint8] = colours.round().astype(np.uint8)
    return rounded
