"""The base class of everything that is fitted: settings, parts, state."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import torch
from torch import nn

from harmbench.contracts.fit_data import FitData
from harmbench.contracts.fit_progress import FitProgress
from harmbench.data.scans import Grid


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
        Increased by the author when the method is another one than before. Changes of code
        alone are noticed without it.
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
