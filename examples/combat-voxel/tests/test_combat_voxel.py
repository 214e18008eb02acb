"""ComBat on several sites against neuroCombat's own result, and its properties."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from combat_voxel.covariates import columns_of, design
from combat_voxel.method import ComBatConfig, ComBatVoxel, ComBatVoxelAge
from neuroCombat import neuroCombat

from harmbench import FitData, FitProgress, Grid, ScanSet, UserError, write_row
from harmbench.data.cohort_writer import CohortWriter
from harmbench.data.covariate_values import typed_columns
from harmbench.data.scan_set import ScanKey
from harmbench.testing import parametrize_with_checks

GRID = Grid("tiny", (3, 8, 8), (1.0, 1.0, 1.0))
VOXELS = np.random.default_rng(0)
ALPHA = VOXELS.uniform(0.4, 0.6, GRID.shape)
SIGMA = VOXELS.uniform(0.01, 0.02, GRID.shape)
BETA = VOXELS.uniform(-0.002, 0.0, GRID.shape)  # of a year
# Location, in units of sigma, and scale of each site.
SITES = {"goal": (0.0, 1.0), "one": (3.0, 1.5), "two": (-4.0, 0.7)}


def write(folder, domain, images, ages, masks=None):
    """Write scans `(N, S, H, W)` to disk, in the format of cohorts."""
    masks = np.ones(images.shape, bool) if masks is None else masks
    scans_folder = CohortWriter(folder, GRID).begin_domain(domain, len(images), labelled=False)
    for row in range(len(images)):
        write_row(scans_folder, "images", row, images[row])
        write_row(scans_folder, "masks", row, masks[row])
    keys = tuple(ScanKey(f"{domain}{i}", "1", f"{domain} {i}") for i in range(len(images)))
    return ScanSet.stored(
        scans_folder,
        domain=domain,
        grid=GRID,
        scans=keys,
        covariates=typed_columns(pd.DataFrame({"age": ages})),
    )


def subjects(random, site, ages):
    """Return scans of a site, and the same subjects' scans at the target."""
    gamma, delta = SITES[site]
    noise = random.standard_normal((len(ages), *GRID.shape))
    base = ALPHA + BETA * (np.asarray(ages)[:, None, None, None] - 50)
    return base + SIGMA * (gamma + delta * noise), base + SIGMA * noise


@pytest.fixture
def study(tmp_path):
    """Return a function that writes a study of N subjects a site, confounded by age or not."""

    def written(count, *, confounded=False):
        random = np.random.default_rng(1)
        sites = {}
        for site in SITES:
            low, high = (20, 80) if not confounded else ((55, 80) if site == "goal" else (20, 60))
            ages = random.uniform(low, high, count)
            images, _ = subjects(random, site, ages)
            sites[site] = write(tmp_path / site, site, images, ages)
        return sites

    return written


def fitted(method, sites):
    target = sites["goal"]
    data = FitData(
        target=target, validation=target.subset([]), seed=0, target_site="goal", _sites=sites
    )
    method.fit(data.restricted(method.needs, method.covariates), FitProgress())
    return method.eval()


def harmonized(method, scan_set, images=None):
    scans = scan_set.with_covariates(method.covariates).load(range(len(scan_set)))
    table = scan_set.with_covariates(method.covariates).covariates
    if images is not None:
        scans = scans.with_images(torch.from_numpy(images).float())
    received = scans.__class__(
        images=scans.images,
        masks=scans.masks,
        subjects=scans.subjects,
        sessions=scans.sessions,
        positions=scans.positions,
        domain=scan_set.domain,
        covariates=table,
    )
    return method(received)


@pytest.mark.parametrize("method", [ComBatVoxel, ComBatVoxelAge])
def test_it_agrees_with_the_result_of_neurocombat(study, method):
    sites = study(6)
    model = fitted(method(GRID), sites)
    values = np.concatenate(
        [
            scans.load(range(len(scans))).images.numpy().reshape(len(scans), -1)
            for scans in sites.values()
        ]
    ).T.astype(float)
    ages = pd.concat([scans.with_covariates(["age"]).covariates for scans in sites.values()])
    table = pd.DataFrame({"site": np.repeat([*sites], 6), "age": ages["age"].to_numpy()})
    found = neuroCombat(
        dat=values.copy(),
        covars=table,
        batch_col="site",
        continuous_cols=list(method.covariates),
    )
    estimates, n = found["estimates"], len(values)
    base = estimates["stand.mean"] + np.broadcast_to(estimates["mod.mean"], values.shape)
    sigma = np.sqrt(estimates["var.pooled"])
    goal = list(np.unique(table["site"])).index("goal")
    # Its result has no location and scale of a site; give it those of the target.
    gamma, delta = (estimates[name][goal].reshape(n, 1) for name in ("gamma.star", "delta.star"))
    expected = base + sigma * (gamma + np.sqrt(delta) * (found["data"] - base) / sigma)
    for number, scans in enumerate(sites.values()):
        result = harmonized(model, scans).images.numpy().reshape(6, -1)
        assert np.abs(result - expected[:, 6 * number : 6 * number + 6].T).max() < 1e-4


def test_scans_of_the_target_do_not_change(study):
    sites = study(6)
    result = harmonized(fitted(ComBatVoxel(GRID), sites), sites["goal"])
    assert (result.images - sites["goal"].load(range(6)).images).abs().max() < 1e-5


def test_site_effects_are_removed_with_many_subjects(study, tmp_path):
    sites = study(60)
    method = fitted(ComBatVoxel(GRID), sites)
    random = np.random.default_rng(2)
    for site in ("one", "two"):
        images, truth = subjects(random, site, [50.0] * 5)
        new = write(tmp_path / f"new {site}", site, images, [50.0] * 5)
        result = harmonized(method, new).images.numpy()
        assert np.abs(result - truth).mean() < 0.25 * np.abs(images - truth).mean()


def test_the_effect_of_age_survives_in_a_confounded_study_only_if_it_is_known(study, tmp_path):
    sites = study(40, confounded=True)
    random, ages = np.random.default_rng(3), [25.0, 35.0, 45.0, 55.0]
    images, truth = subjects(random, "one", ages)
    new = write(tmp_path / "new", "one", images, ages)
    errors = {
        method.name: np.abs(harmonized(fitted(method(GRID), sites), new).images.numpy() - truth)
        for method in (ComBatVoxel, ComBatVoxelAge)
    }
    assert errors["combat-voxel-age"].mean() < 0.5 * errors["combat-voxel"].mean()


def test_an_unknown_site_is_transformed_by_the_mean_of_the_others_with_a_warning(study):
    sites = study(6)
    method = fitted(ComBatVoxel(GRID), {name: sites[name] for name in ("goal", "one")})
    known = harmonized(method, sites["one"])
    unknown = harmonized(method, sites["two"], known.images.numpy())
    assert set(known.flags) == {""}
    assert set(unknown.flags) == {"the fit has no scans of 'two': mean of all sites"}
    same = harmonized(method, sites["one"], known.images.numpy())
    assert torch.equal(unknown.images, same.images)


def test_voxels_that_are_not_brain_everywhere_get_the_mean_line(study, tmp_path):
    sites = study(6)
    images, _ = subjects(np.random.default_rng(4), "two", [50.0] * 6)
    masks = np.ones(images.shape, bool)
    masks[0, :, 0] = False
    sites["two"] = write(tmp_path / "masked", "two", images, [50.0] * 6, masks)
    method = fitted(ComBatVoxelAge(GRID), sites)
    assert (method.effects[0, :, 0] == 0).all()
    assert torch.allclose(
        method.slope[:, :, 0].mean(dim=(1, 2)), method.slope[:, :, 1:].mean(dim=(1, 2, 3))
    )
    assert method.slope[:, :, 1:].std() > 0


def test_too_few_scans_raise_an_error(study):
    sites = study(2)
    few = {"goal": sites["goal"], "one": sites["one"].subset([0])}
    with pytest.raises(UserError, match=r"needs 2 training scans .* has 2 of 'goal', 1 of 'one'"):
        fitted(ComBatVoxel(GRID), few)


def test_settings_out_of_range_are_refused():
    with pytest.raises(UserError):
        ComBatConfig(least_scans=1)


def test_the_design_has_no_column_for_the_first_and_for_unknown_categories():
    train = typed_columns(pd.DataFrame({"sex": ["M", "F", "X"], "age": [1, 2, 3]}))
    columns = columns_of(train.iloc[:2])
    assert columns == {"sex": ["M"], "age": []}
    assert design(train, columns, 3).tolist() == [[1, 1], [0, 2], [0, 3]]
    assert design(None, {}, 3).shape == (3, 0)


@parametrize_with_checks("combat-voxel", "combat-voxel-age")
def test_the_contract(check):
    check()
