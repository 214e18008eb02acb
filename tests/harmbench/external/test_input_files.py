from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from harmbench.contracts.task_data import TaskData
from harmbench.errors import UserError
from harmbench.external.image_names import image_path
from harmbench.external.input_files import Export, ExportSpace, TaskInputs
from harmbench.preprocessing.nifti_read import load_volume
from harmbench.testing.tiny import tiny_cohort
from harmbench.util.progress import Silent


class Darker:
    """A shift that halves intensities."""

    digest = "darker"

    def __call__(self, images, masks, scan, index):
        return images / 2


def data_of(cohort, test):
    return TaskData(
        target=cohort.scans("target", "train"),
        validation=cohort.scans("target", "validation"),
        test=test,
        references=cohort.scans("target", "test"),
        source=cohort.scans("domain1", "train"),
    )


@pytest.fixture
def export():
    cohort = tiny_cohort()
    plain = data_of(cohort, cohort.scans("domain1", "test"))
    shifted = data_of(cohort, cohort.scans("target", "test").with_transform(Darker()))
    return Export(
        cohort=cohort,
        inputs=[
            TaskInputs(task="domain1", fold=0, data=plain),
            TaskInputs(task="sim-darker", fold=0, data=shifted),
        ],
        folds={},
        space=ExportSpace.ACQUIRED,
    )


def test_inputs_are_written_and_never_the_truth(export, tmp_path) -> None:
    folder = tmp_path / "inputs"
    count = export.write(folder, "harmbench score harmonised", Silent(), force=False)
    table = pd.read_csv(folder / "split.tsv", sep="\t", dtype=str)
    images = {path.relative_to(folder).as_posix() for path in folder.rglob("*_T1w.nii.gz")}
    assert count == len(images)
    assert images == set(table["file"])
    test_subjects = set(table.loc[table["split"] == "test", "subject"])
    assert test_subjects == set(export.cohort.scans("target", "test").subjects)
    assert {"age", "sex"} <= set(table.columns)
    expected = {row["subject"]: row["covariates"] for row in export.cohort.table.to_dict("records")}
    for row in table[table["domain"] == "domain1"].to_dict("records"):
        assert float(row["age"]) == expected[row["subject"]]["age"]
        assert row["sex"] == expected[row["subject"]]["sex"]
    training = table[table["file"].str.startswith("train/")]
    assert set(training["split"]) == {"train", "validation"}
    assert not test_subjects & set(training["subject"])
    assert "harmbench score harmonised" in (folder / "README.md").read_text()


def test_scans_of_all_sites_are_written_without_the_unseen_one(export, tmp_path) -> None:
    cohort = export.cohort
    data = replace(
        export.inputs[0].data,
        sites={"target": cohort.scans("target", "train"), "north": cohort.scans("north", "train")},
        unseen=True,
    )
    part = TaskInputs(task="unseen-domain1", fold=0, data=data)
    replace(export, inputs=[part]).write(tmp_path, "", Silent(), force=False)
    assert {path.name for path in (tmp_path / "train").iterdir()} == {"target", "north"}
    readme = (tmp_path / "README.md").read_text()
    assert "For unseen-domain1, do not learn from `train/domain1/`." in readme


def test_a_shifted_scan_is_written_with_its_shift(export, tmp_path) -> None:
    export.write(tmp_path, "", Silent(), force=False)
    scans = export.inputs[1].data.test
    images = scans.load([0]).images[0].numpy()
    first = scans.scans[0]
    path = tmp_path / "test" / "sim-darker" / image_path(first.subject, first.session)
    volume = load_volume(path)
    np.testing.assert_array_equal(volume.data.transpose(2, 0, 1), images)
    assert images.max() == pytest.approx(0.5, abs=0.1)


def test_files_are_replaced_only_on_request_and_have_the_same_bytes(export, tmp_path) -> None:
    export.write(tmp_path, "", Silent(), force=False)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match="has files"):
        export.write(tmp_path, "", Silent(), force=False)
    export.write(tmp_path, "", Silent(), force=True)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_heads_that_do_not_exist_are_refused(export, tmp_path) -> None:
    with pytest.raises(UserError, match="brain-extracted.*leave out --head"):
        replace(export, head=True).write(tmp_path, "", Silent(), force=False)
    with pytest.raises(UserError, match="--head needs --space acquired"):
        replace(export, head=True, space=ExportSpace.GRID).write(
            tmp_path, "", Silent(), force=False
        )
    assert not list(tmp_path.iterdir())
