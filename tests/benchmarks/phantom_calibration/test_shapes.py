import numpy as np
import pytest
from phantom_calibration import shapes

SPACING = (1.0, 1.0, 1.0)
RADIUS = np.sqrt(sum(axis**2 for axis in np.meshgrid(*[np.arange(100) - 49.5] * 3, indexing="ij")))


def ball(radius):
    return radius > RADIUS


def test_dice_of_nested_balls():
    assert shapes.dice(ball(40), ball(36)) == pytest.approx(2 * 0.9**3 / (1 + 0.9**3), abs=0.003)


def test_surface_distance_of_nested_balls():
    assert shapes.surface_distance(ball(40), ball(36), SPACING) == pytest.approx(4, abs=0.3)


def test_margin_is_the_thickness_of_the_shell_and_even():
    gap, unevenness = shapes.margin(ball(42), ball(38), SPACING)
    assert gap == pytest.approx(4, abs=0.6)
    assert unevenness < 0.4


def test_an_uneven_mask_has_an_uneven_margin():
    mask = ball(42)
    mask[:50] = ball(46)[:50]
    assert shapes.margin(mask, ball(38), SPACING)[1] > 1.5


def test_closed_brain_fills_sulci_and_ventricles():
    sulcus = np.zeros_like(ball(1))
    sulcus[48:52, 60:, :] = True
    parenchyma = ball(42) & ~ball(10) & ~sulcus
    assert shapes.dice(shapes.closed_brain(parenchyma, SPACING), ball(42)) > 0.98


def test_ventricle_share_counts_deep_csf_only():
    csf = ball(10) | (ball(42) & ~ball(39))
    share = shapes.ventricle_share(csf, ball(42), SPACING)
    assert share == pytest.approx((10 / 42) ** 3, rel=0.03)


def test_overlap_leaves_out_pairs_of_one_subject():
    first, second = np.zeros((2, 10), dtype=bool)
    first[:6], second[3:9] = True, True
    masks = np.stack([first, first, second])
    assert shapes.overlap_between(masks, ["a", "a", "b"]) == pytest.approx(0.5)


def test_density_scatter_is_the_deviation_between_scans():
    maps = np.random.default_rng(0).normal(0.5, 0.1, (30, 2000)).astype(np.float32)
    assert shapes.density_scatter(maps) == pytest.approx(0.1, rel=0.03)
