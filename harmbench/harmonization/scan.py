"""Harmonising one NIfTI file in its own space."""

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
from harmbench.harmonization.figure import before_after
from harmbench.harmonization.harmonizer import Harmonizer
from harmbench.harmonization.whole_brain import (
    change_in_scan,
    whole_stack,
)
from harmbench.harmonization.windows import by_windows
from harmbench.preprocessing.bias_field import VERSION as N4
from harmbench.preprocessing.bias_field import without_bias
from harmbench.preprocessing.brain import BrainSource, cut
from harmbench.preprocessing.file_names import beside
from harmbench.preprocessing.nifti_write import load_native
from harmbench.preprocessing.registration import DOUBTFUL_CORRELATION
from harmbench.preprocessing.registration_cache import registered
from harmbench.util.files import atomic_write_bytes, hold_lock
from harmbench.util.hashing import bytes_digest, digest, file_digest
from harmbench.util.progress import Progress


@dataclass(frozen=True)
class OutputPaths:
    """Where the files of a scan go; a mask or a figure that is None is not written."""

    scan: Path
    mask: Path | None
    figure: Path | None

    @property
    def sidecar(self) -> Path:
        """The JSON file beside the scan, with what was done."""
        return beside(self.scan, ".json")


@dataclass(frozen=True)
class HarmonizeOptions:
    """How the scans of a command are harmonised.

    Attributes
    ----------
    blend
        Over how many mm the change fades at the border of what is changed.
    all_slices
        Whether slices beyond the grid are harmonised, too.
    force
        Whether outputs that are there, but were made otherwise, are replaced.
    prepare_options
        How the scans are prepared, as those of the fit were.
    """

    blend: float
    all_slices: bool = True
    force: bool = False
    prepare_options: PrepareOptions = DEFAULT_PREPARE_OPTIONS


@dataclass(frozen=True)
class HarmonizeJob:
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
    options
        How it is to be done.
    """

    path: Path
    content: str | None
    brain: BrainSource
    source: str
    outputs: OutputPaths
    options: HarmonizeOptions


@dataclass(frozen=True)
class HarmonizedScan:
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


def harmonize_file(job: HarmonizeJob, harmonizer: Harmonizer) -> HarmonizedScan:
    """Harmonise a file, unless that was done before.

    Every file is written under another name and then renamed, the scan last: once it has
    its name, all is there.

    Raises
    ------
    UserError
        If the results cannot be written.
    """
    known = finished_result(job, harmonizer)
    if known is not None:
        return known
    outputs = job.outputs
    try:
        record, contents = _harmonized(job, harmonizer)
    except (BadScanError, DivergedError) as error:
        return HarmonizedScan(error=str(error))
    record = {"Key": _key(job, harmonizer), **record, **harmonizer.record}
    description = {
        "Description": f"T1w scan harmonised by {harmonizer.title}",
        "Sources": [job.source],
        "Harmonization": record,
    }
    contents[outputs.sidecar] = json.dumps(description, indent=1).encode()
    try:
        for path, content in sorted(contents.items(), key=lambda item: item[0] == outputs.scan):
            atomic_write_bytes(path, content)
    except OSError as error:
        raise UserError(f"the harmonised scan cannot be written: {error}") from error
    return HarmonizedScan(record=record)


def finished_result(job: HarmonizeJob, harmonizer: Harmonizer) -> HarmonizedScan | None:
    """Say what there is no need to compute: that it is there, or that it must not be replaced."""
    outputs = job.outputs
    if not outputs.scan.exists():
        return None
    known = _recorded(outputs)
    if known.get("Key") != _key(job, harmonizer):
        if job.options.force:
            return None
        return HarmonizedScan(
            error=f"{outputs.scan} exists and was not made by this fit of this file; "
            "give --force to replace it"
        )
    wanted = [outputs.sidecar, outputs.mask, outputs.figure]
    if all(path is None or path.exists() for path in wanted):
        return HarmonizedScan(there=True, record=known)
    return None


def _key(job: HarmonizeJob, harmonizer: Harmonizer) -> str:
    options = job.options
    inputs: list[str | None] = [job.brain.content]
    if job.brain.extractor is not None:
        inputs.append(job.brain.extractor.title)
    if options.prepare_options.n4:
        inputs.append(digest("n4", N4))
    return digest("harmonized", harmonizer.key, *inputs, options.blend, options.all_slices)


def output_lock(out: Path, home: Path, progress: Progress) -> AbstractContextManager[None]:
    """Wait until no other process writes to a file or folder, and keep others from it."""
    lock = home / "locks" / f"{digest('harmonize', str(out.resolve()))}.lock"
    return hold_lock(lock, f"another process is writing to {out}; waiting for it", progress)


def _recorded(outputs: OutputPaths) -> Mapping[str, Any]:
    """Return what the sidecar says of the scan beside it; nothing if that is another."""
    try:
        record: dict[str, Any] = json.loads(outputs.sidecar.read_text())["Harmonization"]
        own = record["OutputDigest"] == file_digest(outputs.scan)
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return record if own else {}


def _harmonized(
    job: HarmonizeJob, harmonizer: Harmonizer
) -> tuple[dict[str, Any], dict[Path, bytes]]:
    """Do the work: what is recorded of it, and the content of each file but the sidecar."""
    blend = job.options.blend
    native = load_native(job.path)
    own = cut(job.brain, harmonizer.home)
    brain, n4 = own.brain, job.options.prepare_options.n4
    registration = registered(own.content, harmonizer.home, brain)
    shown, bias = without_bias(brain) if n4 else (brain, None)
    stack = whole_stack(shown, registration, harmonizer.grid, all_slices=job.options.all_slices)
    change, flags = by_windows(harmonizer, stack, *_subject(job.path))
    added, changed = change_in_scan(change, stack, native.volume, brain, registration, blend)
    if bias is not None:
        added[brain.box] *= bias
    content, after, clipped = native.with_change(added)
    outputs = job.outputs
    contents = {outputs.scan: _as_named(outputs.scan, content)}
    if outputs.mask is not None:
        contents[outputs.mask] = _as_named(outputs.mask, native.mask_file(changed))
    if outputs.figure is not None:
        title = f"{job.path.name}, {harmonizer.title}"
        contents[outputs.figure] = before_after(native.volume, after, changed, title)
    record = {
        "SoftwareVersion": version("harmbench"),
        "SourceDigest": job.content,
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


def _subject(path: Path) -> tuple[str, str]:
    """Return subject and session by the file's name, as BIDS has them; else the name itself."""
    subject, session = (re.search(rf"{entity}-([^_.]+)", path.name) for entity in ("sub", "ses"))
    return (subject[1] if subject else beside(path, "").name), (session[1] if session else "1")


def _as_named(path: Path, content: bytes) -> bytes:
    # Without the time of day: the same scan and fit give the same bytes.
    return gzip.compress(content, compresslevel=6, mtime=0) if path.suffix == ".gz" else content
