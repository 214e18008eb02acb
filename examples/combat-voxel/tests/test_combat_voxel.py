"""ComBat against its formulas on whole data, and what must hold of it."""

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
    """Put scans `(N, S, H, W)` onto the disk, as cohorts have them."""
    masks = np.ones(images.shape, bool) if masks is None else masks
    scans_folder = CohortWriter(folder, GRID).begin_domain(domain, len(images), labelled=False)
    for row in range(len(images)):
        write_row(scans_folder, "images", row, images[row])
        write_row(scans_folder, "masks", row, masks[row])
    keys = tuple(ScanKey(f"{domain}{i}", "1", f"{domain} {i}") for i in range(len(images)))
    return ScanSet.stored(scans_folder, domain=domain, grid=GRID, scans=keys)


def subjects(random, count):
    """Scans of one scanner: a mean and a deviation of its own at every voxel."""
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
    """The formulas of Johnson et al. 2007, voxel by voxel, on all data at once."""
    y, goal = (x.reshape(len(x), -1) for x in (source, target))
    alpha, sigma = goal.mean(axis=0), goal.std(axis=0)
    z = (y - alpha) / sigma
    n, g_hat, d_hat = len(z), z.mean(axis=0), z.var(axis=0, ddof=1)
    g_bar, tau2, m, s2 = g_hat.mean(), g_hat.var(ddof=1), d_hat.mean(), d_hat.var(ddof=1)
    a, b = (2 * s2 + m**2) / s2, (m * s2 + m**3) / s2
    made = np.empty_like(y)
    for v in range(z.shape[1]):
        g, d = g_hat[v], d_hat[v]
        for _ in range(200):
            g = (tau2 * n * g_hat[v] + d * g_bar) / (tau2 * n + d)
            d = (0.5 * ((z[:, v] - g) ** 2).sum() + b) / (n / 2 + a - 1)
        made[:, v] = sigma[v] * (z[:, v] - g) / np.sqrt(d) + alpha[v]
    return made.reshape(source.shape)


def test_the_published_formulas(tmp_path):
    random = np.random.default_rng(1)
    target, source = subjects(random, 9), 0.08 + 0.9 * subjects(random, 6)
    here, there = write(tmp_path / "t", "goal", target), write(tmp_path / "s", "other", source)
    method = fitted(there, here, tolerance=1e-9)
    made = method(there.load(range(6))).images.numpy()
    assert np.abs(made - published(source, target)).max() < 1e-5


def test_a_known_effect_is_removed_where_subjects_are_many(tmp_path):
    random = np.random.default_rng(2)
    target = write(tmp_path / "t", "goal", subjects(random, 300))
    source = write(tmp_path / "s", "other", 0.1 + 0.7 * subjects(random, 300))
    truth = subjects(random, 5)
    new = write(tmp_path / "n", "other", 0.1 + 0.7 * truth)
    made = fitted(source, target)(new.load(range(5))).images.numpy()
    assert np.abs(0.1 + 0.7 * truth - truth).mean() > 0.04
    assert np.abs(made - truth).mean() < 0.003


def test_few_subjects_are_shrunk_towards_all_voxels(tmp_path):
    random = np.random.default_rng(3)
    target = write(tmp_path / "t", "goal", subjects(random, 50))
    source = write(tmp_path / "s", "other", 0.05 + subjects(random, 4))
    raw, shrunk = (fitted(source, target, shrink=shrink).slope for shrink in (False, True))
    assert shrunk.std() < 0.5 * raw.std()
    # Between what the voxel says by itself and what all say.
    low, high = raw.minimum(shrunk.mean()), raw.maximum(shrunk.mean())
    inside = (shrunk > low - 0.1) & (shrunk < high + 0.1)
    assert inside.float().mean() > 0.95


def test_voxels_that_few_subjects_have_get_the_mean_line(tmp_path):
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


def test_the_background_stays(tmp_path):
    random = np.random.default_rng(5)
    masks = np.ones((6, *GRID.shape), bool)
    masks[:, :, :, :2] = False
    target, source = subjects(random, 6) * masks, (0.05 + subjects(random, 6)) * masks
    here = write(tmp_path / "t", "goal", target, masks)
    there = write(tmp_path / "s", "other", source, masks)
    scans = there.load([0, 1])
    made = fitted(there, here)(scans)
    assert torch.equal(made.images[~scans.masks], scans.images[~scans.masks])
    assert not made.images.allclose(scans.images)


def test_too_few_scans_are_an_error_in_one_line(tmp_path):
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
