"""Applying a method: what it receives, and in which masks its answer is scored."""

from __future__ import annotations

import json

import pytest
import torch

from harmbench.data.scans import GRIDS, Scans
from harmbench.execution.compute.apply import beside_slices, harmonized_by, received_by
from harmbench.plugins import Registry
from harmbench.testing.method_candidate import MethodCandidate
from harmbench_methods.identity import Identity
from harmbench_methods.rescan import Rescan
from helpers import PLUGINS


def scans(mask):
    images = torch.where(mask, 0.5, 0.0)
    positions = torch.arange(mask.shape[1], dtype=torch.float32)
    return Scans(images=images, masks=mask, subjects=("p",), sessions=("1",), positions=positions)


def masks():
    own = torch.zeros(1, 2, 4, 4, dtype=torch.bool)
    own[..., :3] = True
    return own, own.roll(1, dims=-1)


def test_a_rescan_is_not_scored_outside_its_own_mask():
    source, repeat = map(scans, masks())
    harmonized = harmonized_by(Rescan(GRIDS["quick"]), source, repeat, 0, torch.device("cpu"))
    assert torch.equal(harmonized.images, repeat.images)
    assert torch.equal(harmonized.masks, source.masks & repeat.masks)
    assert (harmonized.images[harmonized.masks] == 0.5).all()


def test_a_method_is_scored_in_the_masks_of_the_source():
    source, _ = map(scans, masks())
    harmonized = harmonized_by(Identity(GRIDS["quick"]), source, None, 0, torch.device("cpu"))
    assert torch.equal(harmonized.masks, source.masks)


@pytest.fixture
def received_lines(monkeypatch, tmp_path):
    """Return what the methods of `site_methods` say they received."""
    log = tmp_path / "log"
    monkeypatch.setenv("SITES_LOG", str(log))
    return lambda: [json.loads(line) for line in log.read_text().splitlines()]


def applied(name, cohort, folder):
    """Fit a method on the small cohort, and harmonise the test scans of a source with it."""
    entry = Registry.discover([PLUGINS / "site_methods.py"]).entry("methods", name)
    candidate = MethodCandidate(entry.load(), entry, folder)
    method, data = candidate.fitted, candidate.data
    beside = beside_slices(method, data.test, data.domain)
    source = data.test.load(range(len(data.test)))
    harmonized = harmonized_by(method, source, None, 0, torch.device("cpu"), beside)
    assert torch.equal(harmonized.masks, source.masks)
    return data


def test_only_a_method_on_all_sites_knows_the_domain(received_lines, small_cohort, tmp_path):
    applied("site-means", small_cohort, tmp_path / "means")
    fitted, received = received_lines()
    assert {*fitted["fit"]} == {"target", "domain1", "north"}
    assert received == {
        "domain": "domain1",
        "known": ["target", "domain1", "north"],
        "covariates": False,
    }
    source = scans(masks()[0])
    assert (
        received_by(Identity(GRIDS["quick"]), source, None, 0, torch.device("cpu")).domain is None
    )


def test_declared_covariates_come_with_the_scans(received_lines, small_cohort, tmp_path):
    data = applied("age-means", small_cohort, tmp_path / "aged")
    (received,) = [line for line in received_lines() if "ages" in line]
    known = data.test.with_covariates(["age", "sex"]).covariates
    assert received["ages"] == known["age"].tolist()
    assert received["sexes"] == known["sex"].tolist()


def test_volumes_come_with_domain_and_covariates(received_lines, small_cohort, tmp_path):
    data = applied("site-volumes", small_cohort, tmp_path / "volumes")
    lines = received_lines()
    assert {line["site"] for line in lines if "site" in line} == {"target", "domain1", "north"}
    ages = data.test.with_covariates(["age"]).covariates["age"].tolist()
    assert [line for line in lines if "domain" in line] == [
        {"domain": "domain1", "age": age} for age in ages
    ]
