"""Versions of the libraries and the class of device that numbers were computed with."""

from __future__ import annotations

import contextlib
import functools
import platform
from importlib.metadata import PackageNotFoundError, version

import torch

# Libraries that compute: another version may change the last digits of a number.
_LIBRARIES = (
    "torch",
    "numpy",
    "scipy",
    "scikit-image",
    "monai",
    "nflows",
    "SimpleITK",
    "nibabel",
    "pandas",
)


def environment(device: torch.device) -> dict[str, str]:
    """Return the versions of Python and of the numerical libraries, and the device class."""
    return {**_versions(), "device": device.type}


@functools.cache
def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in _LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):  # an optional one
            versions[name] = version(name)
    return versions
