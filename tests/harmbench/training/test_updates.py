"""Parameter updates: micro-batches and several phases."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from harmbench import FitProgress, Phase, SliceBatches, torch_generator, train

CPU = torch.device("cpu")


def test_gradients_do_not_depend_on_the_number_of_micro_batches(target):
    states = []
    for parts in (1, 3):  # 8 slices in three parts are 3, 3 and 2
        model = nn.Conv2d(1, 1, 3)
        nn.init.constant_(model.weight, 0.1)
        nn.init.constant_(model.bias, 0.0)
        batches = SliceBatches(target, size=8, device=CPU, generator=torch_generator(0, "b"))
        phase = Phase(
            loss=lambda x, model=model: model(x[:, None]).square().mean(),
            optimizer=torch.optim.SGD(model.parameters(), 0.1),
        )
        train(model, batches, phase, FitProgress(), name="parts", steps=3, micro_batches=parts)
        states.append(model.weight.detach())
    torch.testing.assert_close(states[0], states[1], rtol=1e-5, atol=1e-7)


def test_parameters_of_other_phases_are_frozen(target):
    first, second, fixed = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1)
    fixed.requires_grad_(False)
    seen = []

    def loss(x):
        seen.append([module.weight.requires_grad for module in (first, second, fixed)])
        return fixed(second(first(x[:, None]))).square().mean()

    batches = SliceBatches(target, size=2, device=CPU, generator=torch_generator(0, "b"))
    train(
        nn.ModuleList([first, second, fixed]),
        batches,
        [
            Phase(loss=loss, optimizer=torch.optim.SGD(first.parameters(), 0.1), name="first"),
            Phase(
                loss=loss,
                optimizer=torch.optim.SGD([*second.parameters(), fixed.weight], 0.1),
                name="second",
            ),
        ],
        FitProgress(),
        name="phases",
        steps=1,
    )
    assert seen == [[True, False, False], [False, True, False]]
    assert first.weight.requires_grad
    assert not fixed.weight.requires_grad


def test_phases_with_equal_names_are_rejected(target):
    model = nn.Conv2d(1, 1, 1)
    phase = Phase(loss=lambda x: x.mean(), optimizer=torch.optim.SGD(model.parameters(), 0.1))
    with pytest.raises(ValueError, match="different names"):
        train(model, None, [phase, phase], FitProgress(), name="two", steps=1)
