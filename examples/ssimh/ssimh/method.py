"""SSIMH: a slice's low spatial frequencies are swapped for those of a target reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from harmbench import (
    FitData,
    FitProgress,
    Grid,
    Method,
    Needs,
    Scans,
    UserError,
    at_inference,
    torch_generator,
)


@dataclass(frozen=True)
class SSIMHConfig:
    """Settings.

    Attributes
    ----------
    reference
        The reference amplitudes: the mean over all training scans of the target, or the
        amplitudes of one scan that is drawn at random.
    beta
        Half-width of the square of swapped frequencies around zero, as a fraction of the
        spectrum's width along each axis: 0 swaps only the mean, 0.5 all frequencies.

    Raises
    ------
    UserError
        If `beta` is outside [0, 0.5].
    """

    reference: Literal["mean", "scan"] = "mean"
    beta: float = at_inference(0.015)

    def __post_init__(self) -> None:
        if not 0 <= self.beta <= 0.5:
            raise UserError("beta must be in [0, 0.5]")


def low_frequencies(shape: tuple[int, int], beta: float) -> Tensor:
    """Return a mask `(H, W // 2 + 1)` of the coefficients of `torch.fft.rfft2` to swap."""
    rows, columns = torch.fft.fftfreq(shape[0]).abs(), torch.fft.rfftfreq(shape[1])
    low: Tensor = (rows[:, None] <= beta) & (columns <= beta)
    return low


def swapped(x: Tensor, amplitude: Tensor, low: Tensor) -> Tensor:
    """Replace the amplitudes of slices at low frequencies; phases do not change.

    Parameters
    ----------
    x
        Slices `(S, H, W)`.
    amplitude
        `(S, H, W // 2 + 1)`: amplitudes of the reference's slices.
    low
        `(H, W // 2 + 1)`, bool: coefficients to swap.
    """
    spectrum = torch.fft.rfft2(x)
    size = spectrum.abs()
    # A coefficient of 0 has no phase, so it does not change.
    factor = torch.where(low & (size > 0), amplitude / size.clamp_min(1e-12), 1.0)
    result: Tensor = torch.fft.irfft2(spectrum * factor, s=x.shape[-2:])
    return result


class SSIMH(Method):
    """Swap the amplitudes of low spatial frequencies for those of a target reference.

    Guan et al., "Fast image-level MRI harmonization via spectrum analysis", MLMI 2022. The
    reference's slice with the same index is used, since all scans have the same grid.

    Attributes
    ----------
    amplitude
        `(S, H, W // 2 + 1)` float32: amplitudes of the reference.
    """

    name = "ssimh"
    summary = "swaps the amplitudes of low spatial frequencies for a target reference's"
    needs = Needs.TARGET
    reference = "https://doi.org/10.1007/978-3-031-21014-3_21"
    Config = SSIMHConfig
    ablations: ClassVar = {"one reference scan": {"reference": "scan"}}

    config: SSIMHConfig
    amplitude: Tensor

    def __init__(self, grid: Grid, config: Any = None) -> None:
        super().__init__(grid, config)
        S, H, W = grid.shape
        self.register_buffer("amplitude", torch.zeros(S, H, W // 2 + 1))

    def fit(self, data: FitData, progress: FitProgress) -> None:
        """Compute the amplitudes of one scan, or their mean over all training scans."""
        indices = list(range(len(data.target)))
        if self.config.reference == "scan":
            generator = torch_generator(data.seed, self.name, "reference")
            indices = torch.randint(len(indices), (1,), generator=generator).tolist()
            progress.fact("reference", data.target.subjects[indices[0]])
        self.amplitude.zero_()
        for index in progress.track(indices, "ssimh: spectra"):
            image = data.target.load([index]).images[0].to(self.amplitude)
            self.amplitude += torch.fft.rfft2(image).abs() / len(indices)

    def forward(self, scans: Scans) -> Scans:
        """Harmonise N scans slice by slice; the background does not change.

        Each slice is rescaled to its previous maximum, because swapping changes the scale of
        the slice, and prepared slices are scaled to [0, 1].
        """
        shape = (scans.images.shape[2], scans.images.shape[3])
        low = low_frequencies(shape, self.config.beta).to(self.amplitude.device)
        results = []
        for image, mask in zip(scans.images, scans.masks, strict=True):
            result = swapped(image, self.amplitude, low).clamp_min(0) * mask
            before, after = (x.amax(dim=(-2, -1), keepdim=True) for x in (image * mask, result))
            result = (result * (before / after.clamp_min(1e-6))).clamp_max(1)
            results.append(torch.where(mask & (after > 0), result, image))
        return scans.with_images(torch.stack(results) if results else scans.images.clone())
