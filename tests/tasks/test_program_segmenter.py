"""Instruments that are programs; the interface is tested by stand-ins, not by the programs."""

from __future__ import annotations

import importlib

import pytest
import torch

from harmbench import Scans, UserError
from harmbench_tasks import program_segmenter
from harmbench_tasks.tissue_instrument import TISSUES
from helpers.segmentation_programs import install

NAMES = ("SynthSeg", "FastSurfer")


@pytest.fixture
def reloaded(monkeypatch):
    """Return the module as it is imported with the present PATH, and restore it."""
    yield lambda: importlib.reload(program_segmenter)
    monkeypatch.undo()
    importlib.reload(program_segmenter)


@pytest.mark.parametrize("name", NAMES)
def test_tissues_are_found(name, tmp_path, monkeypatch, reloaded, small_cohort):
    install(tmp_path / "bin", monkeypatch)
    cls = getattr(reloaded(), name)
    assert cls.version != cls.program.file.version
    scans = small_cohort.scans(small_cohort.target, "test", labelled=True).load([0])
    segmented, tissues = cls(small_cohort.grid).segmented(scans)
    predicted = segmented.predicted
    assert tissues.shape == (1, len(TISSUES), *small_cohort.grid.shape)
    assert predicted.dtype == torch.uint8
    assert not predicted[~scans.masks].any()
    inside = scans.labels > 0
    agreement = (predicted == scans.labels)[inside].float().mean()
    assert agreement > 0.7


def test_no_scans_have_no_tissues(small_cohort):
    scans = small_cohort.scans(small_cohort.target, "test").load([])
    segmented, tissues = program_segmenter.SynthSeg(small_cohort.grid).segmented(scans)
    assert isinstance(segmented, Scans)
    assert len(tissues) == 0


def test_a_failing_program_is_named(tmp_path, monkeypatch, small_cohort):
    install(tmp_path / "bin", monkeypatch, failing=True)
    scans = small_cohort.scans(small_cohort.target, "test").load([0])
    segmenter = program_segmenter.SynthSeg(small_cohort.grid)
    with pytest.raises(UserError, match=r"^synthseg: .*no licence"):
        segmenter.segmented(scans)


@pytest.mark.parametrize("name", NAMES)
def test_no_label_of_the_colour_table_is_in_two_tissues(name):
    labels = sum(getattr(program_segmenter, name).program.file.tissues.values(), ())
    assert len(set(labels)) == len(labels)
