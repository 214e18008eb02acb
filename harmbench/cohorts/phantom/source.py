"""The phantom cohort: many subjects, each scanned on the five scanners of Table 1.

Real anatomy (`harmbench.cohorts.phantom.anatomy`) is rendered as each of the scanners sees it
(`harmbench.cohorts.phantom.scanner`). Everybody is scanned everywhere without moving, so the cohort
has exact pairs and true tissue labels. Test subjects are scanned on the target's scanner a
second time: how far two scans of one scanner differ is the least that any method can leave.
It is a phantom, and is called one wherever a number from it is shown.

What it leaves out: vessels, lesions, skull remnants, motion artefacts, distortion and
errors of registration and of skull stripping.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from harmbench.cohorts.phantom.anatomy import (
    Anatomy,
    Lattice,
    Template,
    build_anatomy,
    draw_subject,
    load_template,
)
from harmbench.cohorts.phantom.scanner import SCANNERS, draw_acquisition, render
from harmbench.cohorts.phantom.spin_echo import SpinEcho
from harmbench.data.cohort_source import CohortSource
from harmbench.data.cohort_writer import CohortWriter, ScanRecord, write_row
from harmbench.data.prepare_options import DEFAULT_NORMALIZATION
from harmbench.data.scans import Grid, minmax
from harmbench.data.splits import split_subjects
from harmbench.errors import UserError
from harmbench.preprocessing.normalization import NORMALIZATIONS, normalization
from harmbench.preprocessing.normalization.base import Normalize, Standard
from harmbench.preprocessing.normalize_rows import normalize_rows
from harmbench.util.hashing import digest
from harmbench.util.processes import in_processes
from harmbench.util.progress import Progress
from harmbench.util.seeds import derive

# Raise it with any change that alters a voxel: prepared cohorts are kept under its hash.
VERSION = "2"

_SEED = 0  # of the cohort itself, which is the same for every seed of a run
_SUBJECTS, _FEWEST, _MOST = 20, 2, 10_000
_SESSION, _SECOND = "1", "2"
# The domain of the second scans: of no task's fit or test, but for who asks for it by name.
_REPEAT = "target-repeat"
_T2_WEIGHTED = SpinEcho(repetition=6.0, echo_time=0.100)  # as usual of a T2w scan at 3 T
_SUBJECTS_PER_WORKER = 3  # fewer do not pay for starting a process


def label(anatomy: Anatomy, lattice: Lattice) -> Tensor:
    """Return the true tissue labels on the grid: `(S, H, W)` uint8, as in `Scans.labels`."""
    brain = lattice.to_grid(anatomy.brain)
    csf, grey, white = lattice.to_grid(anatomy.fractions * anatomy.brain)
    # Three comparisons take a hundredth of the time of argmax over the leading axis.
    tissue = torch.where(white > torch.maximum(csf, grey), 3, torch.where(grey > csf, 2, 1))
    return torch.where(brain >= 0.5, tissue, 0).to(torch.uint8)


def scan_subject(
    name: str,
    template: Template,
    grid: Grid,
    seed: int = _SEED,
    normalize: Normalize = NORMALIZATIONS[DEFAULT_NORMALIZATION],
    *,
    repeat: bool = False,
) -> tuple[Tensor, dict[str, Tensor], dict[str, dict[str, Any]]]:
    """Scan a subject everywhere.

    Parameters
    ----------
    name, template, grid, seed
        The subject, what the anatomy is drawn from, and where the scans lie.
    normalize
        What makes an image and its mask the normalised image.
    repeat
        Whether to scan once more on the target's scanner, as the domain `"target-repeat"`.

    Returns
    -------
    labels
        `(S, H, W)` uint8, the same for all scanners.
    images
        By domain: `(S, H, W)` float32 as `normalize` leaves it, in [0, 1] by default;
        exactly 0 where the label is 0.
    details
        By domain: the physical parameters that were drawn.
    """
    lattice = Lattice.of(grid)
    subject = draw_subject(seed, name)
    anatomy = build_anatomy(subject, template, lattice)
    labels = label(anatomy, lattice)
    mask = (labels > 0).numpy()
    images, details = {}, {}
    sessions = {domain: (domain, _SESSION) for domain in SCANNERS}
    if repeat:
        sessions[_REPEAT] = ("target", _SECOND)
    for domain, (place, session) in sessions.items():
        scanner = SCANNERS[place]
        acquisition = draw_acquisition(seed, name, place, session)
        volume = lattice.to_grid(render(anatomy, scanner, acquisition, lattice))
        volume = torch.where(labels > 0, volume, 0)
        images[domain] = torch.from_numpy(normalize(volume.numpy(), mask))
        details[domain] = {
            "scanner": scanner.parameters,
            "subject": subject.details,
            "scan": acquisition.details,
        }
    return labels, images, details


def t2_weighted(name: str, template: Template, grid: Grid, seed: int = _SEED) -> Tensor:
    """Return a T2-weighted image of a subject, of the session on the target's scanner.

    Returns
    -------
    Tensor
        `(S, H, W)` float32 in [0, 1], in the space of all the subject's scans.
    """
    lattice = Lattice.of(grid)
    anatomy = build_anatomy(draw_subject(seed, name), template, lattice)
    scanner = replace(SCANNERS["target"], sequence=_T2_WEIGHTED)
    acquisition = replace(
        draw_acquisition(seed, name, "target"),
        noise_seed=derive(seed, "phantom", "noise", name, "target", "T2w"),
    )
    volume = lattice.to_grid(render(anatomy, scanner, acquisition, lattice))
    return minmax(torch.where(label(anatomy, lattice) > 0, volume, 0))


class Phantom(CohortSource):
    """The embedded cohort; the argument is the number of subjects, 20 by default."""

    normalizations = tuple(NORMALIZATIONS)
    name: ClassVar[str] = "phantom"
    summary: ClassVar[str] = (
        "MNI152 anatomy deformed into N subjects (phantom:N), each on Table 1's five scanners"
    )

    def __init__(
        self, argument: str | None = None, recipe: Path | None = None, **preparation: Any
    ) -> None:
        super().__init__(argument, recipe, **preparation)
        if recipe is not None:
            raise UserError(
                f"the phantom takes no recipe, but '{recipe}' was given; leave out --recipe"
            )
        text = str(_SUBJECTS) if argument is None else argument
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
        if not _FEWEST <= number <= _MOST:
            raise UserError(
                f"phantom:{text} is no number of subjects; "
                f"give a whole number from {_FEWEST} to {_MOST}, as in phantom:40"
            )
        self.target = "target"
        self.sources = tuple(domain for domain in SCANNERS if domain != self.target)
        self.subjects = tuple(f"P{i:05d}" for i in range(1, number + 1))

    @property
    def title(self) -> str:
        """`phantom`, with the number of subjects if it is not the usual one."""
        number = len(self.subjects)
        return self.name if number == _SUBJECTS else f"{self.name}:{number}"

    def key(self, grid: Grid, home: Path) -> str:
        """Hash the version, the subjects, the grid and all parameters of the scanners."""
        chosen = normalization(self.normalization).key(())
        return digest("phantom", VERSION, _SEED, self.subjects, grid, SCANNERS, _REPEAT, *chosen)

    def t2_weighted(self, subject: str, grid: Grid) -> Tensor | None:
        """Render one; see `t2_weighted`."""
        return t2_weighted(subject, load_template(), grid) if subject in self.subjects else None

    def prepare(self, grid: Grid, home: Path, writer: CohortWriter, progress: Progress) -> None:
        """Scan everybody, in as many processes as there are processors to use."""
        folders = {
            domain: writer.begin_domain(domain, len(self.subjects), labelled=True)
            for domain in SCANNERS
        }
        splits = split_subjects(dict.fromkeys(SCANNERS, self.subjects), validation=0.1, test=0.25)
        again = [subject for subject in self.subjects if splits[subject] == "test"]
        folders[_REPEAT] = writer.begin_domain(_REPEAT, len(again), labelled=True)
        numbered = [
            (row, subject, again.index(subject) if subject in again else None)
            for row, subject in enumerate(self.subjects)
        ]
        finished = in_processes(
            _scan_into,
            numbered,
            load_template(),
            grid,
            folders,
            self.normalization,
            least=_SUBJECTS_PER_WORKER,
        )
        with contextlib.closing(finished):
            found = dict(progress.track(finished, "scanning the phantom", len(numbered)))
        way = normalization(self.normalization)
        training = [found[one][1] for one in numbered if splits[one[1]] == "train"]
        places = [(folders[domain], row) for domain in SCANNERS for row, _, _ in numbered]
        places += [(folders[_REPEAT], row) for row in range(len(again))]
        standard = normalize_rows(way, training, places, progress)
        writer.finish(
            name=self.name,
            key=self.key(grid, home),
            kind="phantom",
            target=self.target,
            sources=self.sources,
            records=[
                ScanRecord(
                    domain=domain,
                    subject=subject,
                    session=_SECOND if domain == _REPEAT else _SESSION,
                    row=place,
                    key=digest(
                        *("phantom", VERSION, _SEED, subject, grid, domain),
                        SCANNERS["target" if domain == _REPEAT else domain],
                        *way.key(standard),
                    ),
                    split=splits[subject],
                    labelled=True,
                    paired=True,
                    details=found[row, subject, second][0][domain],
                )
                for domain in folders
                for row, subject, second in numbered
                if (place := second if domain == _REPEAT else row) is not None
            ],
            left_out={},
            normalization=self.normalization,
            facts={"repeat": _REPEAT, **({"standard": list(standard)} if standard else {})},
        )


def _scan_into(
    numbered: tuple[int, str, int | None],
    template: Template,
    grid: Grid,
    folders: Mapping[str, Path],
    name: str,
) -> tuple[dict[str, dict[str, Any]], Standard]:
    """Scan a subject everywhere into its row, and if it has one for the repeat into that.

    Returns
    -------
    details, landmarks
        What was drawn, by domain; and of the target's scan, what a normalisation that learns
        is to learn from.
    """
    row, subject, second = numbered
    way = normalization(name)
    labels, images, details = scan_subject(
        subject, template, grid, normalize=way.first_pass, repeat=second is not None
    )
    mask = (labels > 0).numpy()
    try:
        for domain, image in images.items():
            place = second if domain == _REPEAT and second is not None else row
            write_row(folders[domain], "images", place, image.numpy())
            write_row(folders[domain], "masks", place, mask)
            write_row(folders[domain], "labels", place, labels.numpy())
    except OSError as error:
        raise UserError(f"the phantom cannot be stored: {error}") from error
    return details, way.landmarks(images["target"].numpy(), mask)
