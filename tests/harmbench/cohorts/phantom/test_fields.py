from dataclasses import replace

import pytest
import torch

from harmbench.cohorts.phantom.fields import session_fields
from harmbench.cohorts.phantom.lattice import Lattice
from harmbench.cohorts.phantom.pose import Pose
from harmbench.cohorts.phantom.scanner import SCANNERS
from harmbench.cohorts.phantom.session import draw_session

STRAIGHT = Pose((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))


@pytest.fixture(scope="module")
def lattice(head) -> Lattice:
    return Lattice.of(head)


def at(lattice: Lattice, volume: torch.Tensor, *place: float) -> float:
    index = tuple(
        int((axis - value).abs().argmin()) for axis, value in zip(lattice.axes, place, strict=True)
    )
    return float(volume[index])


def test_three_tesla_brightens_the_centre_and_one_and_a_half_hardly(lattice):
    brightening = {}
    for domain in ("target", "domain2"):
        session = replace(draw_session("P00001", domain), pose=STRAIGHT)
        b1 = session_fields(SCANNERS[domain], session, 1.0, lattice).b1
        brightening[domain] = at(lattice, b1, 8, 0, -17) / at(lattice, b1, 8, 62, -17)
    assert brightening["target"] > 1.1
    assert abs(brightening["domain2"] - 1) < 0.1


def test_fields_do_not_move_with_the_head(lattice):
    """Shifting the head up by 12 mm moves the fields down over the brain by as much."""
    session = replace(draw_session("P00001", "domain3"), pose=STRAIGHT)
    moved = replace(session, pose=Pose((0.0, 0.0, 0.0), (12.0, 0.0, 0.0)))
    still, shifted = (
        session_fields(SCANNERS["domain3"], each, 1.0, lattice) for each in (session, moved)
    )
    steps = round(12 / lattice.spacing[0])
    for before, after in zip(still, shifted, strict=True):
        # Up to the linear interpolation of the coarse fields.
        error = (after[:-steps] - before[steps:]).abs().mean()
        assert error < 0.1 * (after - before).abs().mean()


def test_two_sessions_share_more_than_two_scanners_do(lattice):
    def pattern(subject: str, domain: str) -> torch.Tensor:
        session = replace(draw_session(subject, domain), pose=STRAIGHT)
        logarithm = session_fields(SCANNERS[domain], session, 0.92, lattice).receive.log()
        return logarithm - logarithm.mean()

    first, second = (pattern(name, "domain3") for name in ("P00001", "P00002"))
    other = pattern("P00001", "domain2")
    assert 0 < (first - second).std() < (first - other).std()


def test_a_stronger_correction_leaves_less_of_the_coil(lattice):
    scanner = SCANNERS["domain3"]
    session = draw_session("P00001", "domain3")
    spreads = []
    for corrected in (0.0, 1.0):
        changed = replace(scanner, coil=replace(scanner.coil, corrected=corrected))
        fields = session_fields(changed, session, 0.92, lattice)
        spreads.append((float(fields.receive.log().std()), float(fields.noise.log().std())))
    (raw, even_noise), (even, raw_noise) = spreads
    assert even < 0.5 * raw
    assert even_noise < raw_noise
