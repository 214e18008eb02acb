"""Harmonise one NIfTI file in its own space."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from harmbench.data.prepare_options import DEFAULT_PREPARE_OPTIONS, PrepareOptions
from harmbench.errors import BadScanError, DivergedError, UserError
from harmbench.harmonization.familiarity import familiarity, warning_of
from harmbench.harmonization.figure import before_after
from harmbench.harmonization.harmonizer import Harmonizer
from harmbench.harmonization.output_paths import OutputPaths
from harmbench.harmonization.scan_change import ReadScan, scan_change
from harmbench.harmonization.scan_covariates import typed_row
from harmbench.preprocessing.bias_field import VERSION as N4_VERSION
from harmbench.preprocessing.bias_field import correct_bias_field
from harmbench.preprocessing.brain import Brain
from harmbench.preprocessing.file_names import with_ending
from harmbench.preprocessing.mask_agreement import register_checked
from harmbench.preprocessing.mask_cache import Mask
from harmbench.preprocessing.masking import BrainSource, mask_scan
from harmbench.preprocessing.nifti_read import Volume
from harmbench.preprocessing.nifti_write import ChangedFile, NativeScan, load_native
from harmbench.preprocessing.registration_quality import DOUBTFUL_CORRELATION
from harmbench.preprocessing.undefined_voxels import filled_note
from harmbench.util.files import atomic_write_bytes, hold_lock
from harmbench.util.hashing import bytes_digest, digest, file_digest
from harmbench.util.progress import Progress

# A brain-extracted scan has at most this fraction of its brain's volume outside the mask.
_MOST_OUTSIDE = 0.05


@dataclass(frozen=True)
class HarmonizeOptions:
    """Options for all scans of a command.

    Attributes
    ----------
    blend
        Width in mm over which the change fades in at the border of the changed region.
    all_slices
        Whether slices outside the grid are harmonised too.
    force
        Whether to replace existing outputs of another fit or other options.
    prepare_options
        How scans are prepared: like those of the fit.
    """

    blend: float
    all_slices: bool = True
    force: bool = False
    prepare_options: PrepareOptions = DEFAULT_PREPARE_OPTIONS


@dataclass(frozen=True, kw_only=True)
class HarmonizeJob:
    """One scan to harmonise.

    Attributes
    ----------
    path, content
        The file, and its digest; None if it cannot be read.
    brain
        How the brain is extracted.
    source
        Name of the file in the record.
    outputs
        Paths to write.
    options
        How the scan is harmonised.
    covariates
        Those that the method declares, as texts by name; an empty text where it is missing.
    """

    path: Path
    content: str | None
    brain: BrainSource
    source: str
    outputs: OutputPaths
    options: HarmonizeOptions
    covariates: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the scan in messages: its path in its folder."""
        return self.source.removeprefix("bids:raw:")


@dataclass(frozen=True)
class HarmonizedScan:
    """Result of a job: the record of the harmonised scan, or the reason of a failure.

    Attributes
    ----------
    error
        Why the scan cannot be harmonised, or None.
    existing
        Whether the outputs existed already.
    record
        The scan's own part of the record in its sidecar.
    """

    error: str | None = None
    existing: bool = False
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def warning(self) -> str | None:
        """Reasons to inspect the result, or None."""
        record, reasons = self.record, []
        correlation = record.get("TemplateCorrelation", 1.0)
        if correlation < DOUBTFUL_CORRELATION:
            reasons.append(
                f"low correlation with the template ({correlation:.2f}); check the registration"
            )
        reasons += record.get("Geometry", ())
        if record.get("VoxelsFilled"):
            reasons.append(
                f"{filled_note(record['VoxelsFilled'])}; they stay undefined in the output"
            )
        if record.get("ConvertedFrom"):
            reasons.append(f"the {record['ConvertedFrom']} image is written as NIfTI")
        if record.get("StoredAs"):
            reasons.append(
                f"stored as {record['StoredAs']}, since rounding to the file's own type and "
                "scale would lose the change"
            )
        if record.get("VoxelsClipped"):
            reasons.append(
                f"{record['VoxelsClipped']} voxels were clipped to the range of the file's type"
            )
        reasons += record.get("Flags", ())
        unlike = warning_of(record.get("Familiarity"))
        if unlike is not None:
            reasons.append(unlike)
        return "; ".join(reasons) or None


def harmonize_file(job: HarmonizeJob, harmonizer: Harmonizer) -> HarmonizedScan:
    """Harmonise a file unless its outputs exist.

    Files are written atomically, the scan last: if the scan exists, all its files do.

    Raises
    ------
    UserError
        If an output cannot be written.
    """
    existing = finished_result(job, harmonizer)
    if existing is not None:
        return existing
    outputs = job.outputs
    try:
        record, contents = _harmonized(job, harmonizer)
    except (BadScanError, DivergedError) as error:
        return HarmonizedScan(error=str(error))
    description = {
        "Description": f"T1w scan harmonised by {harmonizer.title}",
        "Sources": [job.source],
        "SkullStripped": record.pop("SkullStripped"),
        "Harmonization": {"Key": _key(job, harmonizer), **record, **harmonizer.record},
    }
    contents[outputs.sidecar] = json.dumps(description, indent=1).encode()
    try:
        for path, content in sorted(contents.items(), key=lambda item: item[0] == outputs.scan):
            atomic_write_bytes(path, content)
    except OSError as error:
        raise UserError(f"the harmonised scan cannot be written: {error}") from error
    return HarmonizedScan(record=record)


def harmonize_scan(job: HarmonizeJob, harmonizer: Harmonizer, progress: Progress) -> HarmonizedScan:
    """Harmonise one file while no other process writes to its output.

    Raises
    ------
    BadScanError
        If the scan cannot be harmonised.
    UserError
        If an output cannot be written.
    """
    with output_lock(job.outputs.scan, harmonizer.home, progress):
        result = harmonize_file(job, harmonizer)
    if result.error is not None:
        raise BadScanError(result.error)
    return result


def finished_result(job: HarmonizeJob, harmonizer: Harmonizer) -> HarmonizedScan | None:
    """Return the result without computing it, if the output exists; None otherwise."""
    outputs = job.outputs
    if not outputs.scan.exists():
        return None
    record = _recorded(outputs)
    if record.get("Key") != _key(job, harmonizer):
        if job.options.force:
            return None
        return HarmonizedScan(error=_not_ours(outputs))
    others = [outputs.sidecar, outputs.mask, outputs.figure]
    if all(path is None or path.exists() for path in others):
        return HarmonizedScan(existing=True, record=record)
    return None


def foreign_output(job: HarmonizeJob) -> str | None:
    """Return why an existing output may not be replaced, as far as it is known without a fit."""
    if job.options.force or not job.outputs.scan.exists() or _recorded(job.outputs):
        return None
    return _not_ours(job.outputs)


def _not_ours(outputs: OutputPaths) -> str:
    return (
        f"{outputs.scan} exists and is not the result of this fit and scan; "
        "give --force to replace it"
    )


def _key(job: HarmonizeJob, harmonizer: Harmonizer) -> str:
    options = job.options
    inputs: list[str | None] = [job.brain.content]
    if job.brain.extractor is not None:
        inputs.append(job.brain.extractor.title)
    if options.prepare_options.n4:
        inputs.append(digest("n4", N4_VERSION))
    if job.covariates:
        inputs.append(digest("covariates", dict(job.covariates)))
    return digest("harmonized", harmonizer.key, *inputs, options.blend, options.all_slices)


def output_lock(out: Path, home: Path, progress: Progress) -> AbstractContextManager[None]:
    """Lock an output file or folder; wait while another process holds the lock."""
    lock = home / "locks" / f"{digest('harmonize', str(out.resolve()))}.lock"
    return hold_lock(lock, f"waiting for another process that writes to {out}", progress)


def _recorded(outputs: OutputPaths) -> Mapping[str, Any]:
    """Read the sidecar's record; empty if its digest does not match the scan."""
    try:
        record: dict[str, Any] = json.loads(outputs.sidecar.read_text())["Harmonization"]
        matches = record["OutputDigest"] == file_digest(outputs.scan)
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return record if matches else {}


def _harmonized(
    job: HarmonizeJob, harmonizer: Harmonizer
) -> tuple[dict[str, Any], dict[Path, bytes]]:
    """Harmonise the scan: its record, and the content of each output except the sidecar."""
    n4 = job.options.prepare_options.n4
    covariates = typed_row(job.covariates, harmonizer.covariates)
    native = load_native(job.path)
    scan = mask_scan(native.volume, job.brain, harmonizer.home)
    brain = scan.brain
    checked = register_checked(scan, job.path.name, harmonizer.home)
    registration = checked.registration
    corrected, bias = correct_bias_field(brain) if n4 else (brain, None)
    subject, session = names_of(job.path)
    read = ReadScan(
        source=job.brain,
        volume=native.volume,
        brain=corrected,
        registration=registration,
        subject=subject,
        session=session,
        covariates=covariates,
    )
    options = job.options
    change = scan_change(harmonizer, read, blend=options.blend, all_slices=options.all_slices)
    added, changed = change.added, change.changed
    known = familiarity(harmonizer, corrected, registration, native.volume.voxel_size)
    if bias is not None:
        added[brain.box] *= bias
    result = native.with_change(added, brain.floor)
    contents = _contents(job, native, result, changed, harmonizer.title)
    record = {
        "SkullStripped": not job.brain.heads and _is_stripped(native.volume, brain),
        "SoftwareVersion": version("harmbench"),
        "SourceDigest": job.content,
        "Covariates": dict(job.covariates),
        "OutputDigest": bytes_digest(contents[job.outputs.scan]),
        "BrainExtraction": scan.extraction,
        "BiasCorrection": "N4" if n4 else None,
        "TemplateCorrelation": round(registration.correlation, 4),
        "TemplateScales": [round(scale, 4) for scale in registration.scales],
        "RegistrationStarts": registration.starts,
        "TemplateDice": None if checked.agreement is None else round(checked.agreement.dice, 4),
        "VoxelsChanged": int(np.count_nonzero(changed)),
        "BrainVoxelsNotSeen": int(np.count_nonzero(brain.mask & ~changed[brain.box])),
        "VoxelsClipped": result.clipped,
        "VoxelsFilled": scan.voxels_filled,
        "StoredAs": None if result.encoding is None else result.encoding.title,
        "ConvertedFrom": native.converted,
        "Geometry": list(native.volume.facts.notes),
        **change.facts,
        "Flags": [*checked.doubts, *change.flags],
        "Familiarity": None if known is None else known.record,
    }
    return record, contents


def _contents(
    job: HarmonizeJob, native: NativeScan, result: ChangedFile, changed: Mask, method: str
) -> dict[Path, bytes]:
    """Return the content of the scan, and of the mask and the figure where they are wanted."""
    outputs = job.outputs
    contents = {outputs.scan: _compressed(outputs.scan, result.content)}
    if outputs.mask is not None:
        contents[outputs.mask] = _compressed(outputs.mask, native.mask_file(changed))
    if outputs.figure is not None:
        title = f"{job.path.name}, {method}"
        contents[outputs.figure] = before_after(native.volume, result.intensities, changed, title)
    return contents


def _is_stripped(volume: Volume, brain: Brain) -> bool:
    """Whether next to nothing of a volume lies outside its brain."""
    size = np.count_nonzero(brain.mask)
    return bool(np.count_nonzero(volume.data) - size < _MOST_OUTSIDE * size)


def names_of(path: Path) -> tuple[str, str]:
    """Return subject and session from a BIDS file name; else the name itself and "1"."""
    subject, session = (re.search(rf"{entity}-([^_.]+)", path.name) for entity in ("sub", "ses"))
    return (subject[1] if subject else with_ending(path, "").name), (session[1] if session else "1")


def _compressed(path: Path, content: bytes) -> bytes:
    """Compress the content of a `.gz` file; without a time, so that bytes are reproducible."""
    return gzip.compress(content, compresslevel=6, mtime=0) if path.suffix == ".gz" else content
