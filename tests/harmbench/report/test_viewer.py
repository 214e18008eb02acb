"""The viewer of slices: which methods it shows, and what their pictures contain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harmbench.report.viewer import LIMIT, palette, write_viewer
from helpers.scored_cells import GAINS, slices

# MLflow's imports raise deprecation warnings.
pytestmark = pytest.mark.filterwarnings("default")


def test_the_viewer_shows_bytes_as_they_were_kept_and_differences_to_the_truth(site, group):
    from PIL import Image

    folder = site / group.slug / "images"
    stem = group.files["a"].removesuffix(".html")
    grey = np.asarray(Image.open(folder / f"{stem}-source.png"))
    assert grey.shape == (2 * 5, 3 * 4)
    assert set(grey.ravel()) == {10}
    order = [row.label for row in group.first.methods if row.label in GAINS]
    shade = 20 * list(GAINS).index(order[0])
    assert set(np.asarray(Image.open(folder / f"{stem}-0.png")).ravel()) == {shade}
    red, _, blue = Image.open(folder / f"{stem}-0-difference.png").convert("RGB").getpixel((0, 0))
    assert blue > red  # much darker than the truth
    expected = np.clip(((shade - 200) / 255 / LIMIT + 1) / 2, 0, 1) * 255
    assert tuple(palette()[round(expected)]) == Image.open(
        folder / f"{stem}-0-difference.png"
    ).convert("RGB").getpixel((0, 0))


def test_a_method_that_shows_other_subjects_is_left_out_of_the_viewer(tmp_path):
    files = {}
    for name, subjects in (("one", ["p0", "p1"]), ("two", ["p0", "p1"]), ("odd", ["p5", "p6"])):
        files[name] = tmp_path / f"{name}.npz"
        np.savez_compressed(files[name], **{**slices(50), "subjects": np.array(subjects)})
    viewer = write_viewer(tmp_path / "images", "t", files)
    assert [layer.name for layer in viewer.layers[1:-1]] == ["one", "two"]
    assert viewer.subjects == ("p0", "p1")


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"no zip",
        lambda content: b"",
        lambda content: content[: len(content) // 2],
    ],
)
def test_an_unreadable_file_is_left_out_of_the_viewer(tmp_path, damage):
    files = {name: tmp_path / f"{name}.npz" for name in ("damaged", "one")}
    for path in files.values():
        np.savez_compressed(path, **slices(50))
    files["damaged"].write_bytes(damage(files["damaged"].read_bytes()))
    viewer = write_viewer(tmp_path / "images", "t", files)
    assert [layer.name for layer in viewer.layers[1:-1]] == ["one"]


def test_a_method_is_not_shown_as_failed_and_as_a_picture(pages, group):
    page = pages[Path(group.slug) / group.files["a"]]
    shown = [item for item in page.all("button") if "data-layer" in item]
    # The source, the reference and the methods with numbers.
    assert len(shown) == 2 + sum(label != "identity" for label in GAINS)
