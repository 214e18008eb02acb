"""Pseudonyms depend on the scans alone."""

from __future__ import annotations

import json

from harmbench.bundles.pseudonyms import pseudonyms_of


def test_two_homes_with_the_same_scans_have_the_same_pseudonyms(prepared, small_cohort):
    homes = [prepared("one"), prepared("two")]
    one, two = (pseudonyms_of(home, [small_cohort.key])[small_cohort.key] for home in homes)
    assert one.names == two.names
    assert len(one.names) == len(one.subjects) > 8
    assert one.scan("p0/1") != one.scan("p0/2")
    assert one.scan("p0/1").startswith(f"{one.subject('p0')}/")


def test_other_scans_have_other_pseudonyms(prepared, small_cohort):
    home = prepared("one")
    before = pseudonyms_of(home, [small_cohort.key])[small_cohort.key]
    path = home / "cohorts" / "small" / "cohort.json"
    content = json.loads(path.read_text())
    content["scans"][0]["key"] = "changed"
    path.write_text(json.dumps(content))
    after = pseudonyms_of(home, [small_cohort.key])[small_cohort.key]
    assert before.subjects == after.subjects
    assert not {*before.names} & {*after.names}


def test_a_cohort_that_is_not_prepared_has_none(prepared, small_cohort):
    assert pseudonyms_of(prepared("empty", scans=False), [small_cohort.key]) == {}
    assert pseudonyms_of(prepared("one"), ["unknown"]) == {}
