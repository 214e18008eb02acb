"""Whether every method and metric computes the same on the device as on the CPU.

Methods are fitted on the CPU with their `tiny` preset, so that only the harmonisation differs.
"""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import torch

from gpu.setting import Setting
from harmbench.errors import HarmbenchError, one_line
from harmbench.plugins import Entry, Registry
from harmbench.testing.method_candidate import MethodCandidate
from harmbench.testing.tiny import tiny_cohort


def measure(setting: Setting) -> dict[str, Any]:
    """Return the largest and mean difference of images, and the relative one of metrics."""
    registry = Registry.discover()
    methods = {
        name: _checked(lambda entry=entry: _method(entry, setting.device))
        for name, entry in registry.entries("methods").items()
    }
    metrics = {
        name: _checked(lambda entry=entry: _metric(entry, setting.device))
        for name, entry in registry.entries("metrics").items()
    }
    return {"methods": methods, "metrics": metrics}


def _checked(compare: Any) -> dict[str, Any]:
    """Return the comparison, or the error: one method must not hide the others."""
    try:
        return compare()
    except (HarmbenchError, RuntimeError, TypeError, ValueError) as error:
        return {"error": one_line(error)}


def _method(entry: Entry, device: torch.device) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        candidate = MethodCandidate(entry.load(), entry, Path(folder))
        on_cpu = candidate.images
        method = candidate.again("first").to(device)
        given = candidate.given(candidate.source).to(device)
        on_device = candidate.apply(method, given).images.cpu()
    difference = (on_device - on_cpu).abs()
    return {"largest": float(difference.max()), "mean": float(difference.mean())}


def _metric(entry: Entry, device: torch.device) -> dict[str, Any]:
    cohort = tiny_cohort()
    pairs = cohort.pairs("domain1", "test", labelled=True)
    assert pairs is not None
    target = cohort.scans(cohort.target, "train")
    source, reference = (scans.load(range(len(scans))) for scans in pairs)
    # Predicted labels that are wrong at the edges, since equal ones have no distance.
    predicted = None if source.labels is None else source.labels.roll(1, dims=-1)
    harmonized = dataclasses.replace(source, source=source.images, predicted=predicted)
    metric = entry.build()
    if not metric.applies(harmonized, reference, target):
        return {"error": "does not apply to these scans"}
    on_cpu = metric.measure(harmonized, reference, target).double()
    on_device = metric.measure(harmonized.to(device), reference.to(device), target)
    size = on_cpu.abs().nan_to_num().max().clamp(min=1e-12)
    difference = (on_device.cpu().double() - on_cpu).abs().nan_to_num().max()
    return {"relative": float(difference / size)}
