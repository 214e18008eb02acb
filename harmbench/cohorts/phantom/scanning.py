"""Scanning a subject: labels, images and masks on a grid."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from harmbench.cohorts.phantom.anatomy import Anatomy, build_anatomy
from harmbench.cohorts.phantom.lattice import Lattice
from harmbench.cohorts.phantom.masks import extract
from harmbench.cohorts.phantom.render import Rendering, render
from harmbench.cohorts.phantom.scanner import SCANNERS
from harmbench.cohorts.phantom.session import FIRST, SECOND, draw_session
from harmbench.cohorts.phantom.spin_echo import SpinEcho
from harmbench.cohorts.phantom.streams import subject_seed
from harmbench.cohorts.phantom.subject import draw_subject
from harmbench.cohorts.phantom.template import TissueTemplate
from harmbench.data.prepare_options import MINMAX
from harmbench.data.scans import Grid, minmax
from harmbench.preprocessing.normalization import NORMALIZATIONS
from harmbench.preprocessing.normalization.base import Normalize

# Domains beside those of the scanners, which no task's fit meets. A second session on the
# target's scanner; and the first session without noise, which is what a method that were
# perfect would return.
REPEAT, NOISE_FREE = "target-repeat", "target-noise-free"

_T2_WEIGHTED = SpinEcho(repetition=6.0, echo_time=0.100)  # as usual of a T2w scan at 3 T


@dataclass(frozen=True, eq=False)
class SubjectScans:
    """The scans of one subject.

    Attributes
    ----------
    labels
        `(S, H, W)` uint8: the true tissue, the same for all domains, as in `Scans.labels`.
    images
        By domain: `(S, H, W)` float32 as the normalisation leaves it; exactly 0 outside the
        mask.
    masks
        By domain: `(S, H, W)` bool, the brain as the scanner's site extracts it.
    details
        By domain: the physical parameters that were drawn, as JSON types.
    """

    labels: Tensor
    images: dict[str, Tensor]
    masks: dict[str, Tensor]
    details: dict[str, dict[str, Any]]


def label(anatomy: Anatomy, lattice: Lattice) -> Tensor:
    """Return the true tissue labels on the grid: `(S, H, W)` uint8, as in `Scans.labels`.

    Lesions are white matter, and what sulci hold is CSF.
    """
    brain = lattice.to_grid(anatomy.brain)
    csf, grey, white, lesion, meninges = lattice.to_grid(anatomy.fractions * anatomy.brain)
    csf, white = csf + meninges, white + lesion
    # Three comparisons take a hundredth of the time of argmax over the leading axis.
    tissue = torch.where(white > torch.maximum(csf, grey), 3, torch.where(grey > csf, 2, 1))
    return torch.where(brain >= 0.5, tissue, 0).to(torch.uint8)


def session_of(domain: str) -> tuple[str, str]:
    """Return the names of the scanner and of the session that a domain's scans are from."""
    if domain == REPEAT:
        return "target", SECOND
    return ("target" if domain == NOISE_FREE else domain), FIRST


def scan_subject(
    name: str,
    template: TissueTemplate,
    grid: Grid,
    normalize: Normalize = NORMALIZATIONS[MINMAX],
    domains: Iterable[str] = tuple(SCANNERS),
) -> SubjectScans:
    """Scan a subject on scanners.

    Parameters
    ----------
    name, template, grid
        The subject, what the anatomy is drawn from, and where the scans lie.
    normalize
        What makes an image and its mask the normalised image.
    domains
        Names of scanners, `"target-repeat"` or `"target-noise-free"`.
    """
    lattice = Lattice.of(grid)
    subject = draw_subject(name)
    anatomy = build_anatomy(subject, template, lattice)
    labels = label(anatomy, lattice)
    lesions = float(lattice.to_grid(anatomy.fractions[3]).sum())
    shared = {
        **subject.details,
        "lesion_ml_on_grid": round(lesions * _millilitres(grid), 3),
    }
    scans = SubjectScans(labels, {}, {}, {})
    rendered: dict[tuple[str, str], Rendering] = {}
    for domain in domains:
        scanner_name, session_name = session_of(domain)
        scanner = SCANNERS[scanner_name]
        session = draw_session(name, scanner_name, session_name)
        visit = (scanner_name, session_name)
        if visit not in rendered:
            rendered[visit] = render(anatomy, subject.size, scanner, session, lattice)
        image, noise_free = rendered[visit]
        volume = lattice.to_grid(noise_free if domain == NOISE_FREE else image)
        mask = extract(anatomy.depth, scanner.extraction, session.mask, lattice)
        volume = torch.where(mask, volume, 0)
        scans.masks[domain] = mask
        scans.images[domain] = torch.from_numpy(normalize(volume.numpy(), mask.numpy()))
        scans.details[domain] = {
            "scanner": scanner.parameters,
            "subject": shared,
            "scan": session.details,
        }
    return scans


def t2_weighted(name: str, template: TissueTemplate, grid: Grid) -> Tensor:
    """Return a T2-weighted image of a subject, of the session on the target's scanner.

    Returns
    -------
    Tensor
        `(S, H, W)` float32 in [0, 1], in the space of all the subject's scans, with the mask
        of the target's scan.
    """
    lattice = Lattice.of(grid)
    subject = draw_subject(name)
    anatomy = build_anatomy(subject, template, lattice)
    target = SCANNERS["target"]
    session = replace(
        draw_session(name, "target"), noise_seed=subject_seed(name, "noise", "target", "T2w")
    )
    scanner = replace(target, sequence=_T2_WEIGHTED)
    volume = lattice.to_grid(render(anatomy, subject.size, scanner, session, lattice).image)
    mask = extract(anatomy.depth, target.extraction, session.mask, lattice)
    return minmax(torch.where(mask, volume, 0))


def _millilitres(grid: Grid) -> float:
    """Return the volume of a voxel of the grid."""
    return grid.spacing[0] * grid.spacing[1] * grid.spacing[2] / 1000
