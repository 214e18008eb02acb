"""The tasks whose instruments are programs, which are skipped without them."""

from __future__ import annotations

import dataclasses

import pytest

from harmbench import SkipCell
from harmbench_tasks.tissue_features import TISSUE_SEGMENTER
from harmbench_tasks.volumes_by_program import VolumesByFastSurfer, VolumesBySynthSeg
from helpers import faulty_methods
from helpers.segmentation_programs import install


def test_without_the_program_the_task_is_skipped(small_cohort, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    for task, program in (
        (VolumesBySynthSeg("domain1"), "mri_synthseg"),
        (VolumesByFastSurfer("domain1"), "run_fastsurfer.sh"),
    ):
        with pytest.raises(SkipCell, match=program):
            task.setup(small_cohort, 0)


def test_names_contain_program_and_source():
    assert VolumesBySynthSeg("domain1").name == "volumes-synthseg-domain1"
    assert VolumesByFastSurfer("ixihh").name == "volumes-fastsurfer-ixihh"


def test_scores_are_those_of_the_program(small_cohort, context, outcome, tmp_path, monkeypatch):
    install(tmp_path / "bin", monkeypatch)
    task = VolumesBySynthSeg("domain1")

    def with_program(data):
        made = context(data)
        instrument = task.instruments[TISSUE_SEGMENTER](data.test.grid)
        return type(made)(
            **{**vars(made), "instruments": {**made.instruments, TISSUE_SEGMENTER: instrument}}
        )

    data = task.setup(small_cohort, 0)
    whole = data.test.load([0])
    one_slice = dataclasses.replace(
        whole, images=whole.images[:, 3:4], masks=whole.masks[:, 3:4], labels=None
    )
    assert task.scorer(with_program(data)).annotated(one_slice) is one_slice
    good = outcome(task, faulty_methods.good, with_program)
    assert good["volume_error"] < 10
    assert good["tissue_dice"] > 0.7
