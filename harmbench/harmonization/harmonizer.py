"""A fitted method with everything needed to apply it to a scan."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from harmbench.contracts.method import Method
from harmbench.contracts.model import fit_settings
from harmbench.data.prepare_options import DEFAULT_NORMALIZATION
from harmbench.data.scans import Grid
from harmbench.errors import UserError
from harmbench.execution.plan import settings
from harmbench.plugins import Registry, code_version
from harmbench.preprocessing.normalization import normalization
from harmbench.preprocessing.version import PREPROCESSING_VERSION as PREPARING
from harmbench.store.stores import FitStore
from harmbench.util.hashing import canonical, digest
from harmbench.util.seeds import seeded

# Raised whenever the same scan and fit would give another file.
VERSION = 1


@dataclass(frozen=True)
class Harmonizer:
    """A method with its fit, in words: what any process needs to build and apply it.

    Attributes
    ----------
    method, code, preset, seed, grid
        As of the fit; `code` identifies the method's version.
    settings
        Its whole config, as JSON.
    fit
        Key of its fit in the store, or None for a method with nothing to learn.
    target
        The domain it harmonises to, or None where that is not known.
    task, cohort
        What the fit was chosen by, or None.
    normalization, standard
        How the fit's scans were normalised, and the standard that this learnt or `()`.
    prepared
        What else was done to the fit's scans (`Preparing.labels`), and is to a scan.
    plugins
        Files that the method may come from.
    home
        Folder of the stores.
    device
        Where it is applied.
    """

    method: str
    code: str
    preset: str
    seed: int
    grid: Grid
    settings: str
    fit: str | None
    target: str | None
    task: str | None
    cohort: str | None
    normalization: str
    standard: tuple[float, ...]
    prepared: tuple[str, ...]
    plugins: tuple[Path, ...]
    home: Path
    device: str

    @property
    def key(self) -> str:
        """Content hash of everything that the answer to a scan depends on."""
        return digest(
            "harmonizer",
            VERSION,
            PREPARING,
            self.method,
            self.code,
            json.loads(self.settings),
            self.fit,
            self.seed,
            self.grid,
            normalization(self.normalization).key(self.standard),
        )

    @property
    def title(self) -> str:
        """The method, and where it harmonises to."""
        return self.method + (f" to '{self.target}'" if self.target else "")

    @property
    def record(self) -> dict[str, Any]:
        """What is recorded with every file, as JSON types."""
        return {
            "Method": self.method,
            "MethodVersion": self.code,
            "Settings": json.loads(self.settings),
            "Preset": self.preset,
            "Seed": self.seed,
            "Fit": self.fit,
            "TargetDomain": self.target,
            "Task": self.task,
            "Cohort": self.cohort,
            "Normalization": self.normalization,
            "Grid": canonical(self.grid),
        }

    def build(self) -> Method:
        """Build the method with its fit, on the device.

        Raises
        ------
        UserError
            If the fit is not in the store any more, or damaged.
        """
        return _built(self)


@lru_cache(maxsize=1)
def _built(harmonizer: Harmonizer) -> Method:
    kind = Registry.discover(harmonizer.plugins).entry("methods", harmonizer.method).load()
    config = configured(kind, harmonizer.method, harmonizer.preset, harmonizer.settings)
    with seeded(harmonizer.seed, "initialise", harmonizer.method):
        method: Method = kind(harmonizer.grid, config).to(harmonizer.device)
    key = harmonizer.fit
    if key is not None and FitStore(harmonizer.home / "fits").load(key, method) is None:
        raise UserError(f"the fit {key} is missing or damaged; say --method to have it made again")
    return method.eval()


def configured(kind: type[Method], name: str, preset: str, values: str) -> Any:
    """Return a method's config: a preset's, with values as `Harmonizer.settings` has them."""
    return settings.change(name, kind.preset(preset), json.loads(values), "fit of")


def stored_fits(home: Path) -> dict[str, Mapping[str, Any]]:
    """Return the descriptions of all fitted methods in the store, by key."""
    found = {}
    for path in sorted((home / "fits").glob("[!.]*/fit.json")):
        try:
            fit = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        if fit.get("kind", "method") == "method":  # instruments harmonise nothing
            found[path.parent.name] = fit
    return found


def from_fit(
    registry: Registry,
    prefix: str,
    home: Path,
    device: str,
    plugins: tuple[Path, ...],
    assignments: Sequence[str] = (),
) -> Harmonizer:
    """Return the harmoniser of a stored fit.

    What only acts when harmonising is as in the preset, or as `assignments` have it: fits are
    shared over such settings.

    Raises
    ------
    UserError
        If there is no such fit, or several, or its method is not what it was.
    """
    fits = stored_fits(home)
    keys = [key for key in fits if key.startswith(prefix)]
    if not keys:
        there = "there are none yet" if not fits else "`harmbench harmonize --fits` lists them"
        raise UserError(f"no fit '{prefix}' in {home / 'fits'}; {there}")
    if len(keys) > 1:
        raise UserError(f"fit '{prefix}' may be any of: {', '.join(keys)}; give more of the key")
    (key,) = keys
    fit = fits[key]
    name = fit["method"]
    kind: type[Method] = registry.entry("methods", name).load()
    if fit["version"] != kind.version:
        raise UserError(
            f"the fit {key} is of version {fit['version']} of '{name}', and {kind.version} is "
            "installed; say --method to fit that"
        )
    preset = kind.preset(fit["preset"])
    names = fit_settings(preset)
    unknown = [setting for setting in names if setting not in fit["settings"]]
    if unknown:
        raise UserError(
            f"the fit {key} was made before '{name}' had the setting '{unknown[0]}'; say --method "
            "to fit it anew"
        )
    fixed = {setting: fit["settings"][setting] for setting in names}
    config = settings.change(name, preset, fixed, "fit of")
    values = settings.parse(assignments)
    if values.keys() - {name}:
        raise UserError(f"--set {min(values.keys() - {name})}: the fit is of '{name}'")
    for setting in values.get(name, {}):
        if setting in fixed:
            raise UserError(f"--set {name}.{setting}: the fit {key} depends on it; say --method")
    config = settings.apply(name, config, values.get(name, {}))
    return Harmonizer(
        method=name,
        code=code_version(kind),
        preset=fit["preset"],
        seed=fit["seed"],
        grid=Grid.of(fit["grid"]),
        settings=json.dumps(canonical(config)),
        fit=key,
        target=fit["domain"],
        task=None,
        cohort=None,
        # Fits of before there was a choice do not tell.
        normalization=fit.get("normalization", DEFAULT_NORMALIZATION),
        standard=tuple(fit.get("standard", ())),
        prepared=tuple(fit.get("prepared", ())),
        plugins=plugins,
        home=home,
        device=device,
    )
