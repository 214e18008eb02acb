"""Recipes: their content, and the errors of wrong recipes."""

from __future__ import annotations

from pathlib import Path

import pytest

from harmbench.cohorts.bids.recipe import Sizes, Split, equal, load_recipe
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
PAIRS = "white_matter = 3\n[pairs]\nday = '{day}'\nmaximum_gap_days = {gap}"
PUBLISHED = "white_matter = 3\n[split.published.a]\n{}"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(text)
    return path


def test_load_recipe_reads_every_table(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, GOOD))
    assert (recipe.target, recipe.sources) == ("b", ("a", "c"))
    assert recipe.domains["a"].sidecar == {"DeviceSerialNumber": ("35177", 35248)}
    assert recipe.domains["c"].sidecar is None
    assert recipe.labels is not None
    assert recipe.labels.csf == (1, 4)
    assert recipe.split == Split(validation=0.1, test=0.3)


def test_load_recipe_reads_the_recipe_of_the_real_brains() -> None:
    recipe = load_recipe(RECIPES / "brains.toml")
    assert recipe.target == "oasis1"
    assert recipe.sources == ("ixihh", "ds002748")


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('suffix = "dseg"', 'sufix = "d"', "labels: no key 'sufix'; did you mean 'suffix'?"),
        ('target = "b"', 'target = "bb"', "no domain for the target 'bb'; did you mean 'b'?"),
        ('target = "b"', "", "target: the key is missing"),
        ('name = "study"', "name = 3", "name: "),
        ('name = "study"', 'name = "study"\nextends = "oasis"', "did you mean 'oasis3'?"),
        ("sidecar = false", "", "domains.c: no criteria"),
        ("sidecar = false", "sidecar = true", "domains.c.sidecar: input should be a table"),
        ("sidecar = false", "sidecar = { x = [] }", "domains.c.sidecar.x: "),
        ("sidecar = false", "sidecar = { x = true }", "domains.c.sidecar.x: "),
        ("sidecar = false", "sidcar = false", "domains.c: no key 'sidcar'; did you mean 'sidecar'"),
        ("[domains.c]", '[domains."../c"]', "../c: "),
        ("csf = [1, 4]", "csf = [1, 2]", "label value 2"),
        ("csf = [1, 4]", "csf = 0", "labels.csf: input should be greater than 0"),
        ("csf = [1, 4]", "csf = [1, true]", "labels.csf: "),
        ("white_matter = 3", "white_matter = 3\n[split]\ntest = 1.0", "together less than 1"),
        ("white_matter = 3", "white_matter = 3\n[split]\ntest = 'x'", "split.test: "),
        ("white_matter = 3", PAIRS.format(day="d", gap=5), "pairs.day: needs one group"),
        ("white_matter = 3", PAIRS.format(day="(d", gap=5), "pairs.day: no regular expression"),
        ("white_matter = 3", PAIRS.format(day="(d)", gap=-1), "pairs.maximum_gap_days: "),
        ("white_matter = 3", PUBLISHED.format("tran = 3"), "split.published.a: no key 'tran'"),
        ("white_matter = 3", PUBLISHED.format("train = -3"), "split.published.a.train: "),
        ("[labels]", "[labels", "cannot be read"),
    ],
)
def test_an_error_names_file_key_and_reason_in_one_line(
    tmp_path: Path, old: str, new: str, line: str
) -> None:
    assert old in GOOD
    with pytest.raises(UserError) as caught:
        load_recipe(write(tmp_path, GOOD.replace(old, new, 1)))
    assert line in str(caught.value)
    assert "study.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_sizes_of_a_removed_domain_are_left_out(tmp_path: Path) -> None:
    sizes = PUBLISHED.format("train = 3") + "\n[split.published.removed]\ntrain = 4"
    recipe = load_recipe(write(tmp_path, GOOD.replace("white_matter = 3", sizes)))
    assert recipe.split.published == {"a": Sizes(train=3)}


def test_the_error_names_a_missing_recipe(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no recipe .*none\.toml"):
        load_recipe(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("value", "accepted", "same"),
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
def test_values_are_compared_as_numbers_or_text(value: object, accepted: str, same: bool) -> None:
    assert equal(value, accepted) is same
