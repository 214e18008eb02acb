"""A scan set holds its own scans and no others: no labels once removed, no public formula."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harmbench.data.scan_set import ScanSet
from harmbench.errors import BlindnessError


@dataclasses.dataclass(frozen=True)
class Darker:
    """Divides each scan by its own divisor."""

    divisors: tuple[float, ...]
    digest: str = "darker"

    def __call__(self, images, masks, scan, index):
        return images / torch.tensor(self.divisors)[scan].view(-1, 1, 1)


def reachable_paths(value: Any) -> set[Path]:
    """Return the paths in an object, private fields included."""
    if isinstance(value, Path):
        return {value}
    if isinstance(value, tuple | list):
        return set().union(*(reachable_paths(each) for each in value)) if value else set()
    if dataclasses.is_dataclass(value):
        return reachable_paths([getattr(value, f.name) for f in dataclasses.fields(value)])
    return set()


def test_the_files_of_a_scan_set_hold_its_scans_alone(small_cohort):
    scans = small_cohort.scans("target", "train").without_labels()
    files = reachable_paths(scans)
    assert len(files) == 2 * len(scans)
    assert not files & reachable_paths(small_cohort.scans("target", "test"))
    assert {path.parent.name for path in files} == {"images", "masks"}


def test_no_public_attribute_leads_to_files_or_to_the_transform(small_cohort):
    scans = small_cohort.scans("target", "train").with_transform(Darker((2.0,) * 4))
    public = {name: getattr(scans, name) for name in dir(scans) if not name.startswith("_")}
    assert not reachable_paths(list(public.values()))
    assert not any(isinstance(value, Darker) for value in public.values())
    assert str(small_cohort.directory) not in repr(scans)
    assert "Darker" not in repr(scans)


def test_removed_labels_are_not_loaded_again(small_cohort):
    bare = small_cohort.scans("target", "train").without_labels()
    with pytest.raises(TypeError, match="labelled"):
        dataclasses.replace(bare, labelled=True)
    assert bare.load([0]).labels is None
    assert not bare.labelled
    assert not any(scan.labels for scan in bare.scans)


def test_a_transform_cannot_be_replaced(small_cohort):
    scans = small_cohort.scans("target", "train").with_transform(Darker((2.0,) * 4))
    with pytest.raises(ValueError, match="the scans of 'target' have a transform"):
        scans.with_transform(Darker((1.0,) * 4))


def test_a_subset_keeps_the_transform_of_each_scan(small_cohort):
    plain = small_cohort.scans("target", "train")
    scans = plain.with_transform(Darker((1.0, 2.0, 4.0, 8.0)))
    some = scans.subset([3, 1])
    assert torch.equal(some.load([0, 1]).images, scans.load([3, 1]).images)
    assert torch.equal(some.load([0]).images, plain.load([3]).images / 8)
    S = plain.grid.shape[0]
    indices = torch.tensor([2, S + 1])
    assert torch.equal(some.slices(indices), scans.slices(indices + torch.tensor([3 * S, 0])))
    assert some.subset([1]).digest == scans.subset([1]).digest
    assert scans.subset([0, 1]).digest != scans.subset([1, 0]).digest


@pytest.mark.parametrize("name", ["images", "masks", "labels"])
def test_slices_are_those_of_the_scans(small_cohort, name):
    scans = small_cohort.scans("target", "train")
    whole = getattr(scans.load(range(len(scans))), name).flatten(0, 1)
    indices = torch.tensor([scans.n_slices - 1, 0, 7, 7])
    assert torch.equal(torch.from_numpy(scans._read_slices(name, indices)), whole[indices])


def test_a_scan_set_survives_pickling(small_cohort):
    scans = small_cohort.scans("target", "train").with_transform(Darker((2.0,) * 4))
    copy: ScanSet = pickle.loads(pickle.dumps(scans))
    assert copy == scans
    assert torch.equal(copy.load([1]).images, scans.load([1]).images)


@pytest.mark.parametrize(
    "indices",
    [
        [2, 7],
        (2, 7),
        range(2, 8, 5),
        np.array([2, 7]),
        np.array([2, 7], np.uint8),
        torch.tensor([2, 7], dtype=torch.int32),
    ],
    ids=["list", "tuple", "range", "array", "bytes", "int32"],
)
def test_slices_are_chosen_by_any_whole_numbers(small_cohort, indices):
    scans = small_cohort.scans("target", "train")
    expected = scans.load([0, 1]).images.flatten(0, 1)[[2, 7]]
    assert torch.equal(scans.slices(indices), expected)
    assert scans.label_slices(indices).shape == expected.shape
    assert len(scans.slices([])) == 0


@pytest.mark.parametrize(
    ("indices", "error", "message"),
    [
        ([0.5], TypeError, "not by torch.float32 of shape"),
        ([[0]], TypeError, r"not by torch.int64 of shape \(1, 1\)"),
        (["a"], TypeError, "not by list"),
        ([True], TypeError, "not by torch.bool"),
        ([-1], IndexError, "no slice -1: slices are 0 to 23"),
        ([24], IndexError, "no slice 24: slices are 0 to 23"),
    ],
)
def test_other_indices_are_an_error_in_one_line(small_cohort, indices, error, message):
    with pytest.raises(error, match=message):
        small_cohort.scans("target", "train").slices(indices)


def test_covariates_are_those_that_are_asked_for(small_cohort):
    scans = small_cohort.scans("target", "train")
    assert scans.covariates is None
    chosen = scans.with_covariates(["sex", "age"])
    assert list(chosen.covariates.columns) == ["sex", "age"]
    assert chosen.digest != scans.digest == scans.with_covariates([]).digest
    part = chosen.subset([2, 0])
    assert part.covariates["age"].tolist() == chosen.covariates["age"].iloc[[2, 0]].tolist()
    with pytest.raises(BlindnessError, match="without the covariate 'head_size'"):
        chosen.with_covariates(["head_size"])
    with pytest.raises(BlindnessError, match="without the covariate 'age'"):
        scans.with_covariates([]).with_covariates(["age"])
