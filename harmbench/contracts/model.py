"""The base class of methods and instruments: settings, parts, state."""

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
    """Declare a config field that a fit does not depend on: configs with other values share it.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class Config:
    ...     width: int = 32
    ...     alpha: float = at_inference(1e-3)
    """
    return field(default=default, metadata={"at_inference": True})


def fit_settings(config: Any) -> dict[str, Any]:
    """Return the settings that a fit depends on, by name."""
    return {
        item.name: getattr(config, item.name)
        for item in dataclasses.fields(config)
        if not item.metadata.get("at_inference")
    }


@dataclass(frozen=True)
class NoConfig:
    """The config of a model without settings."""


class Model(nn.Module, ABC):
    """A model that is fitted, stored under the hash of all its inputs, and loaded.

    `fit` must leave its result in parameters and buffers: only these are stored, loaded
    and moved to a device. A buffer may get another shape in `fit`, such as one row per site;
    names and other JSON values are stored as `json_tensor`.

    Parameters
    ----------
    grid
        The grid that scans lie on.
    config
        An instance of `Config`, such as `preset("quick")`; the defaults of `Config`, if None.

    Attributes
    ----------
    name
        As on the command line.
    summary
        Description in one line.
    version
        Increased by the author when the method is another one than before. Changes of code
        alone are noticed without it.
    Config
        Frozen dataclass of the settings.
    presets
        Settings by preset name; a model without presets has its defaults under every preset.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    version: ClassVar[str] = "1"
    Config: ClassVar[type[Any]] = NoConfig
    presets: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, grid: Grid, config: Any = None) -> None:
        super().__init__()
        self.grid = grid
        self.config = self.Config() if config is None else config

    @classmethod
    def preset(cls, name: str) -> Any:
        """Return the settings of a preset, or the defaults if the model does not declare it."""
        return cls.presets[name] if name in cls.presets else cls.Config()

    @classmethod
    def learns(cls) -> bool:
        """Whether the model has anything to fit."""
        return True

    @classmethod
    @abstractmethod
    def entitled(cls, data: FitData) -> FitData:
        """Return the part of the data that `fit` may see, without the rest."""

    @classmethod
    def parts(cls, config: Any) -> Mapping[str, tuple[type[Model], Any]]:
        """Return the class and settings of each model that this model uses, by attribute.

        `__init__` creates each attribute with that class and these settings. Parts are fitted
        before `fit` is called, or loaded from the store: models that share a part, and a part
        that is itself a method, share one fit.
        """
        return {}

    def train(self, mode: bool = True) -> Self:
        """Set the mode; parts stay in eval mode, because they are fitted."""
        super().train(mode)
        for attribute in self.parts(self.config):
            getattr(self, attribute).eval()
        return self

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load parameters and buffers; a buffer takes the shape that the fit gave it."""
        buffers = dict(self.named_buffers())
        for name, value in state_dict.items():
            if name in buffers and buffers[name].shape != value.shape:
                owner, _, attribute = name.rpartition(".")
                empty = buffers[name].new_empty(value.shape)
                setattr(self.get_submodule(owner), attribute, empty)
        return super().load_state_dict(state_dict, strict, assign)

    @property
    def device(self) -> torch.device:
        """The device of the first parameter or buffer; the CPU if the model has none."""
        for tensor in (*self.parameters(), *self.buffers()):
            return tensor.device
        return torch.device("cpu")

    def fit(self, data: FitData, progress: FitProgress) -> None:
        """Learn from `data`; a model with nothing to learn does not define this.

        Parameters
        ----------
        data
            The data that `entitled` returns.
        progress
            Shows and records the progress of the fit, and keeps the checkpoints from which
            a killed fit resumes; `harmbench.train` does all of this.
        """


def n_parameters(model: Model) -> int:
    """Count the learnable parameters."""
    return sum(parameter.numel() for parameter in model.parameters())
