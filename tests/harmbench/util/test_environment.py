"""The versions of libraries that are recorded with numbers."""

from __future__ import annotations

from importlib.metadata import version

import torch

from harmbench.util.environment import environment


def test_versions_and_the_class_of_device_are_named():
    recorded = environment(torch.device("cpu"))
    assert recorded["device"] == "cpu"
    for name in ("torch", "numpy", "scipy", "monai", "nflows", "SimpleITK", "scikit-image"):
        assert recorded[name] == version(name)
