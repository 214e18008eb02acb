"""Recipes: what is read, and what each mistake is answered with."""

from __future__ import annotations

from pathlib import Path

import pytest

from harmbench.cohorts.bids.recipe import Split, equal, load_recipe
from harmbench.errors import UserError
from helpers import RECIPES

GOOD = """
name = "study"
target = "b"
[domains.a]
sidecar = { DeviceSerialNumber = ["35177", 35248] }
[domains.b]
participants = { site = "b" }
sidecar = { MagneticFieldStrength = 3 }
[domains.c]
sidecar = false
[labels]
derivative = "tissue"
suffix = "dseg"
csf = [1, 4]
grey_matter = 2
white_matter = 3
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(text)
    return path


def test_a_recipe_is_read(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, GOOD))
    assert (recipe.target, recipe.sources) == ("b", ("a", "c"))
    assert recipe.domains[1].sidecar == {"DeviceSerialNumber": ("35177", 35248)}
    assert recipe.domains[2].sidecar is None
    assert recipe.labels is not None
    assert recipe.labels.csf == (1, 4)
    assert recipe.split == Split(validation=0.1, test=0.3)


def test_the_recipe_of_the_real_brains_is_read() -> None:
    recipe = load_recipe(RECIPES / "brains.toml")
    assert recipe.target == "oasis1"
    assert recipe.sources == ("ixihh", "ds002748")


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('suffix = "dseg"', 'sufix = "d"', "no key 'labels.sufix'; did you mean 'labels.suffix'?"),
        ('target = "b"', 'target = "bb"', "no domain for the target 'bb'; did you mean 'b'?"),
        ('target = "b"', "", "the key 'target' is missing"),
        ('name = "study"', "name = 3", "name must be text"),
        ("sidecar = false", "", "domain 'c' asks for nothing"),
        ("sidecar = false", "sidecar = true", "domains.c.sidecar must be a table"),
        ("sidecar = false", "sidecar = { x = [] }", "domains.c.sidecar.x must be text"),
        ("sidecar = false", "sidcar = false", "did you mean 'domains.c.sidecar'?"),
        ("[domains.c]", '[domains."../c"]', "letters, digits"),
        ("csf = [1, 4]", "csf = [1, 2]", "label value 2 is given to two tissues"),
        ("csf = [1, 4]", "csf = 0", "whole number above zero"),
        ("white_matter = 3", "white_matter = 3\n[split]\ntest = 1.0", "together less than 1"),
        ("white_matter = 3", "white_matter = 3\n[split]\ntest = 'x'", "must be a number"),
        ("[labels]", "[labels", "cannot be read"),
    ],
)
def test_a_mistake_gets_one_line(tmp_path: Path, old: str, new: str, line: str) -> None:
    assert old in GOOD
    with pytest.raises(UserError) as caught:
        load_recipe(write(tmp_path, GOOD.replace(old, new, 1)))
    assert line in str(caught.value)
    assert "study.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no recipe .*none\.toml"):
        load_recipe(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("found", "wanted", "same"),
    [
        (3, "3.0", True),
        ("35177", 35177, True),
        ("Vision", "vision", True),
        (None, "", False),
        ("VisionPlus", "Vision", False),
        (1.4, 1.5, False),
        (["a"], "a", False),
    ],
)
def test_values_are_compared_as_numbers_or_text(found: object, wanted: str, same: bool) -> None:
    assert equal(found, wanted) is same
