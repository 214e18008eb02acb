"""What a bundle contains, and what it does not."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from harmbench.bundles.archive import read_archive
from harmbench.bundles.publication import Publication, publish
from harmbench.contracts.cell import CellResult, Status
from harmbench.errors import UserError
from harmbench.external.submission import SubmittedImages
from harmbench.external.submission_request import SubmissionRequest
from harmbench.statistics.subjects import decode
from harmbench.store.record import Record
from harmbench.store.stores import CellStore
from helpers.bundles import BASE, record
from helpers.scored_cells import SUBJECTS, cell, scored


def texts(path):
    """Return all of a bundle: its manifest, and names and contents of its files."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        return "\n".join([*names, *(archive.read(n).decode(errors="replace") for n in names)])


def records(path):
    return [Record.from_line(line) for line in read_archive(path).results.splitlines()]


@pytest.fixture
def study(prepared, real):
    """A home with results of real scans, with names in every place that can have them."""
    home = prepared("study")
    flagged = scored(psnr=BASE)
    flagged.facts["flags"] = {"p0/1": "sub-p0 is dark; see /home/alice/scans/p0.nii"}
    flagged.facts["missing"] = {"p2/1": "the tool cannot read /home/alice/scans/sub-p2.nii"}
    number = {"mean": 9.0, "low": 8.0, "high": 10.0, "n": 2}
    repeat = {"psnr": {**number, "subjects": {"p0": 8.5, "p4": 9.5}}}
    flagged.facts["bounds"] = {"repeat": repeat, "agreement": {"psnr": number}}
    images = SubmittedImages(volumes={}, missing=("p3/1",), digests={"p1/1": "x", "p6/1": "y"})
    submission = images.record(SubmissionRequest(folder=Path("images"), name="tool", author="A"))
    failed = CellResult(status=Status.FAILED, reason="/home/alice/sub-p5/T1w.nii is empty")
    record(
        home,
        (real("unet", "domain1"), flagged),
        (real("tool", "domain1", submission=submission), scored(psnr=BASE)),
        (real("broken", "domain1"), failed),
        command="harmbench run --cohort bids:/home/alice/study -m unet",
    )
    return home


def test_no_subject_user_or_path_is_published(study, tmp_path):
    path = tmp_path / "lab.harmbench.zip"
    publish(study, path, Publication())
    text = texts(path)
    assert not re.findall(rf"\b(?:{'|'.join(SUBJECTS)})\b", text)
    for secret in ("sub-p", "alice", "/home", '"user": "r'):
        assert secret not in text
    (submission,) = (each for record in records(path) if (each := record.head["submission"]))
    assert sorted(submission["images"].values()) == ["x", "y"]
    assert len(submission["missing"]) == 1
    assert all(record.user == "" for record in records(path))
    assert "bids:study" in text
    bounds = next(record.head["bounds"] for record in records(path) if record.head["bounds"])
    assert sorted(bounds["repeat"]["psnr"]["subjects"].values()) == [8.5, 9.5]
    assert bounds["agreement"]["psnr"]["n"] == 2


def test_names_are_published_on_request(study, tmp_path):
    path = tmp_path / "lab.harmbench.zip"
    publish(study, path, Publication(names=True))
    assert '\\"p0\\"' in texts(path)
    assert "/home/alice/study" in texts(path)
    assert read_archive(path).manifest.subjects == "names"


def test_values_stay_with_their_subjects(prepared, real, tmp_path):
    home = prepared("home")
    record(home, (real("a", "t"), scored(psnr=BASE)), (real("b", "t"), scored(psnr=BASE[::-1])))
    path = tmp_path / "lab.harmbench.zip"
    publish(home, path, Publication())
    one, other = (
        dict(zip(*decode(record.subjects, record.metrics["psnr"].subjects), strict=True))
        for record in records(path)
    )
    assert {one[name] + other[name] for name in one} == {47.0}


def test_subjects_of_the_phantom_keep_their_names(tmp_path):
    home = tmp_path / "home"
    record(home, (cell("unet", "domain1"), scored(psnr=BASE)))
    path = tmp_path / "lab.harmbench.zip"
    publish(home, path, Publication())
    assert '\\"p0\\"' in texts(path)


def test_without_the_scans_there_are_no_pseudonyms(prepared, real, tmp_path):
    home = prepared("home", scans=False)
    record(home, (real("unet", "domain1"), scored(psnr=BASE)))
    path = tmp_path / "lab.harmbench.zip"
    with pytest.raises(UserError, match="cohort tiny"):
        publish(home, path, Publication())
    assert not path.exists()


def test_filters_select_results(study, tmp_path):
    path = tmp_path / "lab.harmbench.zip"
    publish(study, path, Publication(methods=["un*"], tasks=["domain1"], cohorts=["tiny"]))
    assert [record.head["label"] for record in records(path)] == ["unet"]
    with pytest.raises(UserError, match="unett"):
        publish(study, path, Publication(methods=["unett"]))
    with pytest.raises(UserError, match=r"\.harmbench\.zip"):
        publish(study, tmp_path / "lab.zip", Publication())


def test_of_each_cell_the_newest_result_is_published(prepared, real, tmp_path):
    home = prepared("home")
    failed = CellResult(status=Status.FAILED, reason="no memory")
    record(home, (real("unet", "t"), failed), (real("unet", "t"), scored(psnr=BASE)))
    path = tmp_path / "lab.harmbench.zip"
    assert publish(home, path, Publication()).manifest.results == 1
    assert [record.head["status"] for record in records(path)] == ["done"]


def test_sources_and_pictures_are_in_the_bundle(prepared, real, tmp_path):
    home = prepared("home")
    which = real("unet", "t")
    slices = {"subjects": np.array(["p1", "p0"]), "source": np.zeros((2, 1, 3, 3), np.uint8)}
    result = CellStore(home / "cells").save(
        which, scored(psnr=BASE), None, slices, {"mine.py": b"# a method"}
    )
    (recorded,) = record(home, (which, result))
    path = tmp_path / "lab.harmbench.zip"
    assert publish(home, path, Publication()).pictures_of_persons == 0
    assert publish(home, path, Publication(pictures=True)).pictures_of_persons == 1
    files = read_archive(path).files
    (source,) = (content for name, content in files.items() if name.endswith("_mine.py"))
    assert source == b"# a method"
    with np.load(io.BytesIO(files[f"slices_{recorded.record}.npz"])) as arrays:
        names = arrays["subjects"].tolist()
    assert len({*names}) == 2
    assert not {"p0", "p1"} & {*names}


def test_a_damaged_picture_is_one_line_that_names_its_file(prepared, real, tmp_path):
    home = prepared("home")
    which = real("unet", "t")
    arrays = {"subjects": np.array(["p1"]), "source": np.zeros((1, 1, 3, 3), np.uint8)}
    result = CellStore(home / "cells").save(which, scored(psnr=BASE), None, arrays)
    record(home, (which, result))
    file = result.folder / "slices.npz"
    file.write_bytes(file.read_bytes()[:100])
    path = tmp_path / "lab.harmbench.zip"
    with pytest.raises(UserError, match=r"slices\.npz is no complete .* without --pictures$"):
        publish(home, path, Publication(pictures=True))
    publish(home, path, Publication())
