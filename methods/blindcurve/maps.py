"""The change of one scan: one smooth bias field and one monotone curve."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..histogram import interpolate


def with_maxima_of(image: Tensor, changed: Tensor) -> Tensor:
    """Scale each of the changed slices `(s, H, W)` to its maximum in `image`."""
    own_maxima, new_maxima = (x.amax(dim=(-2, -1), keepdim=True) for x in (image, changed))
    return changed * (own_maxima / new_maxima.clamp_min(1e-6))


def without_field(image: Tensor, log_field: Tensor, *, slicewise: bool) -> Tensor:
    """Divide a field, given by its logarithm, out of slices `(S, H, W)`.

    Slice-wise min-max scaling follows the scanner's field, so each slice is scaled to its
    maximum again.
    """
    bare = image * (-log_field).exp()
    return with_maxima_of(image, bare) if slicewise else bare


@dataclass(frozen=True, eq=False, kw_only=True)
class Map:
    """The field is divided out of a scan, then the curve is applied.

    Attributes
    ----------
    field
        `(P,)` coefficients of the cosines: the logarithm of the scan's bias field.
    x, y
        `(K,)`, ascending: the curve, by the foreground's quantiles without the field and the
        intensities that they are mapped to, in [0, 1].
    slicewise
        Whether slices were min-max scaled one by one.
    flag
        Reason to doubt the result, or to return the scan as it is; empty if there is none.
    unchanged
        Whether the scan is returned as it is.
    """

    field: Tensor
    x: Tensor
    y: Tensor
    slicewise: bool
    flag: str = ""
    unchanged: bool = False

    def __call__(self, image: Tensor, mask: Tensor, log_field: Tensor) -> Tensor:
        """Harmonise slices; the background does not change.

        Parameters
        ----------
        image, mask
            `(K, H, W)`: slices of the scan.
        log_field
            `(K, H, W)`: logarithm of the scan's bias field on them.
        """
        if self.unchanged:
            return image.clone()
        bare = without_field(image, log_field, slicewise=self.slicewise)
        values = interpolate(bare[mask], self.x, self.y)
        return image.masked_scatter(mask, values.clamp(0, 1))
