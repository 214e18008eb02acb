"""Keys of a study: they change with everything that they depend on, and with nothing else."""

from __future__ import annotations

import dataclasses

from harmbench.data.prepare_options import PrepareOptions


def test_the_cohort_key_depends_on_name_grid_and_preparation(digests_of, settings_of):
    grid = dataclasses.replace(settings_of().grid, spacing=(11.0, 9.6, 9.6))
    changes = ({}, {"grid": grid}, {"normalization": "nyul"}, {"options": PrepareOptions(n4=True)})
    keys = [digests_of(**change).cohort_key("study") for change in changes]
    assert len({*keys, digests_of().cohort_key("other")}) == 5


def test_the_cohort_key_does_not_depend_on_the_home(digests_of, tmp_path):
    other = digests_of(home=tmp_path / "other")
    assert other.cohort_key("study") == digests_of().cohort_key("study")


def test_the_cohort_key_depends_on_the_listing(digests_of, study):
    before = digests_of().cohort_key("study")
    study.listing.write_text(study.listing.read_text().replace("site\n", "site\tage\n", 1))
    assert digests_of().cohort_key("study") != before


def test_the_label_key_depends_on_the_file_and_the_meaning_of_its_values(digests_of, study):
    with_labels, without = study.scans.domains["here"]
    key = digests_of().label_key(with_labels)
    assert key != digests_of().label_key(without)
    labels = study.recipe.labels.model_copy(update={"csf": (1,)})
    other = digests_of(recipe=study.recipe.model_copy(update={"labels": labels}))
    assert other.label_key(with_labels) != key
