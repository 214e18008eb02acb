"""The ridge regression, and how far its guesses are applied."""

from __future__ import annotations

import torch

from harmbench_methods.blindcurve.ridge import Ridge, believed


def predicted(ridge, features):
    return ridge.predict(ridge.standardised(features))


def test_ridge_is_the_mean_of_its_blocks():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 3, generator=generator)
    y = x @ torch.tensor([[1.0], [-0.5], [0.2]]) + 3
    whole = Ridge.of(x, y, 1, 1e-6)
    torch.testing.assert_close(predicted(whole, x), y, atol=1e-3, rtol=0)
    twice = Ridge.of(torch.cat((x, 2 * x), dim=1), y, 2, 1e-6)
    torch.testing.assert_close(predicted(twice, torch.cat((x, 2 * x), dim=1)), y, atol=1e-3, rtol=0)
    torch.testing.assert_close(twice.weights[:3], whole.weights / 2, atol=1e-4, rtol=0)


def test_a_high_penalty_predicts_the_expected_value():
    x = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    y = torch.arange(10.0)[:, None]
    torch.testing.assert_close(predicted(Ridge.of(x, y, 1, 1e9), x), torch.full((10, 1), 4.5))


def test_small_predictions_are_shrunk_more():
    guess = torch.tensor([[0.1, 0.1], [10.0, 10.0]])
    size = guess.square().sum(dim=1)
    applied = believed(guess, size, 0.25, 100.0)
    assert applied[0, 0] < 0.1 * guess[0, 0]
    assert applied[1, 0] > 0.99 * guess[1, 0]
    assert torch.equal(believed(guess, size, 0.0, 100.0), guess)
    assert torch.equal(believed(torch.zeros(2), torch.zeros(()), 0.0, 100.0), torch.zeros(2))


def test_large_predictions_are_reduced_to_the_limit():
    guess = torch.tensor([[3.0, 4.0], [0.3, 0.4]])
    applied = believed(guess, guess.square().sum(dim=1), 0.0, 2.0)
    torch.testing.assert_close(applied, torch.tensor([[1.2, 1.6], [0.3, 0.4]]))
