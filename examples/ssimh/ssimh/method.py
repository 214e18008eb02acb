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
        Whose amplitudes are taken: the mean of those of all training scans of the target, or
        those of one of them, drawn by the seed.
    beta
        Half the width of the swapped square of frequencies, centred on zero, as a part of
        the spectrum's width along each axis: 0 swaps the mean alone, 0.5 everything.

    Raises
    ------
    UserError
        If `beta` is out of its range.
    """

    reference: Literal["mean", "scan"] = "mean"
    beta: float = at_inference(0.015)

    def __post_init__(self) -> None:
        if not 0 <= self.beta <= 0.5:
            raise UserError("beta must be in [0, 0.5]")


def low_frequencies(shape: tuple[int, int], beta: float) -> Tensor:
    """Return which coefficients of `torch.fft.rfft2` of H x W are swapped: `(H, W // 2 + 1)`."""
    rows, columns = torch.fft.fftfreq(shape[0]).abs(), torch.fft.rfftfreq(shape[1])
    low: Tensor = (rows[:, None] <= beta) & (columns <= beta)
    return low


def swapped(x: Tensor, amplitude: Tensor, low: Tensor) -> Tensor:
    """Give slices other amplitudes at low frequencies; the phases stay.

    Parameters
    ----------
    x
        Slices `(S, H, W)`.
    amplitude
        `(S, H, W // 2 + 1)`: of the reference's slices.
    low
        `(H, W // 2 + 1)`: where amplitudes are swapped.
    """
    spectrum = torch.fft.rfft2(x)
    size = spectrum.abs()
    # A coefficient that is 0 has no phase, and stays.
    factor = torch.where(low & (size > 0), amplitude / size.clamp_min(1e-12), 1.0)
    made: Tensor = torch.fft.irfft2(spectrum * factor, s=x.shape[-2:])
    return made


class SSIMH(Method):
    """Swap the amplitudes of low spatial frequencies for those of a target reference.

    Guan et al., "Fast image-level MRI harmonization via spectrum analysis", MLMI 2022. The
    reference's slice at the same place is used, since all scans lie on one grid.

    Attributes
    ----------
    amplitude
        `(S, H, W // 2 + 1)` float32: of the reference.
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
        """Take the amplitudes of the reference, or the mean of those of all training scans."""
        places = list(range(len(data.target)))
        if self.config.reference == "scan":
            generator = torch_generator(data.seed, self.name, "reference")
            places = torch.randint(len(places), (1,), generator=generator).tolist()
            progress.fact("reference", data.target.subjects[places[0]])
        self.amplitude.zero_()
        for place in progress.track(places, "ssimh: spectra"):
            image = data.target.load([place]).images[0].to(self.amplitude)
            self.amplitude += torch.fft.rfft2(image).abs() / len(places)

    def forward(self, scans: Scans) -> Scans:
        """Harmonise N scans slice by slice; the background stays as it is.

        Every slice keeps the maximum that it had: swapping moves the whole slice's scale,
        which scaling each slice to [0, 1] has fixed before.
        """
        shape = (scans.images.shape[2], scans.images.shape[3])
        low = low_frequencies(shape, self.config.beta).to(self.amplitude.device)
        results = []
        for image, mask in zip(scans.images, scans.masks, strict=True):
            made = swapped(image, self.amplitude, low).clamp_min(0) * mask
            highest, reached = (x.amax(dim=(-2, -1), keepdim=True) for x in (image * mask, made))
            made = (made * (highest / reached.clamp_min(1e-6))).clamp_max(1)
            results.append(torch.where(mask & (reached > 0), made, image))
        return scans.with_images(torch.stack(results) if results else scans.images.clone())
