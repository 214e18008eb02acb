"""Stored fits: looking them up, and rebuilding the fitted method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch

from harmbench.contracts.method import Method
from harmbench.contracts.model import Model, fit_settings
from harmbench.data.scans import Grid
from harmbench.errors import UserError
from harmbench.execution.plan import settings
from harmbench.plugins import Registry
from harmbench.store.fit_descriptions import stored_fits
from harmbench.store.stores import FitStore
from harmbench.util.seeds import seeded

M = TypeVar("M", bound=Model)


def build(
    cls: type[M],
    *,
    name: str,
    grid: Grid,
    config: Any,
    seed: int,
    device: torch.device | str,
) -> M:
    """Build a model on a device, with the weights that its seed gives before a fit."""
    with seeded(seed, "initialise", name):
        return cls(grid, config).to(device)


def find_fit(home: Path, prefix: str) -> tuple[str, Mapping[str, Any]]:
    """Return key and description of the only fitted method whose key begins with `prefix`.

    Raises
    ------
    UserError
        If no fit or several fits match.
    """
    fits = stored_fits(home)
    keys = [key for key in fits if key.startswith(prefix)]
    if not keys:
        hint = "`harmbench harmonize --fits` lists them" if fits else "the store has no fits yet"
        raise UserError(f"no fit '{prefix}' in {home / 'fits'}; {hint}")
    if len(keys) > 1:
        raise UserError(f"fit '{prefix}' is ambiguous: {', '.join(keys)}; give more of the key")
    return keys[0], fits[keys[0]]


def class_of_fit(registry: Registry, key: str, fit: Mapping[str, Any]) -> type[Method]:
    """Return the class of a fitted method.

    Raises
    ------
    UserError
        If the method is not installed, or has another version than the fit.
    """
    cls: type[Method] = registry.entry("methods", fit["method"]).load()
    if fit["version"] != cls.version:
        raise UserError(
            f"the fit {key} is of version {fit['version']} of '{fit['method']}', but version "
            f"{cls.version} is installed; give --method to fit that version"
        )
    return cls


def config_of_fit(
    key: str, fit: Mapping[str, Any], cls: type[Method], assignments: Sequence[str] = ()
) -> Any:
    """Return the config of a fit.

    Settings that act at inference only are as in the preset, or as assigned: fits are shared
    between their values.

    Raises
    ------
    UserError
        If the fit lacks a setting, or an assignment changes a setting that it depends on.
    """
    name = fit["method"]
    preset = cls.preset(fit["preset"])
    names = fit_settings(preset)
    unknown = [setting for setting in names if setting not in fit["settings"]]
    if unknown:
        raise UserError(
            f"the fit {key} was made before '{name}' had the setting '{unknown[0]}'; give "
            "--method to fit again"
        )
    fixed = {setting: fit["settings"][setting] for setting in names}
    config = settings.change(name, preset, fixed, "fit of")
    values = settings.parse(assignments)
    if values.keys() - {name}:
        raise UserError(f"--set {min(values.keys() - {name})}: the fit {key} is of '{name}'")
    for setting in values.get(name, {}):
        if setting in fixed:
            raise UserError(
                f"--set {name}.{setting}: the fit {key} depends on it; give --method to fit again"
            )
    return settings.apply(name, config, values.get(name, {}))


def load_fitted(
    key: str,
    *,
    home: Path,
    plugins: Sequence[Path] = (),
    device: torch.device | str = "cpu",
    config: Any = None,
) -> Method:
    """Rebuild a fitted method from the store of a home folder; see `harmbench.load_fitted`."""
    key, fit = find_fit(home, key)
    cls = class_of_fit(Registry.discover(tuple(plugins), home=home), key, fit)
    method = build(
        cls,
        name=fit["method"],
        grid=Grid.of(fit["grid"]),
        config=config_of_fit(key, fit, cls) if config is None else config,
        seed=fit["seed"],
        device=device,
    )
    if FitStore(home / "fits").load(key, method) is None:
        raise UserError(f"the fit {key} is damaged; give --method to fit again")
    return method.eval()
