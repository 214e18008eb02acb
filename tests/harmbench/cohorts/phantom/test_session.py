import json

import numpy as np
import pytest

from harmbench.cohorts.phantom.scanner import SCANNERS
from harmbench.cohorts.phantom.session import SECOND, draw_session

NAMES = [f"Q{i}" for i in range(60)]  # of no cohort


def test_a_session_is_drawn_from_its_names_alone():
    first, again = (draw_session("P00001", "target") for _ in range(2))
    assert first.details == again.details
    assert first.noise_seed == again.noise_seed
    others = [
        draw_session("P00001", "target", SECOND),
        draw_session("P00001", "domain4"),
        draw_session("P00002", "target"),
    ]
    seeds = {first.noise_seed, *(other.noise_seed for other in others)}
    poses = {first.pose, *(other.pose for other in others)}
    assert len(seeds) == len(poses) == 4


def test_a_scanner_keeps_its_irregularities_from_session_to_session():
    first, second = (draw_session(name, "target") for name in ("P00001", "P00002"))
    other = draw_session("P00001", "domain4")
    assert np.array_equal(first.fields[0].coefficients, second.fields[0].coefficients)
    assert not np.array_equal(first.fields[1].coefficients, second.fields[1].coefficients)
    assert not np.array_equal(first.fields[0].coefficients, other.fields[0].coefficients)
    assert np.array_equal(first.mask.fields[0].coefficients, second.mask.fields[0].coefficients)


@pytest.mark.parametrize("domain", SCANNERS)
def test_draws_scatter_about_the_scanners_typical_values(domain):
    sessions = [draw_session(name, domain) for name in NAMES]
    scanner = SCANNERS[domain]
    assert np.mean([each.noise for each in sessions]) == pytest.approx(scanner.noise, rel=0.05)
    assert np.mean([each.mask.offset for each in sessions]) == pytest.approx(
        scanner.extraction.offset, abs=0.3
    )
    motion = [each.motion for each in sessions]
    assert min(motion) >= 0
    assert max(motion) > 3 * np.median(motion)
    assert {len(each.gains) for each in sessions} == {scanner.coil.loops}


def test_details_are_json():
    details = draw_session("P00001", "domain3").details
    assert json.loads(json.dumps(details)) == details
