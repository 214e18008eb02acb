"""What is believed of a field: little where there is none, most of a large one."""

from __future__ import annotations

import pytest
import torch

from harmbench_methods.blindcurve.cosines import Cosines
from harmbench_methods.blindcurve.natural import DEVIATIONS, NaturalVariation, normal_of

DEGREES = Cosines(3).degrees
P = len(DEGREES)
SPREAD = 0.02  # of a cosine of degree 1
ALTERNATING = torch.tensor([1.0, -1.0]).repeat(P)[:P]


def variation_of(mean, covariance):
    variation = NaturalVariation(DEGREES).to(mean.dtype)
    variation.mean.copy_(mean)
    variation.covariance.copy_(covariance)
    return variation


def estimated(coefficients):
    return variation_of(*normal_of(coefficients, DEGREES))


def calibrated(coefficients, subjects):
    variation = NaturalVariation(DEGREES)
    variation.learn(coefficients, subjects)
    return variation


def natural(correlation=0.0):
    """What fields of the target have: less of the higher degrees, and some of it together."""
    deviations = SPREAD / DEGREES
    correlations = torch.full((P, P), correlation).fill_diagonal_(1)
    mean = 0.01 * torch.randn(P, generator=torch.Generator().manual_seed(1))
    return variation_of(mean, deviations[:, None] * correlations * deviations)


def draws(variation, count, seed=0):
    """Coefficients of `count` scans of the target: `(count, P)`."""
    generator = torch.Generator().manual_seed(seed)
    root = torch.linalg.cholesky(variation.covariance)
    return variation.mean + torch.randn(count, P, generator=generator) @ root.T


@pytest.mark.parametrize("count", [1, 2, 5, 40])
def test_covariance_is_positive_definite_for_any_number_of_scans(count):
    result = estimated(draws(natural(), count))
    torch.testing.assert_close(result.covariance, result.covariance.T)
    assert float(torch.linalg.eigvalsh(result.covariance.double()).min()) > 0
    excess = result.excess(draws(natural(), 1, seed=1)[0], 2.0)
    assert excess.isfinite().all()


def test_mean_and_covariance_are_the_samples_shrunk_towards_its_trend():
    sample = draws(natural(0.5), 30)
    result = estimated(sample)
    torch.testing.assert_close(result.mean, sample.mean(dim=0))
    plain = sample.T.cov()
    apart = ~torch.eye(P, dtype=torch.bool)
    torch.testing.assert_close(result.covariance[apart], 0.4 * plain[apart])
    # The variance is handed from term to term; its sum, by degree, is kept.
    squares = DEGREES.square()
    torch.testing.assert_close(
        (result.covariance.diagonal() * squares).sum(), (plain.diagonal() * squares).sum()
    )
    ratio = (result.covariance.diagonal() / plain.diagonal()).log().abs()
    assert float(ratio.max()) > 0.05


@pytest.mark.parametrize("scans", [30, None], ids=["estimated", "known"])
def test_nearly_all_natural_scans_have_no_excess(scans):
    truth = natural()
    variation = truth if scans is None else estimated(draws(truth, scans))
    others = draws(truth, 300, seed=5)
    result = torch.stack([variation.excess(c, evidence=2.0) for c in others])
    assert float((result != 0).any(dim=1).float().mean()) <= 0.15
    # Without asking for evidence it is another matter: the two differ by that alone.
    eager = torch.stack([variation.excess(c, evidence=0.0) for c in others])
    assert float((eager != 0).any(dim=1).float().mean()) > 0.2


def test_most_of_a_large_excess_is_kept():
    truth = natural()
    variation = estimated(draws(truth, 30))
    generator = torch.Generator().manual_seed(7)
    for c in draws(truth, 20, seed=5):
        excess = 10 * SPREAD / DEGREES * torch.randn(P, generator=generator)
        result = variation.excess(c + excess, evidence=2.0)
        assert float(result @ excess / excess.square().sum()) > 0.7
        assert float((result - excess).norm() / excess.norm()) < 0.3


@pytest.mark.parametrize("seed", range(5))
def test_excess_is_the_posterior_mean_under_the_most_likely_deviation(seed):
    variation = estimated(draws(natural(0.4), 25, seed).double())
    generator = torch.Generator().manual_seed(seed)
    c = variation.mean + 3 * SPREAD / DEGREES * torch.randn(P, generator=generator)
    D = DEGREES.double().square().reciprocal().diag()
    covariances = [variation.covariance + float(tau) ** 2 * D for tau in DEVIATIONS.double()]
    nats = torch.stack(
        [
            torch.distributions.MultivariateNormal(variation.mean, covariance).log_prob(c)
            for covariance in covariances
        ]
    )
    best = int(nats.argmax())
    assert 0 < best < len(DEVIATIONS) - 1
    prior = float(DEVIATIONS.double()[best]) ** 2 * D
    expected = prior @ torch.linalg.solve(covariances[best], c - variation.mean)
    gained = float(nats[best] - nats[0])
    result = variation.excess(c, evidence=gained - 1e-3)
    torch.testing.assert_close(result, expected, rtol=1e-6, atol=1e-10)
    assert not variation.excess(c, evidence=gained + 1e-3).any()


def test_excess_is_relative_to_the_mean():
    variation = natural(0.4)
    variation = variation_of(variation.mean.double(), variation.covariance.double())
    c = draws(natural(), 1)[0].double() + 5 * SPREAD / DEGREES * ALTERNATING
    result = variation.excess(c, evidence=2.0)
    moved = variation_of(variation.mean + 0.25, variation.covariance)
    assert result.any()
    torch.testing.assert_close(moved.excess(c + 0.25, evidence=2.0), result)
    assert not variation.excess(variation.mean, evidence=0.0).any()


def test_correlated_coefficients_of_the_target_are_natural_together():
    variation = natural(0.8)
    step = 3 * SPREAD / DEGREES
    assert not variation.excess(variation.mean + step, evidence=2.0).any()
    across = variation.excess(variation.mean + step * ALTERNATING, evidence=2.0)
    assert float((across / (step * ALTERNATING)).min()) > 0.5


def test_few_subjects_widen_the_covariance():
    subjects = [f"P{n}" for n in range(6)]
    plain = widened = 0
    for seed in range(20):
        # Some subjects have much larger fields than others, as real ones do.
        sizes = torch.randn(11, 1, generator=torch.Generator().manual_seed(seed)).exp()
        drawn = sizes * draws(natural(), 11, seed)
        sample, others = drawn[:6], drawn[6:]
        for c in others:
            result = estimated(sample)
            plain += bool(result.excess(c, evidence=2.0).any())
            result = calibrated(sample, subjects)
            widened += bool(result.excess(c, evidence=2.0).any())
    assert plain > 5
    assert widened < 0.8 * plain


def test_many_subjects_keep_the_covariance():
    sample = draws(natural(), 400)
    subjects = [f"P{n // 2}" for n in range(400)]
    result = calibrated(sample, subjects)
    plain = estimated(sample)
    torch.testing.assert_close(result.mean, plain.mean)
    torch.testing.assert_close(result.covariance, plain.covariance, rtol=0.1, atol=0)


def test_one_subject_gives_no_calibration():
    sample = draws(natural(), 3)
    result = calibrated(sample, ["P1", "P1", "P1"])
    assert torch.equal(result.covariance, estimated(sample).covariance)
