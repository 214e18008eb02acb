"""Matching: which T1w file of a session is taken, and why others are not."""

from __future__ import annotations

import pytest

from harmbench.errors import UserError

MPRAGE = {
    name: {"participants": {"site": name}, "sidecar": {"ProtocolName": "mprage"}}
    for name in ("north", "south")
}


def test_the_recipe_is_asked_before_one_of_several_files_is_chosen(empty_study):
    for subject in "abcd":
        folder = f"sub-{subject}/anat/sub-{subject}"
        (empty_study.root / f"{folder}_T1w.nii.gz").unlink()
        empty_study.add(f"{folder}_run-1_T1w.nii.gz", ProtocolName="scout")
        empty_study.add(f"{folder}_run-2_T1w.nii.gz", ProtocolName="mprage")
        empty_study.add(f"{folder}_rec-norm_run-3_T1w.nii.gz", ProtocolName="mprage")
    matched = empty_study.match(domains=MPRAGE)
    (scan, _), _ = matched.domains.values()
    assert scan.path.name == "sub-a_run-2_T1w.nii.gz"
    assert [other.path.name for other in scan.alternatives] == ["sub-a_rec-norm_run-3_T1w.nii.gz"]
    assert scan.choice == (
        "before sub-a_rec-norm_run-3_T1w.nii.gz (rec-norm), "
        "sub-a_run-1_T1w.nii.gz (ProtocolName is 'scout')"
    )
    assert not matched.unassigned


def test_a_phase_image_or_first_inversion_is_never_taken(empty_study):
    folder = empty_study.root / "sub-a" / "anat"
    (folder / "sub-a_T1w.nii.gz").unlink()
    for middle in ("inv-1", "inv-2", "part-phase", "part-mag"):
        empty_study.add(f"sub-a/anat/sub-a_{middle}_T1w.nii.gz")
    empty_study.add("sub-e/anat/sub-e_inv-1_T1w.nii.gz")
    assert empty_study.matched()["north"][0] == "sub-a_part-mag_T1w.nii.gz"
    assert empty_study.layout().left_out == {
        "sub-e/anat/sub-e_inv-1_T1w.nii.gz": "inv-1 is the first inversion of an MP2RAGE, which is "
        "not T1-weighted"
    }


def test_a_session_with_files_of_two_scanners_is_in_both_domains(empty_study):
    domains = {name: {"sidecar": {"Model": name}} for name in ("north", "south")}
    for subject in "abcd":
        for name in domains:
            empty_study.add(f"sub-{subject}/anat/sub-{subject}_acq-{name}_T1w.nii.gz", Model=name)
    matched = empty_study.matched(domains=domains)
    assert matched["south"] == [f"sub-{subject}_acq-south_T1w.nii.gz" for subject in "abcd"]
    assert len(matched["north"]) == 4


def test_scans_of_no_domain_are_named_with_the_reason(empty_study):
    empty_study.add("sub-e/anat/sub-e_T1w.nii.gz")
    empty_study.add("sub-f/anat/sub-f_T1w.nii.gz")
    rows = "a\tnorth\nb\tnorth\nc\tsouth\nd\tsouth\ne\teast\n"
    empty_study.write_table(rows)
    unassigned = [(scan.label, why) for scan, why in empty_study.match().unassigned]
    assert unassigned == [("e", "site is 'east'"), ("f", "no row of participants.tsv fits")]
    assert "no row of participants.tsv fits sub-f" in empty_study.layout().notes


def test_columns_are_known_even_when_no_row_fits(empty_study):
    empty_study.write_table("x\tnorth\ny\tsouth\n")
    with pytest.raises(UserError) as caught:
        empty_study.match()
    message = str(caught.value)
    assert "no column" not in message
    assert "no row of participants.tsv fits sub-a, sub-b, sub-c, sub-d; it has x, y" in message
    with pytest.raises(UserError, match="asks for, 'sitte'; did you mean 'site'"):
        empty_study.match(
            domains={name: {"participants": {"sitte": name}} for name in ("north", "south")}
        )


def test_an_error_names_the_sidecar_that_left_out_the_scans(empty_study):
    for name in ("T1w.json",):
        (empty_study.root / name).symlink_to(".git/annex/objects/a/b/c.json")
    with pytest.raises(UserError) as caught:
        empty_study.match(domains=MPRAGE)
    message = str(caught.value)
    assert "its sidecar T1w.json is a broken link, since git-annex has not fetched it" in message
    assert "datalad get" in message
    assert "and 3 more" in message


def test_a_single_subject_with_two_labels_is_one(empty_study):
    rows = "a\tnorth\tanna\nb\tnorth\tanna\nc\tsouth\tn/a\nd\tsouth\t\n"
    empty_study.write_table(rows, "participant_id\tsite\tperson")
    with pytest.raises(UserError, match="'north' of recipe 'study' has only one subject, 'anna'"):
        empty_study.match()


@pytest.mark.parametrize(
    ("place", "table", "column", "row"),
    [
        ("sessions", "sub-{0}_sessions.tsv", "session_id", "ses-1"),
        ("scans", "ses-1/sub-{0}_ses-1_scans.tsv", "filename", "anat/sub-{0}_ses-1_T1w.nii.gz"),
    ],
)
def test_the_scanner_may_be_in_a_table_of_the_subject(empty_study, place, table, column, row):
    for subject in "abcd":
        folder = empty_study.root / f"sub-{subject}"
        (folder / "anat" / f"sub-{subject}_T1w.nii.gz").unlink()
        empty_study.add(f"sub-{subject}/ses-1/anat/sub-{subject}_ses-1_T1w.nii.gz")
        scanner = "Prisma" if subject in "ab" else "Skyra"
        content = f"{column}\tscanner\n{row.format(subject)}\t{scanner}\n"
        (folder / table.format(subject)).write_text(content)
    domains = {name: {place: {"scanner": name}} for name in ("Prisma", "Skyra")}
    assert empty_study.matched(target="Prisma", domains=domains) == {
        "Prisma": ["sub-a_ses-1_T1w.nii.gz", "sub-b_ses-1_T1w.nii.gz"],
        "Skyra": ["sub-c_ses-1_T1w.nii.gz", "sub-d_ses-1_T1w.nii.gz"],
    }
