"""Whether a study's own description marks its scans as simulated."""

from __future__ import annotations

import pytest

from harmbench.cohorts.bids.dataset_description import NAME
from harmbench.cohorts.bids.source import Bids
from harmbench.data.scans import Grid
from harmbench.errors import UserError

GRID = Grid("tiny", (5, 18, 22), (12.0, 9.6, 9.6))


@pytest.mark.parametrize(
    ("content", "simulated"),
    [
        (None, False),
        ('{"Name": "a study"}', False),
        ('{"Name": "a study", "Simulated": false}', False),
        ('{"Name": "a study", "Simulated": true}', True),
        ('\ufeff{"Simulated": true}', True),
        ("no json", False),
        ("[1]", False),
    ],
)
def test_the_mark_of_the_study_holds_for_any_recipe(tree, content, simulated):
    for subject, site in (("A", "here"), ("B", "here"), ("C", "there"), ("D", "there")):
        tree.add(subject, site)
    unmarked = Bids(str(tree.root), tree.recipe).key(GRID, tree.home)
    if content is not None:
        (tree.root / NAME).write_text(content, encoding="utf-8")
    source = Bids(str(tree.root), tree.recipe)
    assert source.recipe.simulated is simulated
    assert (source.key(GRID, tree.home) != unmarked) is simulated


def test_a_wrong_mark_is_refused(tree):
    tree.add("A", "here")
    (tree.root / NAME).write_text('{"Simulated": "yes"}')
    with pytest.raises(UserError, match=r'dataset_description.json: "Simulated" is "yes"'):
        Bids(str(tree.root), tree.recipe)
