"""Shrinkage of estimated fields by their natural variation between scans of the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

# Candidates for the deviation of a cosine of degree 1 that a source's field may have.
DEVIATIONS = torch.cat((torch.zeros(1), torch.logspace(-2.3, -0.4, 39)))
# Weight of the diagonal trend in the covariance of a few dozen scans.
_DIAGONAL = 0.6


@dataclass(frozen=True)
class NaturalVariation:
    """The normal distribution of the coefficients of the target's own scans.

    Attributes
    ----------
    mean, covariance
        `(P,)` and `(P, P)`.
    """

    mean: Tensor
    covariance: Tensor

    @classmethod
    def of(cls, coefficients: Tensor, degrees: Tensor) -> Self:
        """Estimate the distribution from coefficients `(n, P)` of n target scans.

        The covariance of so few scans is shrunk towards a diagonal one that falls with the
        square of the degree.
        """
        n = len(coefficients)
        if n < 2:
            # The variation between scans is unknown, so any field may be natural.
            return cls(coefficients.mean(dim=0), torch.eye(len(degrees)).to(coefficients))
        deviations = coefficients - coefficients.mean(dim=0)
        sample = deviations.T @ deviations / (n - 1)
        trend = (sample.diagonal() * degrees.square()).mean().clamp_min(1e-8) / degrees.square()
        covariance = (1 - _DIAGONAL) * sample + _DIAGONAL * trend.diag()
        return cls(coefficients.mean(dim=0), covariance)

    @classmethod
    def calibrated(cls, coefficients: Tensor, degrees: Tensor, subjects: Sequence[str]) -> Self:
        """Estimate the distribution, widened to the scatter of subjects that are left out.

        The covariance of few scans underestimates the deviation of a new subject.

        Parameters
        ----------
        coefficients, degrees
            `(n, P)` and `(P,)`.
        subjects
            The subject of each of the n scans; a subject's scans are left out together.
        """
        variation = cls.of(coefficients, degrees)
        surprises = []
        for subject in sorted(set(subjects)):
            out = torch.tensor([other == subject for other in subjects])
            if bool(out.all()):
                return variation
            others = cls.of(coefficients[~out], degrees)
            deviations = (coefficients[out] - others.mean).double()
            solved = torch.linalg.solve(others.covariance.double(), deviations.T)
            surprises.append((deviations.T * solved).mean(dim=0))
        factor = max(1.0, float(torch.cat(surprises).mean()))
        return replace(variation, covariance=factor * variation.covariance)

    def excess(self, coefficients: Tensor, degrees: Tensor, evidence: float) -> Tensor:
        r"""Return the part of a scan's coefficients that is more than natural.

        What is estimated is :math:`c = e + n` with the natural part
        :math:`n \sim N(\mu, \Sigma)`, and the excess
        :math:`e \sim N(0, \tau^2 D)`, D falling with the square of the degree. The scan's
        own :math:`\tau` is the most likely one (empirical Bayes), but 0 unless that is
        `evidence` nats less likely; e is then its posterior mean.

        Parameters
        ----------
        coefficients, degrees
            `(P,)`.
        evidence
            In nats.
        """
        c = (coefficients - self.mean).double()
        D = degrees.double().square().reciprocal()
        # In a basis where both covariances are diagonal, every tau costs a sum.
        half = D.rsqrt()
        values, vectors = torch.linalg.eigh(half[:, None] * self.covariance.double() * half)
        z = vectors.T @ (half * c)
        tau2 = DEVIATIONS.to(z).square()[:, None]
        nats = -0.5 * (z.square() / (values + tau2) + (values + tau2).log()).sum(dim=1)
        best = int(nats.argmax())
        if nats[best] - nats[0] <= evidence:
            return torch.zeros_like(coefficients)
        factors = tau2[best] / (values + tau2[best])
        excess: Tensor = vectors @ (factors * z) / half
        return excess.to(coefficients)
