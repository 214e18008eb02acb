"""Nyul's piecewise linear histogram matching, by the package intensity-normalization."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import torch
from intensity_normalization.adapters.images import NumpyImageAdapter
from intensity_normalization.normalizers.population.nyul import NyulNormalizer
from torch import Tensor

from harmbench import FitData, FitProgress, Grid, Needs, VolumeMethod, VolumeScan, VolumeSet


class Brains(Sequence[NumpyImageAdapter]):
    """The brains of whole scans, zero outside, each read when it is used."""

    def __init__(self, volumes: VolumeSet, progress: FitProgress) -> None:
        self._volumes, self._progress = volumes, progress

    def __len__(self) -> int:
        return len(self._volumes)

    @overload
    def __getitem__(self, place: int) -> NumpyImageAdapter: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[NumpyImageAdapter]: ...
    def __getitem__(self, place: int | slice) -> Any:
        """Read one scan."""
        if isinstance(place, slice):
            raise TypeError("scans are read one by one")
        if place >= len(self):
            raise IndexError(place)
        self._progress.note(f"nyul: scan {place + 1} of {len(self)}")
        scan = self._volumes[place]
        return NumpyImageAdapter(np.where(scan.mask, scan.image, 0))


class Nyul(VolumeMethod):
    """Map percentiles of the brain to the mean percentiles of the target's training scans.

    Nyul and Udupa, Magn Reson Med 1999;42:1072, with the percentiles 1, 10, 20, ..., 90 and 99.
    It works on volumes in the acquired space. Scans whose percentiles coincide, such as empty
    ones, stay as they are.

    Attributes
    ----------
    histogram
        `(2, 11)` float64: the standard scale, and its percentiles.
    """

    name = "nyul"
    summary = "piecewise linear map of percentiles to the target's standard scale"
    needs = Needs.TARGET
    reference = "https://doi.org/10.1002/(SICI)1522-2594(199912)42:6<1072::AID-MRM11>3.0.CO;2-M"

    histogram: Tensor

    def __init__(self, grid: Grid, config: Any = None) -> None:
        super().__init__(grid, config)
        self.register_buffer("histogram", torch.zeros((2, 0), dtype=torch.float64))

    def fit(self, data: FitData, progress: FitProgress) -> None:
        """Learn the standard scale of the target's training scans."""
        normalizer = NyulNormalizer()
        normalizer.fit_population(Brains(data.target.volumes(self.space), progress))
        file = io.BytesIO()
        normalizer.save_standard_histogram(file)  # type: ignore[arg-type]  # as numpy.save
        file.seek(0)
        self.histogram = torch.from_numpy(np.load(file))

    def harmonize(self, scan: VolumeScan) -> npt.NDArray[np.float32]:
        """Return the volume `(X, Y, Z)` on the standard scale, from 1 to 100."""
        file = io.BytesIO()
        np.save(file, self.histogram.cpu().numpy())
        file.seek(0)
        normalizer = NyulNormalizer()
        normalizer.load_standard_histogram(file)  # type: ignore[arg-type]  # as numpy.load
        brain = np.where(scan.mask, scan.image, 0)
        values = brain[brain > 0]
        if not values.size or np.any(np.diff(np.percentile(values, normalizer.percentiles)) <= 0):
            return scan.image
        image = normalizer.transform(NumpyImageAdapter(brain)).get_data()
        return np.where(scan.mask, np.maximum(image, 0), 0).astype(np.float32)
