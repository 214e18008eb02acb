"""Validation during training and the choice of the best state."""

from __future__ import annotations

import math

import torch
from torch import nn

from harmbench import FitProgress, Phase, train


def test_the_state_with_the_best_validation_is_loaded(small_cohort, kills):
    model = nn.Linear(4, 4)
    errors = iter([3.0, math.nan, 1.0, 2.0])
    weights = []

    def validate():
        assert not model.training
        assert not torch.is_grad_enabled()
        weights.append(model.weight.clone())
        return next(errors)

    class Ones:
        def draw(self):
            return (torch.ones(1, 4),)

        def state_dict(self):
            return {}

        def load_state_dict(self, state):
            pass

    shown = kills()
    phase = Phase(
        loss=lambda x: model(x).square().mean(), optimizer=torch.optim.SGD(model.parameters(), 0.1)
    )
    best = train(
        model,
        Ones(),
        phase,
        FitProgress(shown),
        name="best",
        steps=8,
        validate=validate,
        validate_every=2,
        measure="error",
    )
    assert best == 1.0
    assert torch.equal(model.weight, weights[2])
    assert not torch.equal(weights[2], weights[3])
    assert not model.training
    assert shown.lines == ["best: error 1 on validation, at step 6 of 8"]
