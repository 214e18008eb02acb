import functools

import numpy as np
import pytest
from phantom_calibration.bias_fields import STEP
from phantom_calibration.scan_measures import ScanMeasures
from phantom_calibration.site_measures import summarize
from phantom_calibration.template import GRID
from scipy import ndimage

COARSE = tuple(len(range(0, size, STEP)) for size in GRID.shape)


@functools.cache
def ball():
    """Return a ball of three tissues."""
    axes = [np.arange(size) - size / 2 for size in GRID.shape]
    radius = np.sqrt(sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij")))
    return np.select([radius < 30, radius < 40, radius < 44], [3, 2, 1], 0).astype(np.uint8)


def scan(domain, subject, session, snr, field):
    """Return a scan of the ball, with a given log field."""
    return ScanMeasures(
        domain=domain,
        subject=subject,
        session=session,
        values={"snr": snr},
        tissue=ball(),
        log_field=field.astype(np.float32),
        grey_density=np.zeros(COARSE, dtype=np.float32),
    )


@pytest.fixture(scope="module")
def summary():
    """Return the summary of two sites with own fields, 0.06 in size, and an anatomy field."""
    generator = np.random.default_rng(0)
    fields = [ndimage.gaussian_filter(generator.normal(size=COARSE), 1) for _ in range(3)]
    anatomy, first, second = (field / field.std() for field in fields)
    own = {"a": 0.04 * anatomy + 0.06 * first, "b": 0.04 * anatomy + 0.06 * second}
    scans = []
    for site, field in own.items():
        for number in range(6):
            noise = generator.normal(0, 0.02, COARSE)
            scans.append(scan(site, f"{site}{number}", "1", 20.0 + number, field + noise))
    noise = generator.normal(0, 0.02, COARSE)
    scans.append(scan("a", "a0", "2", 22.0, own["a"] + noise))
    return summarize(scans)


def test_a_subject_with_two_scans_counts_once(summary):
    assert (summary["a"]["scans"], summary["a"]["subjects"]) == (7, 6)
    assert summary["a"]["mean"]["snr"] == pytest.approx(np.mean([21, 21, 22, 23, 24, 25]))
    assert summary["b"]["scatter"]["snr"] == pytest.approx(np.std(range(6), ddof=1))


def test_share_and_scatter_of_fields(summary):
    site = summary["b"]["site"]
    variance = 0.04**2 + 0.06**2
    assert site["field_scatter"] == pytest.approx(0.02, rel=0.05)
    assert site["field_common_share"] == pytest.approx(variance / (variance + 0.02**2), abs=0.05)


def test_the_common_part_of_all_sites_is_removed(summary):
    # Half of the difference of two independent fields of 0.06 is left.
    assert summary["b"]["site"]["field_site_sd"] == pytest.approx(0.06 / 2**0.5, rel=0.2)


def test_scatter_between_sessions_needs_repeated_sessions(summary):
    assert summary["a"]["site"]["repeat_field_scatter"] == pytest.approx(0.02, rel=0.05)
    assert summary["a"]["site"]["repeat_mask_dice"] == 1
    assert "repeats" not in summary["b"]["site"]
