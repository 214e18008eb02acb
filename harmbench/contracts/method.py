"""The contract of a method, for plugin authors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

from harmbench.contracts.fit_data import FitData
from harmbench.contracts.model import Model
from harmbench.contracts.needs import Needs
from harmbench.contracts.published import Published
from harmbench.data.scans import Scans


class Method(Model):
    """A harmonisation method: maps source scans to the look of the target domain.

    `Model` describes how it is fitted, stored and configured. It receives the data that its
    `needs` entitle it to, and never labels. `forward` must process every scan of a
    batch independently.

    Attributes
    ----------
    needs
        The data that the method is entitled to.
    covariates
        Names of the covariates that the method uses, such as `("age", "sex")`. It receives them
        with the scans of the fit (`ScanSet.covariates`) and with the scans to harmonise
        (`Scans.covariates`), and no others.
    reference
        DOI or address of the paper, or None.
    control
        `"floor"` or `"ceiling"` for a control: the ends of the scale of the score. Else None.
    ablations
        The changes of `harmbench ablate`: settings by title, such as
        `{"no flow": {"alpha": 0.0}}`.
    published
        The ablation table of the method's paper, shown beside our results; or None.
    expected_failures
        Checks of `harmbench check` that fail, each with the reason.
    """

    needs: ClassVar[Needs]
    covariates: ClassVar[Sequence[str]] = ()
    reference: ClassVar[str | None] = None
    control: ClassVar[str | None] = None
    ablations: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    published: ClassVar[Published | None] = None
    expected_failures: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def learns(cls) -> bool:
        """Whether the method has anything to fit."""
        return cls.needs is not Needs.NOTHING and not cls.needs.control_only

    @classmethod
    def entitled(cls, data: FitData) -> FitData:
        """Return the data that the method is entitled to, without labels."""
        return data.restricted(cls.needs, cls.covariates)

    @abstractmethod
    def forward(self, scans: Scans) -> Scans:
        """Harmonise N scans.

        Parameters
        ----------
        scans
            Images `(N, S, H, W)` float32 in [0, 1], on the method's device; read
            only.

        Returns
        -------
        Scans
            Images of the same shape and type, in [0, 1]: `scans.with_images(...)`.
        """

    def __call__(self, scans: Scans) -> Scans:
        """Harmonise N scans; see `forward`."""
        return cast("Scans", super().__call__(scans))
