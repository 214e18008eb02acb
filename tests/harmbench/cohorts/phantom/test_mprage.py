import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harmbench.cohorts.phantom.mprage import Mprage
from harmbench.cohorts.phantom.relaxation import TISSUES, Relaxation
from harmbench.cohorts.phantom.scanner import SCANNERS

sequences = st.builds(
    Mprage,
    delay=st.floats(0.0, 1.0),
    echo_spacing=st.floats(0.002, 0.02),
    readouts=st.integers(1, 40),
    recovery=st.floats(0.05, 1.5),
    flip=st.floats(1.0, 60.0),
    echo_time=st.just(0.003),
    efficiency=st.floats(0.5, 1.0),
)


def stepped(sequence: Mprage, t1: float, b1: float, repetitions: int) -> float:
    """Follow one spin ensemble pulse by pulse, from equilibrium into the steady state."""

    def recover(magnetization: float, time: float) -> float:
        return 1 + (magnetization - 1) * math.exp(-time / t1)

    flip = math.radians(sequence.flip) * b1
    magnetization, result = 1.0, math.nan
    for _ in range(repetitions):
        magnetization = recover(-sequence.efficiency * magnetization, sequence.delay)
        for readout in range(sequence.readouts):
            if readout == sequence.readouts // 2:
                result = magnetization * math.sin(flip)
            magnetization = recover(magnetization * math.cos(flip), sequence.echo_spacing)
        magnetization = recover(magnetization, sequence.recovery)
    return result


def solve(sequence: Mprage, t1: float, b1: float = 1.0) -> float:
    tensors = (torch.tensor(value, dtype=torch.float64) for value in (t1, b1))
    return float(sequence.signal(*tensors))


@settings(deadline=None, max_examples=60)
@given(sequences, st.floats(0.2, 2.0), st.floats(0.3, 1.5))
def test_steady_state_is_where_stepping_ends(sequence, t1, b1):
    assert solve(sequence, t1, b1) == pytest.approx(stepped(sequence, t1, b1, 400), abs=1e-9)


@pytest.mark.parametrize("domain", SCANNERS)
@pytest.mark.parametrize("tissue", ["csf", "gm", "wm"])
def test_every_protocol_agrees_with_stepping_in_single_precision(domain, tissue):
    scanner = SCANNERS[domain]
    t1 = TISSUES[scanner.tesla][tissue].t1
    result = float(scanner.sequence.signal(torch.tensor(t1), torch.tensor(0.9)))
    assert result == pytest.approx(stepped(scanner.sequence, t1, 0.9, 60), rel=2e-4)


def test_without_inversion_and_delays_it_is_the_ernst_signal():
    spacing, t1, flip = 0.01, 0.8, 17.0
    sequence = Mprage(
        delay=0, echo_spacing=spacing, readouts=8, recovery=0, flip=flip, echo_time=0, efficiency=-1
    )
    e, angle = math.exp(-spacing / t1), math.radians(flip)
    ernst = math.sin(angle) * (1 - e) / (1 - e * math.cos(angle))
    assert solve(sequence, t1) == pytest.approx(ernst, rel=1e-10)


def test_one_right_angle_readout_is_saturation_recovery_then_inversion_recovery():
    sequence = Mprage(
        delay=0.5, echo_spacing=0.01, readouts=1, recovery=0.99, flip=90, echo_time=0, efficiency=1
    )
    recovered = 1 - math.exp(-1.0)  # the excitation leaves nothing, then 1 s at a T1 of 1 s
    expected = 1 - (1 + recovered) * math.exp(-0.5)
    assert solve(sequence, 1.0) == pytest.approx(expected, rel=1e-12)


def test_small_flips_read_plain_inversion_recovery():
    """Excitations too weak to disturb: M(TI) = 1 - 2 exp(-TI/T1) / (1 + exp(-TR/T1))."""
    sequence = Mprage.from_inversion_time(
        repetition=2.0, inversion=0.6, echo_spacing=0.01, readouts=40, flip=1e-4, echo_time=0
    )
    sequence = replace(sequence, efficiency=1.0)
    expected = 1 - 2 * math.exp(-0.6 / 0.9) / (1 + math.exp(-2.0 / 0.9))
    assert solve(sequence, 0.9) / math.radians(1e-4) == pytest.approx(expected, rel=1e-6)


@settings(deadline=None)
@given(sequences, st.floats(0.1, 5.0), st.floats(0.0, 1.5))
def test_signal_never_exceeds_the_equilibrium(sequence, t1, b1):
    bound = abs(math.sin(math.radians(sequence.flip) * b1))
    assert abs(solve(sequence, t1, b1)) <= bound + 1e-12


def test_the_sequence_has_its_inversion_and_repetition_times():
    sequence = SCANNERS["target"].sequence
    train = sequence.readouts * sequence.echo_spacing
    assert sequence.delay + sequence.centre * sequence.echo_spacing == pytest.approx(1.0)
    assert sequence.delay + train + sequence.recovery == pytest.approx(2.4)


def test_a_train_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="cannot be timed"):
        Mprage.from_inversion_time(
            repetition=2.4, inversion=0.5, echo_spacing=0.01, readouts=176, flip=8, echo_time=0
        )


def test_transverse_is_water_times_decay():
    sequence = replace(SCANNERS["target"].sequence, echo_time=0.05)
    assert sequence.transverse(Relaxation(1, 0.09, 0.05, 0.8)) == pytest.approx(0.8 / math.e)


@pytest.mark.parametrize("domain", SCANNERS)
def test_images_are_t1_weighted(domain):
    scanner = SCANNERS[domain]
    csf, grey, white, lesion = (
        solve(scanner.sequence, tissue.t1) * scanner.sequence.transverse(tissue)
        for tissue in (TISSUES[scanner.tesla][name] for name in ("csf", "gm", "wm", "lesion"))
    )
    assert 0 < csf < 0.4 * white
    assert 0.4 * white < grey < 0.75 * white
    assert grey < lesion < 0.9 * white
