"""Harmonising files: a scan goes in as a NIfTI file and comes out as one, in its own space."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harmbench.beforeafter import before_after
from harmbench.data.bias import VERSION as N4
from harmbench.data.bias import without_bias
from harmbench.data.brain import BrainSource, cut
from harmbench.data.cohort import DEFAULT_NORMALIZATION
from harmbench.data.io import Array
from harmbench.data.job import registered
from harmbench.data.native import load_native
from harmbench.data.normalize import normalization
from harmbench.data.prepare import VERSION as PREPARING
from harmbench.data.preparing import DEFAULT_PREPARING, Preparing
from harmbench.data.register import DOUBTFUL_CORRELATION
from harmbench.data.tree import beside
from harmbench.data.whole import Stack, change_in_scan, units, whites, whole_stack, windows
from harmbench.errors import BadScanError, DivergedError, HarmbenchError, UserError
from harmbench.files import alone, write_whole
from harmbench.hashing import bytes_digest, canonical, digest, file_digest
from harmbench.method import Method
from harmbench.model import fit_settings
from harmbench.plugins import Registry, code_version, one_line
from harmbench.progress import Progress
from harmbench.run import settings
from harmbench.run.apply import harmonized_by
from harmbench.run.store import FitStore
from harmbench.scans import Grid, Scans
from harmbench.seeds import seeded

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


@dataclass(frozen=True)
class Outputs:
    """Where the files of a scan go; a mask or a figure that is None is not written."""

    scan: Path
    mask: Path | None
    figure: Path | None

    @property
    def sidecar(self) -> Path:
        """The JSON file beside the scan, with what was done."""
        return beside(self.scan, ".json")


@dataclass(frozen=True)
class Manner:
    """How the scans of a command are harmonised.

    Attributes
    ----------
    blend
        Over how many mm the change fades at the border of what is changed.
    beyond
        Whether slices beyond the grid are harmonised, too.
    force
        Whether outputs that are there, but were made otherwise, are replaced.
    preparing
        How the scans are prepared, as those of the fit were.
    """

    blend: float
    beyond: bool = True
    force: bool = False
    preparing: Preparing = DEFAULT_PREPARING


@dataclass(frozen=True)
class Errand:
    """One scan to harmonise.

    Attributes
    ----------
    path, content
        The file, and its digest; None if it cannot be read.
    brain
        What the brain is cut out of.
    source
        What the file is called in the record.
    outputs
        Where the results go.
    manner
        How it is to be done.
    """

    path: Path
    content: str | None
    brain: BrainSource
    source: str
    outputs: Outputs
    manner: Manner


@dataclass(frozen=True)
class Outcome:
    """What became of a scan: why it cannot be harmonised, or what is recorded of it.

    Attributes
    ----------
    error
        The reason, or None.
    there
        Whether it had been harmonised before.
    record
        What is recorded in its sidecar of this scan alone.
    """

    error: str | None = None
    there: bool = False
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def doubt(self) -> str | None:
        """What there is to be looked at, or None."""
        correlation = self.record.get("TemplateCorrelation", 1.0)
        doubts = list(self.record.get("Flags", ()))
        if correlation < DOUBTFUL_CORRELATION:
            doubts.insert(0, f"correlation {correlation:.2f} with the template is low")
        return "; ".join(doubts) or None


def harmonize_file(errand: Errand, harmonizer: Harmonizer) -> Outcome:
    """Harmonise a file, unless that was done before.

    Every file is written under another name and then renamed, the scan last: once it has
    its name, all is there.

    Raises
    ------
    UserError
        If the results cannot be written.
    """
    known = already(errand, harmonizer)
    if known is not None:
        return known
    outputs = errand.outputs
    try:
        record, contents = _harmonized(errand, harmonizer)
    except (BadScanError, DivergedError) as error:
        return Outcome(error=str(error))
    record = {"Key": _key(errand, harmonizer), **record, **harmonizer.record}
    description = {
        "Description": f"T1w scan harmonised by {harmonizer.title}",
        "Sources": [errand.source],
        "Harmonization": record,
    }
    contents[outputs.sidecar] = json.dumps(description, indent=1).encode()
    try:
        for path, content in sorted(contents.items(), key=lambda item: item[0] == outputs.scan):
            write_whole(path, content)
    except OSError as error:
        raise UserError(f"the harmonised scan cannot be written: {error}") from error
    return Outcome(record=record)


def already(errand: Errand, harmonizer: Harmonizer) -> Outcome | None:
    """Say what there is no need to compute: that it is there, or that it must not be replaced."""
    outputs = errand.outputs
    if not outputs.scan.exists():
        return None
    known = _recorded(outputs)
    if known.get("Key") != _key(errand, harmonizer):
        if errand.manner.force:
            return None
        return Outcome(
            error=f"{outputs.scan} exists and was not made by this fit of this file; "
            "give --force to replace it"
        )
    wanted = [outputs.sidecar, outputs.mask, outputs.figure]
    if all(path is None or path.exists() for path in wanted):
        return Outcome(there=True, record=known)
    return None


def _key(errand: Errand, harmonizer: Harmonizer) -> str:
    manner = errand.manner
    inputs: list[str | None] = [errand.brain.content]
    if errand.brain.extractor is not None:
        inputs.append(errand.brain.extractor.title)
    if manner.preparing.n4:
        inputs.append(digest("n4", N4))
    return digest("harmonized", harmonizer.key, *inputs, manner.blend, manner.beyond)


def only_writer(out: Path, home: Path, progress: Progress) -> AbstractContextManager[None]:
    """Wait until no other process writes to a file or folder, and keep others from it."""
    lock = home / "locks" / f"{digest('harmonize', str(out.resolve()))}.lock"
    return alone(lock, f"another process is writing to {out}; waiting for it", progress)


def _recorded(outputs: Outputs) -> Mapping[str, Any]:
    """Return what the sidecar says of the scan beside it; nothing if that is another."""
    try:
        record: dict[str, Any] = json.loads(outputs.sidecar.read_text())["Harmonization"]
        own = record["OutputDigest"] == file_digest(outputs.scan)
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return record if own else {}


def _harmonized(errand: Errand, harmonizer: Harmonizer) -> tuple[dict[str, Any], dict[Path, bytes]]:
    """Do the work: what is recorded of it, and the content of each file but the sidecar."""
    blend = errand.manner.blend
    native = load_native(errand.path)
    own = cut(errand.brain, harmonizer.home)
    brain, n4 = own.brain, errand.manner.preparing.n4
    registration = registered(own.content, harmonizer.home, brain)
    shown, bias = without_bias(brain) if n4 else (brain, None)
    stack = whole_stack(shown, registration, harmonizer.grid, beyond=errand.manner.beyond)
    change, flags = _by_windows(harmonizer, stack, *_person(errand.path))
    added, changed = change_in_scan(change, stack, native.volume, brain, registration, blend)
    if bias is not None:
        added[brain.box] *= bias
    content, after, clipped = native.with_change(added)
    outputs = errand.outputs
    contents = {outputs.scan: _as_named(outputs.scan, content)}
    if outputs.mask is not None:
        contents[outputs.mask] = _as_named(outputs.mask, native.mask_file(changed))
    if outputs.figure is not None:
        title = f"{errand.path.name}, {harmonizer.title}"
        contents[outputs.figure] = before_after(native.volume, after, changed, title)
    record = {
        "SoftwareVersion": version("harmbench"),
        "SourceDigest": errand.content,
        "OutputDigest": bytes_digest(contents[outputs.scan]),
        "BrainExtraction": own.how,
        "BiasCorrection": "N4" if n4 else None,
        "TemplateCorrelation": round(registration.correlation, 4),
        "SlicesHarmonized": int(stack.masks.any(axis=(1, 2)).sum()),
        "SlicesBeyondGrid": len(stack.images) - harmonizer.grid.shape[0],
        "VoxelsChanged": int(np.count_nonzero(changed)),
        "BrainVoxelsNotSeen": int(np.count_nonzero(brain.mask & ~changed[brain.box])),
        "VoxelsClipped": clipped,
        "BlendMillimetres": blend,
        "Flags": flags,
    }
    return record, contents


def _by_windows(
    harmonizer: Harmonizer, stack: Stack, person: str, session: str
) -> tuple[Array, list[str]]:
    """Harmonise a stack by windows of the grid's size.

    A window is normalised as a scan of a cohort is, and what the method changes of it is
    made to be of the scan's own intensities again: the contrast becomes the target's, the
    scale stays the scan's.

    Returns
    -------
    tuple
        `(K, H, W)` float32: the change, in the scan's own intensities; and what the method
        warned of, each once.
    """
    method = harmonizer.build()
    flags: dict[str, None] = {}
    normalize = normalization(harmonizer.normalization)
    size = harmonizer.grid.shape[0]
    grid = range(stack.first, stack.first + size)
    white = whites(stack, size)
    positions = torch.tensor(stack.grid.positions, dtype=torch.float32)
    change, total = np.zeros_like(stack.images), np.zeros((len(stack.images), 1, 1), np.float32)
    for window in windows(len(stack.images), stack.first, size):
        slices = list(window.slices)
        own, masks = stack.images[slices], stack.masks[slices]
        normalized = normalize(own, masks, harmonizer.standard)
        if harmonizer.normalization == DEFAULT_NORMALIZATION:
            for place, k in enumerate(slices):
                if k not in grid and white[k] > 0:
                    normalized[place] = (own[place] / white[k]).clip(0, 1)
        shown = Scans(
            images=torch.from_numpy(normalized)[None],
            masks=torch.from_numpy(masks)[None],
            people=(person,),
            sessions=(session,),
            positions=positions[slices],
        )
        try:
            # One at a time, so that what a method draws is what it draws in the benchmark.
            answer = harmonized_by(
                method, shown, None, harmonizer.seed, torch.device(harmonizer.device)
            )
        except HarmbenchError:
            raise
        except Exception as error:
            raise BadScanError(f"{harmonizer.method} failed: {one_line(error)}") from error
        flags |= dict.fromkeys(flag for flag in answer.flags or () if flag)
        difference = answer.images[0].numpy() - normalized
        difference *= units(own, normalized, masks)[:, None, None]
        weights = np.array(window.weights, dtype=np.float32)[:, None, None]
        change[slices] += weights * difference
        total[slices] += weights
    return change / total, list(flags)


def _person(path: Path) -> tuple[str, str]:
    """Return person and session by the file's name, as BIDS has them; else the name itself."""
    person, session = (re.search(rf"{entity}-([^_.]+)", path.name) for entity in ("sub", "ses"))
    return (person[1] if person else beside(path, "").name), (session[1] if session else "1")


def _as_named(path: Path, content: bytes) -> bytes:
    # Without the time of day: the same scan and fit give the same bytes.
    return gzip.compress(content, compresslevel=6, mtime=0) if path.suffix == ".gz" else content
