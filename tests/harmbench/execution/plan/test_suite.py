"""Shipped suites and suite files."""

from __future__ import annotations

import re

import pytest

from harmbench import UserError
from harmbench.execution.plan.suite import read_suite, shipped


def test_the_shipped_suites_are_valid():
    assert shipped() == ["paper", "quick", "reviewers", "travellers"]
    assert read_suite("quick")["methods"] == ("*",)
    assert read_suite("paper")["preset"] == "paper"
    assert read_suite("travellers")["targets"] == ("each",)


def test_the_recipe_path_starts_at_the_folder_of_the_suite_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'methods = ["unet"]\nseeds = [0, 3]\nrecipe = "study.toml"\nn4 = true\n'
        'folds = 5\nsplit_file = "splits.csv"\n'
    )
    assert read_suite(str(path)) == {
        "methods": ("unet",),
        "seeds": (0, 3),
        "recipe": tmp_path / "study.toml",
        "n4": True,
        "folds": 5,
        "split_file": tmp_path / "splits.csv",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("method = ['unet']", "no key 'method'; did you mean 'methods'?"),
        ("methods = 'unet'", "methods: input should be a list"),
        ("seeds = [0.5]", "seeds: input should be a valid integer"),
        ("seeds = [true]", "seeds: input should be a valid integer"),
        ("preset = ['quick']", "preset: input should be a valid string"),
        ("n4 = 1", "n4: input should be a valid boolean"),
        ("methods = [", "cannot be read"),
    ],
)
def test_an_error_names_the_suite_the_key_and_the_reason(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        read_suite(str(path))
    assert f"suite '{path}'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_error_names_a_missing_suite(tmp_path):
    with pytest.raises(UserError, match="there is no suite .*none"):
        read_suite(str(tmp_path / "none.toml"))
    with pytest.raises(UserError, match="no suite 'quik'; did you mean 'quick'"):
        read_suite("quik")
