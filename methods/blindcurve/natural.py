"""What is more than natural in a scan's field: shrinkage by the variation between target scans."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

# Candidates for the deviation of a cosine of degree 1 that a source's field may have.
DEVIATIONS = torch.cat((torch.zeros(1), torch.logspace(-2.3, -0.4, 39)))
# Weight of the diagonal trend in the covariance of a few dozen scans.
_DIAGONAL = 0.6


class NaturalVariation(nn.Module):
    """The normal distribution of the fields' coefficients of the target's own scans.

    Parameters
    ----------
    degrees
        `(P,)`: orders of the cosines.

    Attributes
    ----------
    mean, covariance
        `(P,)` and `(P, P)`.
    """

    mean: Tensor
    covariance: Tensor

    def __init__(self, degrees: Tensor) -> None:
        super().__init__()
        self.degrees = degrees
        self.register_buffer("mean", torch.zeros(len(degrees)))
        self.register_buffer("covariance", torch.eye(len(degrees)))

    def learn(self, coefficients: Tensor, subjects: Sequence[str]) -> None:
        """Estimate the distribution, widened to the scatter of subjects that are left out.

        The covariance of few scans underestimates the deviation of a new subject.

        Parameters
        ----------
        coefficients
            `(n, P)`.
        subjects
            The subject of each of the n scans; a subject's scans are left out together.
        """
        mean, covariance = normal_of(coefficients, self.degrees)
        surprises = [torch.ones(1, dtype=torch.float64)]
        for subject in sorted(set(subjects)):
            out = torch.tensor([other == subject for other in subjects])
            if not bool(out.all()):
                other_mean, other_covariance = normal_of(coefficients[~out], self.degrees)
                deviations = (coefficients[out] - other_mean).double()
                solved = torch.linalg.solve(other_covariance.double(), deviations.T)
                surprises.append((deviations.T * solved).mean(dim=0))
        factor = torch.cat(surprises[1:] or surprises).mean().clamp_min(1.0)
        self.mean.copy_(mean)
        self.covariance.copy_(factor * covariance)

    def excess(self, coefficients: Tensor, evidence: float) -> Tensor:
        r"""Return the part of a scan's coefficients that is more than natural.

        What is estimated is :math:`c = e + n` with the natural part
        :math:`n \sim N(\mu, \Sigma)`, and the excess
        :math:`e \sim N(0, \tau^2 D)`, D falling with the square of the degree. The scan's
        own :math:`\tau` is the most likely one (empirical Bayes), but 0 unless that is
        `evidence` nats less likely; e is then its posterior mean.

        Parameters
        ----------
        coefficients
            `(P,)`.
        evidence
            In nats.
        """
        c = (coefficients - self.mean).cpu().double()
        # In a basis where both covariances are diagonal, every tau costs a sum.
        half = self.degrees.cpu().double()
        covariance = self.covariance.cpu().double()
        values, vectors = torch.linalg.eigh(half[:, None] * covariance * half)
        z = vectors.T @ (half * c)
        tau2 = DEVIATIONS.to(z).square()[:, None]
        nats = -0.5 * (z.square() / (values + tau2) + (values + tau2).log()).sum(dim=1)
        best = int(nats.argmax())
        if nats[best] - nats[0] <= evidence:
            return torch.zeros_like(coefficients)
        excess: Tensor = vectors @ (tau2[best] / (values + tau2[best]) * z) / half
        return excess.to(coefficients)


def normal_of(coefficients: Tensor, degrees: Tensor) -> tuple[Tensor, Tensor]:
    """Estimate mean `(P,)` and covariance `(P, P)` of coefficients `(n, P)`.

    The covariance of so few scans is shrunk towards a diagonal one that falls with the square
    of the degree.
    """
    n, mean = len(coefficients), coefficients.mean(dim=0)
    if n < 2:
        # The variation between scans is unknown, so any field may be natural.
        return mean, torch.eye(len(degrees)).to(coefficients)
    deviations = coefficients - mean
    sample = deviations.T @ deviations / (n - 1)
    trend = (sample.diagonal() * degrees.square()).mean().clamp_min(1e-8) / degrees.square()
    return mean, (1 - _DIAGONAL) * sample + _DIAGONAL * trend.diag()
