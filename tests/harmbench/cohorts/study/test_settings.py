"""Settings of a study."""

from __future__ import annotations


def test_tissues_are_the_label_values_of_the_recipe(settings_of):
    assert settings_of().tissues == ((1, 4), (2,), (3,))


def test_a_recipe_without_labels_has_no_tissues(study, settings_of):
    assert settings_of(recipe=study.recipe.model_copy(update={"labels": None})).tissues is None
