"""Suites, as they are shipped and as users write them."""

from __future__ import annotations

import pytest

from harmbench import UserError
from harmbench.execution.plan.suite import read_suite, shipped


def test_two_suites_are_shipped_and_can_be_read():
    assert shipped() == ["paper", "quick"]
    assert read_suite("quick")["methods"] == ("*",)
    assert read_suite("paper")["preset"] == "paper"


def test_a_file_is_read_with_its_recipe_beside_it(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('methods = ["unet"]\nseeds = [0, 3]\nrecipe = "study.toml"\nn4 = true\n')
    assert read_suite(str(path)) == {
        "methods": ("unet",),
        "seeds": (0, 3),
        "recipe": tmp_path / "study.toml",
        "n4": True,
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("method = ['unet']", "no key of the suite"),
        ("methods = 'unet'", "methods must be a list of texts"),
        ("seeds = [0.5]", "seeds must be a list of whole numbers"),
        ("preset = ['quick']", "preset must be a text"),
        ("n4 = 1", "n4 must be true or false"),
        ("methods = [", "suite"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, said):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=said):
        read_suite(str(path))


def test_a_suite_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match="no suite file"):
        read_suite(str(tmp_path / "none.toml"))
    with pytest.raises(UserError, match="quick"):
        read_suite("quik")
