"""Slices of three subjects, kept with every cell for the report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from harmbench.data.scan_set import ScanSet
from harmbench.data.scans import Scans
from harmbench.execution.compute.shown_subjects import distance_to_truth

_SUBJECTS = 3

# Where in the stack, as fractions of its length.
_PLACES = (0.3, 0.5, 0.7)

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class _Subject:
    distance: float
    subject: str
    source: Bytes
    harmonized: Bytes
    reference: Bytes | None


@dataclass
class Slices:
    """Keeps slices of every subject while a cell is computed, and stores those of three.

    Who is chosen depends on the task alone, never on the method, so that methods are seen
    on the same subjects: those whose sources are nearest to the truth, furthest from it, and
    in the middle. Where there is no truth it is the darkest, the brightest and the middle.
    """

    subjects: dict[str, _Subject] = field(default_factory=dict)

    def add(self, source: Scans, harmonized: Scans, truth: Scans | None) -> None:
        """Keep slices of the first scan of each subject of a batch."""
        chosen = _chosen(source.images.shape[1])
        for i, subject in enumerate(source.subjects):
            if subject in self.subjects:
                continue
            self.subjects[subject] = _Subject(
                distance=distance_to_truth(source, truth, i),
                subject=subject,
                source=_bytes(source.images[i, chosen]),
                harmonized=_bytes(harmonized.images[i, chosen]),
                reference=None if truth is None else _bytes(truth.images[i, chosen]),
            )

    def arrays(self, target: ScanSet) -> dict[str, npt.NDArray[Any]]:
        """Return what is stored of a cell.

        Parameters
        ----------
        target
            Scans of the target domain; the first stands in for a missing truth.

        Returns
        -------
        dict
            `subjects` `(P,)`, nearest first; `slices` `(K,)` and their `positions`, MNI152 z in
            mm; `source` and `harmonized` `(P, K, W, H)` uint8, 255 for an intensity of 1 and
            upright; `reference` of the same shape, or `target` `(K, W, H)` of another subject.
        """
        ranking = sorted(
            self.subjects.values(), key=lambda subject: (subject.distance, subject.subject)
        )
        count = min(_SUBJECTS, len(ranking))
        subjects = [
            ranking[round(i * (len(ranking) - 1) / max(1, count - 1))] for i in range(count)
        ]
        chosen = _chosen(target.grid.shape[0])
        arrays: dict[str, npt.NDArray[Any]] = {
            "subjects": np.array([subject.subject for subject in subjects]),
            "slices": np.array(chosen),
            "positions": np.array(target.grid.positions)[chosen],
            "source": np.stack([subject.source for subject in subjects]),
            "harmonized": np.stack([subject.harmonized for subject in subjects]),
        }
        truths = [subject.reference for subject in subjects if subject.reference is not None]
        if len(truths) == count:
            arrays["reference"] = np.stack(truths)
        else:
            arrays["target"] = _bytes(target.load([0]).images[0, chosen])
        return arrays


def _chosen(n_slices: int) -> list[int]:
    """Return which slices of a stack are kept."""
    return sorted({round(place * (n_slices - 1)) for place in _PLACES})


def _bytes(images: torch.Tensor) -> Bytes:
    """Turn `(K, H, W)` in [0, 1] into bytes `(K, W, H)`, each slice upright."""
    levels: Bytes = (images * 255).round().to(torch.uint8).numpy()
    return np.rot90(levels, axes=(1, 2))  # as `harmbench.data.display.upright` turns one
