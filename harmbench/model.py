"""The machinery of everything that is fitted: its data, its settings, and where it is kept."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import torch
from torch import nn

from harmbench.data.scanset import ScanSet
from harmbench.errors import BlindnessError
from harmbench.hashing import digest
from harmbench.needs import Needs
from harmbench.progress import FitProgress
from harmbench.scans import Grid


@dataclass(frozen=True)
class FitData:
    """What a model is fitted on; it holds what the model is entitled to, no more.

    Attributes
    ----------
    target
        Training scans of the target domain.
    validation
        Scans of the target domain, of other people, to choose by; may be empty.
    seed
        Seed of the fit's random streams.
    """

    target: ScanSet
    validation: ScanSet
    seed: int
    _source: ScanSet | None = None
    _pairs: tuple[ScanSet, ScanSet] | None = None
    _labelled: tuple[ScanSet, ScanSet] | None = None

    @property
    def grid(self) -> Grid:
        """The grid all scans lie on."""
        return self.target.grid

    @property
    def source(self) -> ScanSet:
        """Training scans of the source domain.

        Raises
        ------
        BlindnessError
            Unless the method declared `Needs.UNPAIRED` or `Needs.PAIRED`.
        """
        if self._source is None:
            raise BlindnessError(
                "the source domain was asked for by a method that declares not to need it; "
                "declare needs = Needs.UNPAIRED if it is no blind method"
            )
        return self._source

    @property
    def pairs(self) -> tuple[ScanSet, ScanSet]:
        """Source and target scans of the same people, in the same space and order.

        Raises
        ------
        BlindnessError
            Unless the method declared `Needs.PAIRED`.
        """
        if self._pairs is None:
            raise BlindnessError(
                "pairs were asked for by a method that declares not to need them; "
                "declare needs = Needs.PAIRED"
            )
        return self._pairs

    def restricted(self, needs: Needs) -> FitData:
        """Return the part that `needs` entitles to; the rest is not in the object at all."""
        paired = needs is Needs.PAIRED
        source = self._source if paired or needs is Needs.UNPAIRED else None
        pairs = self._pairs if paired else None
        return FitData(
            target=self.target.without_labels(),
            validation=self.validation.without_labels(),
            seed=self.seed,
            _source=source and source.without_labels(),
            _pairs=pairs and (pairs[0].without_labels(), pairs[1].without_labels()),
        )

    def of_target(self) -> FitData:
        """Return the target domain alone, with its labels, and those scans alone that have any."""
        return FitData(*(self._labelled or (self.target, self.validation)), self.seed)

    @property
    def digest(self) -> str:
        """Content hash of the data, without the seed."""
        pairs = None if self._pairs is None else [side.digest for side in self._pairs]
        source = None if self._source is None else self._source.digest
        return digest("fit data", self.target.digest, self.validation.digest, source, pairs)


def at_inference(default: Any) -> Any:
    """Declare a config field that acts when harmonising only, so that a fit is shared over it.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class Config:
    ...     width: int = 32
    ...     alpha: float = at_inference(1e-3)
    """
    return field(default=default, metadata={"at_inference": True})


def fit_settings(config: Any) -> dict[str, Any]:
    """Return the config's values that a fit depends on, by name."""
    return {
        item.name: getattr(config, item.name)
        for item in dataclasses.fields(config)
        if not item.metadata.get("at_inference")
    }


@dataclass(frozen=True)
class NoConfig:
    """The config of a model without settings."""


class Model(nn.Module, ABC):
    """Anything that is fitted, stored under the hash of all that went into it, and loaded.

    What `fit` learns must end in parameters and buffers: they are what is stored, loaded
    and moved to a device.

    Parameters
    ----------
    grid
        The grid that scans lie on.
    config
        An instance of `Config`; the preset named as the grid, if None.

    Attributes
    ----------
    name
        As on the command line.
    summary
        One line on what it does.
    version
        Raised by the author whenever the same config would give another result.
    Config
        Frozen dataclass of the settings.
    presets
        Settings by preset; a model without presets runs under any with its defaults.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    version: ClassVar[str] = "1"
    Config: ClassVar[type[Any]] = NoConfig
    presets: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, grid: Grid, config: Any = None) -> None:
        super().__init__()
        self.grid = grid
        self.config = self.preset(grid.name) if config is None else config

    @classmethod
    def preset(cls, name: str) -> Any:
        """Return the settings of a preset, or the defaults where the model has no presets."""
        return cls.presets.get(name, cls.Config()) if cls.presets else cls.Config()

    @classmethod
    def learns(cls) -> bool:
        """Whether there is anything to fit."""
        return True

    @classmethod
    @abstractmethod
    def entitled(cls, data: FitData) -> FitData:
        """Return the part of the data that `fit` may see; the rest is not in it at all."""

    @classmethod
    def parts(cls, config: Any) -> Mapping[str, tuple[type[Model], Any]]:
        """Name the models that this one is built on, with their settings.

        Each is an attribute that `__init__` makes of that class and settings. It is fitted
        before `fit` is called, or taken from the store: what several models are built
        on, or what is a method of its own, is fitted once for all of them.
        """
        return {}

    def train(self, mode: bool = True) -> Self:
        """Switch the mode, but not of parts: they are fitted, and their batch norms stay fixed."""
        super().train(mode)
        for attribute in self.parts(self.config):
            getattr(self, attribute).eval()
        return self

    @property
    def device(self) -> torch.device:
        """The device of the model's first parameter or buffer; the CPU if it has none."""
        for tensor in (*self.parameters(), *self.buffers()):
            return tensor.device
        return torch.device("cpu")

    def fit(self, data: FitData, progress: FitProgress) -> None:
        """Learn from `data`. A model with nothing to learn leaves this out.

        Parameters
        ----------
        data
            What it is entitled to.
        progress
            Shows and records how far the fit has come, and keeps what it goes on from after
            a kill; `harmbench.train` sees to all of that.
        """


def n_parameters(model: Model) -> int:
    """Count the learnable parameters."""
    return sum(parameter.numel() for parameter in model.parameters())
