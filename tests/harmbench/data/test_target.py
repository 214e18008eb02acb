"""A cohort with another target: pairs by common space, and facts of the own target."""

from __future__ import annotations

import json

import pytest

from harmbench.data.cohort import Cohort
from harmbench.data.spaces import SPACE, spaces
from harmbench.data.target import with_target
from harmbench.errors import UserError

# Session, visit and space of a travelling subject's scans, by domain. p1 was never on the target,
# and its scans lie in the space of the first one on domain1.
TRAVELS = {
    "target": [("p0", "t1", "1", "target/t1"), ("p0", "t2", "2", "target/t1")],
    "domain1": [
        ("p0", "d10", "10", "target/t1"),
        ("p0", "d9", "9", "target/t1"),
        ("p1", "d1", "1", "domain1/d1"),
    ],
    "north": [("p1", "n1", "1", "domain1/d1"), ("p1", "n2", "1", "")],
}


@pytest.fixture
def travellers(own_cohort):
    """Return a cohort of the test's own, with the scans of `TRAVELS`."""
    cohort = own_cohort()
    path = cohort.directory / "cohort.json"
    content = json.loads(path.read_text())
    content["facts"] = {"travelling": True, "repeat": "twice"}
    content["scans"] = [
        {
            **content["scans"][0],
            "domain": domain,
            "row": row,
            "subject": subject,
            "session": session,
            "key": f"{domain} {session}",
            "paired": bool(space) and subject == "p0",
            "partner": "t1" if space == "target/t1" and session != "t1" else "",
            "split": "test",
            "details": {"visit": visit, SPACE: space},
        }
        for domain, scans in TRAVELS.items()
        for row, (subject, session, visit, space) in enumerate(scans)
    ]
    path.write_text(json.dumps(content))
    return Cohort(cohort.directory)


def pairs_of(cohort, source):
    pairs = cohort.pairs(source, "test")
    if pairs is None:
        return None
    return [
        (one.session, other.session)
        for one, other in zip(pairs[0].scans, pairs[1].scans, strict=True)
    ]


def test_the_truth_is_the_first_visit_to_the_new_target(travellers) -> None:
    view = with_target(travellers, "domain1")
    assert (view.target, view.sources) == ("domain1", ("target", "north"))
    assert pairs_of(view, "target") == [("t1", "d9"), ("t2", "d9")]


def test_a_subject_that_never_was_on_the_own_target_has_pairs_with_another(travellers) -> None:
    assert pairs_of(travellers, "north") is None
    assert pairs_of(with_target(travellers, "domain1"), "north") == [("n1", "d1")]


def test_a_scan_in_a_space_of_its_own_is_in_no_pair(travellers) -> None:
    view = with_target(travellers, "north")
    paired = view.table[view.table["paired"]]
    assert sorted(paired["session"]) == ["d1", "n1"]


def test_facts_of_the_own_target_are_left_out(travellers) -> None:
    assert with_target(travellers, "domain1").facts == {"travelling": True}
    assert with_target(travellers, "target") is travellers


def test_a_learnt_normalisation_belongs_to_its_target(travellers) -> None:
    travellers.facts["standard"] = [0.1, 0.9]
    with pytest.raises(UserError, match="learned from the training scans of 'target'"):
        with_target(travellers, "domain1")


def test_pairs_by_days_belong_to_their_target(travellers) -> None:
    del travellers.facts["travelling"]
    with pytest.raises(UserError, match="pairs of cohort 'small'"):
        with_target(travellers, "domain1")


def test_without_recorded_spaces_the_paired_scans_of_a_subject_share_one(small_cohort) -> None:
    table = small_cohort.table
    assert [space == "common" for space in spaces(table)] == table["paired"].tolist()
    view = with_target(small_cohort, "domain1")
    one, other = view.pairs("target", "test")
    assert one.subjects == other.subjects
    assert set(one.subjects) == {"p0", "p1"}
