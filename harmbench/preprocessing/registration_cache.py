"""Registrations cached on disk, keyed by the content of the scan."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from harmbench.preprocessing.brain import Brain
from harmbench.preprocessing.masking import BrainSource, MaskedScan, load_masked
from harmbench.preprocessing.registration import Registration, register, register_rigidly
from harmbench.preprocessing.version import PREPROCESSING_VERSION
from harmbench.util.files import atomic_write_bytes
from harmbench.util.hashing import digest


def cached_registration(content: str | None, home: Path, brain: Brain) -> Registration:
    """Register a brain to the template, or load its cached registration.

    Parameters
    ----------
    content
        Digest of everything that the brain depends on.
    home
        The folder that caches registrations.
    brain
        The brain.

    Raises
    ------
    BadScanError
        As `register`.
    """
    name = digest("registration", PREPROCESSING_VERSION, content)
    return _cached(home, name, lambda: register(brain))


def cached_pair_registration(
    scan: MaskedScan, registration: Registration, partner: BrainSource, home: Path
) -> tuple[Registration, str | None]:
    """Register a brain to its partner, or load the cached registration.

    Parameters
    ----------
    scan, registration
        The scan that is moved, and its registration to the template.
    partner
        The other scan of the same subject; read only where that is needed.
    home
        The folder that caches registrations and masks.

    Returns
    -------
    registration, content
        The registration by way of the partner; and the digest of everything that the
        partner's brain depends on.

    Raises
    ------
    BadScanError
        If the partner cannot be used, or the registration fails.
    """
    # Only reading the scan shows whether the tool is needed.
    content = partner.content if partner.extractor is None else load_masked(partner, home).content

    def compute() -> Registration:
        other = load_masked(partner, home)
        partner_to = cached_registration(other.content, home, other.brain)
        return register_rigidly(scan.brain, other.brain, registration, partner_to)

    name = digest("rigid registration", PREPROCESSING_VERSION, scan.content, content)
    return _cached(home, name, compute), content


def _cached(home: Path, name: str, compute: Callable[[], Registration]) -> Registration:
    """Load a cached registration, or compute and cache it.

    Registration takes most of the time and depends neither on the grid nor on the recipe,
    so one result serves every cohort with this scan. It is small enough to be kept forever.
    """
    path = home / "registrations" / f"{name}.json"
    try:
        stored = json.loads(path.read_text())
        matrix = tuple(tuple(float(value) for value in row) for row in stored["matrix"])
        return Registration(matrix, float(stored["correlation"]), int(stored["starts"]))
    except (OSError, ValueError, KeyError):
        pass
    registration = compute()
    atomic_write_bytes(path, json.dumps(asdict(registration)).encode())
    return registration
