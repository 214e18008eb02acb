"""Split files: what they may say, and that an exported one gives the same splits back."""

from __future__ import annotations

import pytest

from harmbench.data.folds import folds_of, for_fold
from harmbench.data.split_file import read_split_file, split_table, with_split_file
from harmbench.errors import UserError


@pytest.fixture
def write(tmp_path):
    def writing(text, name="split.csv"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return writing


@pytest.mark.parametrize(
    ("text", "name", "splits", "folds"),
    [
        ("subject,split\nA,test\nB, train\n", "a.csv", {"A": "test", "B": "train"}, {}),
        ("subject,fold\nA,2\nB,1\nA,2\n", "a.csv", {}, {"A": 2, "B": 1}),
        (
            "\ufeffparticipant_id\tage\tsplit\tfold\nsub-01\t\ttest\t1\n",
            "a.tsv",
            {"01": "test"},
            {"01": 1},
        ),
        ("subject;split\r\nA;test\r\n", "a.csv", {"A": "test"}, {}),
    ],
)
def test_a_file_has_splits_or_folds(write, text, name, splits, folds):
    file = read_split_file(write(text, name))
    assert (file.splits, file.folds) == (splits, folds)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("subject,split\nA,test\nB,train\nA,train\n", "'A' has the splits 'test' and 'train'"),
        ("subject,fold\nA,1\nA,2\n", "'A' has the folds '1' and '2'"),
        ("subject,split\nA,val\n", "'A' has the split 'val'; expected: train, validation, test"),
        ("subject,split\nA\n", "line 2: 1 fields, but the first line has 2"),
        ("subject,split\nA,\n", "'A' has the split ''"),
        ("subject,fold\nA,0\n", "'A' has the fold '0'; expected: a whole number from 1"),
        ("subject,domain\nA,x\n", "needs a column .* split or fold; it has subject, domain"),
        ("name,split\nA,test\n", "needs a column subject or participant_id"),
        ("", "needs a column subject or participant_id, .*; it has none"),
        ("/annex/objects/MD5E-s3--0.csv\n", "split file: .*`datalad get .*split.csv`"),
    ],
)
def test_a_mistake_in_a_file_is_one_clear_line(write, text, message):
    with pytest.raises(UserError, match=message) as caught:
        read_split_file(write(text))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"there is no split file .*none\.csv"):
        read_split_file(tmp_path / "none.csv")


def test_an_exported_table_gives_the_same_splits_and_folds_back(small_cohort, tmp_path):
    fold_of = folds_of(small_cohort, 3)
    view = for_fold(small_cohort, 2, 3)
    path = tmp_path / "split.csv"
    exported = split_table(view, fold_of)
    assert list(exported.columns) == ["subject", "session", "domain", "split", "fold"]
    assert len(exported) == len(small_cohort.table)
    exported.to_csv(path, index=False)
    again = with_split_file(small_cohort, read_split_file(path))
    assert list(again.table["split"]) == list(view.table["split"])
    assert folds_of(again, 3) == fold_of
    assert again.key != small_cohort.key
    split_table(small_cohort, fold_of).to_csv(path, index=False)
    assert with_split_file(small_cohort, read_split_file(path)).key == small_cohort.key
    assert small_cohort.scans("target", "test").subjects == ("p0", "p0", "p1")
    with pytest.raises(UserError, match="assigned to the folds 1, 2, 3, which is not 1 to 4"):
        folds_of(again, 4)


def test_missing_subjects_and_learned_normalisations_are_refused(own_cohort, write):
    cohort = own_cohort()
    file = read_split_file(write("subject,split\np0,test\np1,train\nz,train\n"))
    with pytest.raises(UserError, match="lacks the subjects n0, n1, n2, n3, p2 and 6 more"):
        with_split_file(cohort, file)
    cohort.facts = {"standard": [0.1]}
    with pytest.raises(UserError, match="'minmax' learned from the training subjects"):
        with_split_file(cohort, file)


def test_ages_are_listed_where_they_are_known(own_cohort):
    cohort = own_cohort()
    cohort.table.loc[0, "age"] = 31.5
    table = split_table(cohort, {})
    assert list(table.columns) == ["subject", "session", "domain", "split", "age"]
    assert table["age"][0] == 31.5


def test_a_file_may_name_subjects_by_their_labels(own_cohort, write):
    cohort = own_cohort()
    subjects = sorted(set(cohort.table["subject"]))
    # The first subject has two labels, and the second is written with other zeros.
    labels = {subjects[0]: ["site1", "site2"], subjects[1]: ["0007"]}
    uses = dict.fromkeys(labels, 0)
    for details, subject in zip(cohort.table["details"], cohort.table["subject"], strict=True):
        if subject in labels:
            details["label"] = labels[subject][uses[subject] % len(labels[subject])]
            uses[subject] += 1
    rows = [f"{subject},train" for subject in subjects[2:]]
    text = "\n".join(["subject,split", "site1,test", "sub-7,test", *rows, ""])
    splits = with_split_file(cohort, read_split_file(write(text))).table
    assert set(splits.loc[splits["split"] == "test", "subject"]) == set(subjects[:2])
    file = read_split_file(write(f"{text}site2,train\n"))
    with pytest.raises(UserError, match="labels n0, site1, site2 are one subject and need one"):
        with_split_file(cohort, file)
