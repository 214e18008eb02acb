"""Applying a method to scans, and holding it to its contract."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor

from harmbench.contracts.method import Method
from harmbench.contracts.needs import Needs
from harmbench.contracts.volume_method import VolumeMethod
from harmbench.data.covariate_values import by_scan
from harmbench.data.scan_set import ScanSet
from harmbench.data.scans import Scans
from harmbench.data.volumes import VolumeSet
from harmbench.errors import CommandError, ContractError, DivergedError
from harmbench.execution.compute.invariants import (
    Violation,
    changed_background,
    changed_input,
    outside_range,
)
from harmbench.util.hashing import digest
from harmbench.util.seeds import seeded


def pseudonym(seed: int, *names: str) -> str:
    """Return a name that identifies a subject or session within a seed, without naming it."""
    return digest("pseudonym", seed, *names)[:12]


def with_shown(scans: Scans, needs: Needs, images: Tensor) -> Scans:
    """Return scans with target images of the same subjects `(N, S, H, W)`, for a control."""
    if needs is Needs.TRUTH:
        return dataclasses.replace(scans, truth=images)
    return dataclasses.replace(scans, repeat=images)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Beside:
    """What a method receives beside the slices of a batch, as far as it declares it.

    Attributes
    ----------
    volumes
        The whole scans, for a method that works on volumes.
    domain
        The domain of the scans, for a method on all sites.
    covariates
        The covariates that the method declares, one row per scan.
    """

    volumes: VolumeSet | None = None
    domain: str | None = None
    covariates: pd.DataFrame | None = None


def beside_slices(method: Method, scans: ScanSet, domain: str) -> Beside:
    """Return what a method receives beside the slices of these scans.

    Parameters
    ----------
    method
        The method.
    scans
        The scans of the batch.
    domain
        Their domain: `TaskData.domain`.
    """
    return Beside(
        volumes=scans.volumes(method.space) if isinstance(method, VolumeMethod) else None,
        domain=domain if method.needs is Needs.SITES else None,
        covariates=scans.with_covariates(method.covariates).covariates,
    )


_NOTHING_BESIDE = Beside()


def received_by(
    method: Method,
    source: Scans,
    shown: Scans | None,
    seed: int,
    device: torch.device,
    beside: Beside = _NOTHING_BESIDE,
) -> Scans:
    """Return the scans that a method receives.

    They are copies on its device, under pseudonyms and without labels, so that nothing that the
    method does to them reaches the scans that are scored.

    Parameters
    ----------
    method, source, shown, seed, device, beside
        As of `harmonized_by`.
    """
    subjects, sessions = _pseudonyms(seed, source.subjects, source.sessions)
    received = Scans(
        images=source.images.to(device, copy=True),
        masks=source.masks.to(device, copy=True),
        subjects=subjects,
        sessions=sessions,
        positions=source.positions.to(device, copy=True),
        volumes=_renamed(beside, subjects, sessions),
        domain=beside.domain,
        covariates=None if beside.covariates is None else beside.covariates.copy(),
    )
    if not method.needs.control_only:
        return received
    assert shown is not None
    return with_shown(received, method.needs, shown.images.to(device, copy=True))


def received_volumes(method: VolumeMethod, scans: ScanSet, seed: int, domain: str) -> VolumeSet:
    """Return the whole scans that a method receives in several calls of `harmonized_by`."""
    subjects, sessions = _pseudonyms(
        seed, scans.subjects, tuple(scan.session for scan in scans.scans)
    )
    volumes = _renamed(beside_slices(method, scans, domain), subjects, sessions)
    assert volumes is not None
    return volumes


def _pseudonyms(
    seed: int, subjects: Sequence[str], sessions: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    pairs = zip(subjects, sessions, strict=True)
    return (
        tuple(pseudonym(seed, subject) for subject in subjects),
        tuple(pseudonym(seed, *names) for names in pairs),
    )


def _renamed(beside: Beside, subjects: Sequence[str], sessions: Sequence[str]) -> VolumeSet | None:
    if beside.volumes is None:
        return None
    return beside.volumes.renamed(
        [
            {
                "subject": subject,
                "session": session,
                "domain": beside.domain,
                "covariates": covariates,
            }
            for subject, session, covariates in zip(
                subjects, sessions, by_scan(beside.covariates, len(subjects)), strict=True
            )
        ]
    )


def harmonized_by(
    method: Method,
    source: Scans,
    shown: Scans | None,
    seed: int,
    device: torch.device,
    beside: Beside = _NOTHING_BESIDE,
) -> Scans:
    """Harmonise a batch.

    Parameters
    ----------
    method, device
        The method, and where it is.
    source
        On the CPU, as the result is.
    shown
        Target scans of the same subjects, for a control alone: `TaskData.shown`.
    seed
        Base seed of pseudonyms and of the stream that a method may draw from; the stream
        depends on the scans.
    beside
        What the method receives beside the slices: `beside_slices`.

    Returns
    -------
    Scans
        The output images, with names, masks and labels of `source`. A control that returns a
        target scan is not scored outside the mask of that scan either, where it is zero.

    Raises
    ------
    DivergedError
        If the output is not finite.
    CommandError
        If a command failed; it names the scan as `source` does.
    ContractError
        If the output has not the input's shape, leaves [0, 1] or changes the background, or if
        the input was changed in place.
    """
    received = received_by(method, source, shown, seed, device, beside)
    # A method may return the very object that it received: check the original tensors.
    inputs = dataclasses.replace(received)
    with torch.no_grad(), seeded(seed, "harmonize", *source.subjects, *source.sessions):
        try:
            output = method.eval()(received)
        except CommandError as error:
            raise _under_own_name(error, received, source) from error
    images = output.images.float().cpu()
    _check_output(method, images, inputs, source)
    masks = source.masks if shown is None else source.masks & shown.masks
    return dataclasses.replace(source, images=images.clamp(0, 1), masks=masks, flags=output.flags)


def _check_output(method: Method, images: Tensor, inputs: Scans, source: Scans) -> None:
    """Check the output images of a method against what it received; raises as `harmonized_by`."""
    if images.shape != source.images.shape:
        raise ContractError(
            f"expected output of shape {tuple(source.images.shape)}, got {tuple(images.shape)}; "
            "return scans.with_images(images)"
        )
    if not bool(images.isfinite().all()):
        raise DivergedError("the output has values that are not finite")
    violation = (
        changed_input(inputs, source)
        or outside_range(images)
        or _background_violation(method, images, source)
    )
    if violation:
        raise ContractError(str(violation))


def _under_own_name(error: CommandError, received: Scans, source: Scans) -> CommandError:
    """Return the error with the name of the scan instead of its pseudonym."""
    names = zip(source.subjects, source.sessions, strict=True)
    own = dict(zip(zip(received.subjects, received.sessions, strict=True), names, strict=True))
    subject, session = own.get((error.subject, error.session), (error.subject, error.session))
    return CommandError(subject, session, error.reason)


def _background_violation(method: Method, images: torch.Tensor, source: Scans) -> Violation | None:
    """Return the violation, unless the method declares it or returns target scans.

    A target scan has a mask of its own.
    """
    if method.needs.control_only or "background" in method.expected_failures:
        return None
    return changed_background(images, source)
