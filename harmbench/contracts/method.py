"""The contract of a method: what a plugin author reads, and nothing else."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, cast

from harmbench.contracts.fit_data import FitData
from harmbench.contracts.model import Model
from harmbench.contracts.needs import Needs
from harmbench.contracts.published import Published
from harmbench.data.scans import Scans


class Method(Model):
    """A harmonisation method: maps source scans to the look of the target domain.

    `Model` describes how it is fitted, stored and configured. It receives the data that its
    `needs` entitle it to, and never labels. `forward` must treat every scan of a batch by
    itself.

    Attributes
    ----------
    needs
        The data it is entitled to.
    reference
        DOI or address of the paper, or None.
    control
        `"floor"` or `"ceiling"` for a method that bounds the scale, else None.
    ablations
        What `harmbench ablate` changes: settings by title, such as
        `{"no flow": {"alpha": 0.0}}`.
    published
        The ablation table of the method's paper, shown beside ours; or None.
    expected_failures
        Checks of `harmbench check` that it fails, each with the reason.
    """

    needs: ClassVar[Needs]
    reference: ClassVar[str | None] = None
    control: ClassVar[str | None] = None
    ablations: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    published: ClassVar[Published | None] = None
    expected_failures: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def learns(cls) -> bool:
        """Whether there is anything to fit."""
        return cls.needs not in (Needs.NOTHING, Needs.TRUTH)

    @classmethod
    def entitled(cls, data: FitData) -> FitData:
        """Return what the method's needs entitle it to; there are no labels in it."""
        return data.restricted(cls.needs)

    @abstractmethod
    def forward(self, scans: Scans) -> Scans:
        """Harmonise N scans.

        Parameters
        ----------
        scans
            Images `(N, S, H, W)` float32 in [0, 1], on the method's device; not to be
            written to.

        Returns
        -------
        Scans
            Images of the same shape and type, in [0, 1]: `scans.with_images(...)`.
        """

    def __call__(self, scans: Scans) -> Scans:
        """Harmonise N scans; see `forward`."""
        return cast("Scans", super().__call__(scans))
