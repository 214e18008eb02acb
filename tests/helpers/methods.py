"""Methods fitted on a task's data, and what they gain."""

from __future__ import annotations

import dataclasses

from harmbench.contracts.fit_progress import FitProgress
from harmbench.metrics.image import PSNR


def fitted(cls, data, config=None, *, seed=0, progress=None):
    """Return a method fitted on the data that it needs; its parts first, as the runner does."""
    grid = data.target.grid
    method = cls(grid, cls.preset(grid.name) if config is None else config)
    fit_data = data.fit_data(seed).restricted(method.needs)
    for attribute, (part, settings) in cls.parts(method.config).items():
        built = part(grid, settings)
        built.fit(fit_data.restricted(part.needs), FitProgress())
        getattr(method, attribute).load_state_dict(built.state_dict())
    method.fit(fit_data, progress or FitProgress())
    return method


def scans_with_truth(data, places):
    """Load test scans, with their paired truth."""
    truth = data.references.load(places).images
    return dataclasses.replace(data.test.load(places), truth=truth)


def mean_psnr(method, data) -> float:
    """Return the mean PSNR in dB over all test scans."""
    places = range(len(data.test))
    output = method(scans_with_truth(data, places))
    return PSNR().measure(output, data.references.load(places), data.target).mean().item()
