"""Registrations, kept on disk by the content of the scan."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from harmbench.preprocessing.brain import BrainSource, Cut, cut
from harmbench.preprocessing.masking import Brain
from harmbench.preprocessing.registration import (
    Registration,
    register,
    register_rigidly,
)
from harmbench.preprocessing.version import PREPROCESSING_VERSION
from harmbench.util.hashing import digest


def registered(content: str | None, home: Path, brain: Brain) -> Registration:
    """Register a brain to the template, or recall how it was registered.

    Parameters
    ----------
    content
        Digest of what the brain was cut out of.
    home
        Where registrations are kept.
    brain
        The brain.
    """
    return _recalled(
        home, digest("registration", PREPROCESSING_VERSION, content), lambda: register(brain)
    )


def registered_to(
    partner: BrainSource, home: Path, own: Cut, registration: Registration
) -> tuple[Registration, str | None]:
    """Register a brain to its partner, or recall how it was registered.

    Returns
    -------
    registration, content
        With the digest of all that the partner's brain was cut out of.
    """
    # What a tool is to decide about is known only when it was cut out.
    content = partner.content if partner.extractor is None else cut(partner, home).content

    def compute() -> Registration:
        other = cut(partner, home)
        known = registered(other.content, home, other.brain)
        return register_rigidly(own.brain, other.brain, registration, known)

    name = digest("rigid registration", PREPROCESSING_VERSION, own.content, content)
    return _recalled(home, name, compute), content


def _recalled(home: Path, name: str, compute: Callable[[], Registration]) -> Registration:
    """Recall a registration, or compute and keep it.

    Registering is most of the work and does not depend on grid or recipe, so one result
    serves every cohort with this scan; it is small enough to be kept for good.
    """
    path = home / "registrations" / f"{name}.json"
    try:
        stored = json.loads(path.read_text())
        matrix = tuple(tuple(float(value) for value in row) for row in stored["matrix"])
        return Registration(matrix, float(stored["correlation"]))
    except (OSError, ValueError, KeyError):
        pass
    registration = compute()
    path.parent.mkdir(parents=True, exist_ok=True)
    # Written elsewhere and then named, so that nobody ever reads half of it.
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as stream:
        json.dump(asdict(registration), stream)
    Path(stream.name).replace(path)
    return registration
