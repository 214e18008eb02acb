"""Linear regression for few subjects and many features, and the shrinkage of its predictions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Ridge:
    """Standardised features times weights, plus the expected value.

    Attributes
    ----------
    mean, deviation
        `(D,)` of the features.
    weights
        `(D, C)`.
    expected
        `(C,)`.
    """

    mean: Tensor
    deviation: Tensor
    weights: Tensor
    expected: Tensor

    def standardised(self, features: Tensor) -> Tensor:
        """Return features `(..., D)` in deviations from the mean."""
        return (features - self.mean) / self.deviation

    def predict(self, standard: Tensor) -> Tensor:
        """Predict `(..., C)` from standardised features `(..., D)`."""
        return self.expected + standard @ self.weights

    @classmethod
    def of(cls, features: Tensor, wanted: Tensor, blocks: int, penalty: float) -> Ridge:
        """Fit it: the mean of one regression on each block of the features.

        Averaging suits blocks that carry the same information in different ways; adding does not:
        an unusual subject misleads one block, not the other.

        Parameters
        ----------
        features, wanted
            `(n, D)` and `(n, C)`.
        blocks
            How many equal parts the features have.
        penalty
            Relative to the features' squared deviations.
        """
        x, y = features.double(), wanted.double()
        mean, deviation = x.mean(dim=0), x.std(dim=0, correction=0).clamp_min(1e-3)
        expected = y.mean(dim=0)
        weights = []
        for z in ((x - mean) / deviation).chunk(blocks, dim=1):
            moment = z.T @ z
            moment.diagonal().add_(penalty * len(z))
            weights.append(torch.linalg.solve(moment, z.T @ (y - expected)) / blocks)
        return cls(mean.float(), deviation.float(), torch.cat(weights).float(), expected.float())


def believed(guess: Tensor, size: Tensor, caution: float, limit: float) -> Tensor:
    """Return the part of guesses `(..., C)` that is applied, by their squared sizes `(...,)`.

    As a Wiener filter has it: a guess that is large beside the usual error of guesses is
    believed, a small one is mostly error. `caution` is that error, squared, in the same units.
    Beyond the size `limit` a guess is no longer covered by examples: its direction is kept,
    and its size is reduced to the limit.
    """
    share = size / (size + caution).clamp_min(1e-9)
    within = (limit / size.sqrt().clamp_min(1e-9)).clamp_max(1.0)
    return guess * (share * within)[..., None]
