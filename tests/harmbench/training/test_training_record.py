"""Curves of a training."""

from __future__ import annotations

import torch
from torch import nn

from harmbench import FitProgress, Phase, train


def test_a_curve_point_is_the_mean_since_the_previous_point():
    model = nn.Linear(1, 1)
    values = iter(range(1, 121))

    class Counting:
        def draw(self):
            return (torch.full((2, 1), float(next(values))),)

        def state_dict(self):
            return {}

        def load_state_dict(self, state):
            pass

    progress = FitProgress()
    train(
        model,
        Counting(),
        Phase(
            loss=lambda x: x.mean() + 0 * model(x).sum(),
            optimizer=torch.optim.SGD(model.parameters(), 0.1),
        ),
        progress,
        name="counting",
        steps=120,
    )
    points = [(point.step, point.value) for point in progress.curves if point.name == "loss"]
    assert points == [(step, step - 1.0) for step in range(3, 121, 3)]
