"""ComBat against the published formulas, and its properties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from combat_voxel.method import ComBatConfig, ComBatVoxel

from harmbench import FitData, FitProgress, Grid, ScanSet, UserError, write_row
from harmbench.data.cohort_writer import CohortWriter
from harmbench.data.scan_set import ScanKey
from harmbench.testing import parametrize_with_checks

GRID = Grid("tiny", (3, 8, 8), (1.0, 1.0, 1.0))


def write(folder, domain, images, masks=None):
    """Write scans `(N, S, H, W)` to disk, in the format of cohorts."""
    masks = np.ones(images.shape, bool) if masks is None else masks
    scans_folder = CohortWriter(folder, GRID).begin_domain(domain, len(images), labelled=False)
    for row in range(len(images)):
        write_row(scans_folder, "images", row, images[row])
        write_row(scans_folder, "masks", row, masks[row])
    keys = tuple(ScanKey(f"{domain}{i}", "1", f"{domain} {i}") for i in range(len(images)))
    return ScanSet.stored(scans_folder, domain=domain, grid=GRID, scans=keys)


def subjects(random, count):
    """Return scans of one scanner; every voxel has its own mean and standard deviation."""
    voxels = np.random.default_rng(0)
    alpha = voxels.uniform(0.4, 0.6, GRID.shape)
    sigma = voxels.uniform(0.02, 0.04, GRID.shape)
    return alpha + sigma * random.standard_normal((count, *GRID.shape))


def fitted(source, target, **settings):
    method = ComBatVoxel(GRID, ComBatConfig(**settings))
    method.fit(
        FitData(target=target, validation=target.subset([]), seed=0, _source=source), FitProgress()
    )
    return method.eval()


def published(source, target):
    """The formulas of Johnson et al. 2007, applied to all scans of each voxel."""
    y, goal = (x.reshape(len(x), -1) for x in (source, target))
    alpha, sigma = goal.mean(axis=0), goal.std(axis=0)
    z = (y - alpha) / sigma
    n, g_hat, d_hat = len(z), z.mean(axis=0), z.var(axis=0, ddof=1)
    g_bar, tau2, m, s2 = g_hat.mean(), g_hat.var(ddof=1), d_hat.mean(), d_hat.var(ddof=1)
    a, b = (2 * s2 + m**2) / s2, (m * s2 + m**3) / s2
    result = np.empty_like(y)
    for v in range(z.shape[1]):
        g, d = g_hat[v], d_hat[v]
        for _ in range(200):
            g = (tau2 * n * g_hat[v] + d * g_bar) / (tau2 * n + d)
            d = (0.5 * ((z[:, v] - g) ** 2).sum() + b) / (n / 2 + a - 1)
        result[:, v] = sigma[v] * (z[:, v] - g) / np.sqrt(d) + alpha[v]
    return result.reshape(source.shape)


def test_results_agree_with_the_published_formulas(tmp_path):
    random = np.random.default_rng(1)
    target, source = subjects(random, 9), 0.08 + 0.9 * subjects(random, 6)
    target_set = write(tmp_path / "t", "goal", target)
    source_set = write(tmp_path / "s", "other", source)
    method = fitted(source_set, target_set, tolerance=1e-9)
    result = method(source_set.load(range(6))).images.numpy()
    assert np.abs(result - published(source, target)).max() < 1e-5


def test_a_simulated_effect_is_removed_with_many_subjects(tmp_path):
    random = np.random.default_rng(2)
    target = write(tmp_path / "t", "goal", subjects(random, 300))
    source = write(tmp_path / "s", "other", 0.1 + 0.7 * subjects(random, 300))
    truth = subjects(random, 5)
    new = write(tmp_path / "n", "other", 0.1 + 0.7 * truth)
    result = fitted(source, target)(new.load(range(5))).images.numpy()
    assert np.abs(0.1 + 0.7 * truth - truth).mean() > 0.04
    assert np.abs(result - truth).mean() < 0.003


def test_slopes_are_shrunk_towards_their_mean_with_few_subjects(tmp_path):
    random = np.random.default_rng(3)
    target = write(tmp_path / "t", "goal", subjects(random, 50))
    source = write(tmp_path / "s", "other", 0.05 + subjects(random, 4))
    raw, shrunk = (fitted(source, target, shrink=shrink).slope for shrink in (False, True))
    assert shrunk.std() < 0.5 * raw.std()
    # Between the voxel's own estimate and the mean over voxels.
    low, high = raw.minimum(shrunk.mean()), raw.maximum(shrunk.mean())
    inside = (shrunk > low - 0.1) & (shrunk < high + 0.1)
    assert inside.float().mean() > 0.95


def test_voxels_with_few_scans_get_the_mean_slope(tmp_path):
    random = np.random.default_rng(4)
    masks = np.ones((8, *GRID.shape), bool)
    masks[:6, :, 0] = False
    target, source = subjects(random, 8) * masks, 0.05 + subjects(random, 8)
    method = fitted(
        write(tmp_path / "s", "other", source), write(tmp_path / "t", "goal", target, masks)
    )
    rest = method.slope[:, 1:]
    assert method.slope[:, 0].allclose(rest.mean())
    assert rest.std() > 0


def test_the_background_does_not_change(tmp_path):
    random = np.random.default_rng(5)
    masks = np.ones((6, *GRID.shape), bool)
    masks[:, :, :, :2] = False
    target, source = subjects(random, 6) * masks, (0.05 + subjects(random, 6)) * masks
    target_set = write(tmp_path / "t", "goal", target, masks)
    source_set = write(tmp_path / "s", "other", source, masks)
    scans = source_set.load([0, 1])
    result = fitted(source_set, target_set)(scans)
    assert torch.equal(result.images[~scans.masks], scans.images[~scans.masks])
    assert not result.images.allclose(scans.images)


def test_too_few_scans_raise_an_error(tmp_path):
    random = np.random.default_rng(6)
    target, source = subjects(random, 8), subjects(random, 2)
    with pytest.raises(UserError, match=r"needs 3 scans of both domains, and has 2 of 'other'"):
        fitted(write(tmp_path / "s", "other", source), write(tmp_path / "t", "goal", target))


def test_settings_out_of_range_are_refused():
    for settings in ({"least_scans": 1}, {"iterations": 0}, {"tolerance": 0.0}):
        with pytest.raises(UserError):
            ComBatConfig(**settings)


@parametrize_with_checks("combat-voxel")
def test_the_contract(check):
    check()
