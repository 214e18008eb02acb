"""Digests of a study: of its input files, of the cohort, and of each prepared scan."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harmbench.cohorts.bids.scan import Scan, own_sidecar
from harmbench.cohorts.study.identity import identify
from harmbench.cohorts.study.scans import StudyScans
from harmbench.cohorts.study.settings import StudySettings
from harmbench.preprocessing import bias_field
from harmbench.preprocessing.masking import BrainSource
from harmbench.preprocessing.normalization import normalization
from harmbench.preprocessing.normalization.base import Standard
from harmbench.preprocessing.scan_job import PreparedScan
from harmbench.preprocessing.version import PREPROCESSING_VERSION
from harmbench.util.file_digests import remembered_digests
from harmbench.util.hashing import digest


class StudyDigests:
    """Digests of a study's files, and what depends on them: keys, and who is one subject.

    Parameters
    ----------
    scans
        The scans of the study.
    listing
        The table that describes the scans; it may be missing.
    settings
        How the scans are prepared.

    Attributes
    ----------
    settings
        As given.
    scans
        The scans, with one subject for all labels that share an image file.
    subject_of
        The subject in `scans` by the subject before, where the two differ or files are shared.
    """

    def __init__(self, scans: StudyScans, listing: Path, settings: StudySettings) -> None:
        self._listing = listing
        self.settings = settings
        inputs = [path for scan in scans.files for path in _input_files(scan) if path is not None]
        self._files = remembered_digests([listing, *inputs], settings.home)
        fewest = settings.recipe.split.fewest_subjects
        identified = identify(scans, self._files, fewest_subjects=fewest)
        self.scans = identified.scans
        self.subject_of = identified.subject_of

    def cohort_key(self, name: str, tool_failures: Iterable[str] = ()) -> str:
        """Hash the recipe, the grid, the preparation, and the content of every file.

        Parameters
        ----------
        name
            Name of the cohort source.
        tool_failures
            Names of scans that are missing because a tool failed: the next preparation may
            include them, and results on both must not mix.
        """
        scans = [
            [
                [domain, scan.subject, scan.session, dict(scan.covariates)],
                *map(self._of_files, (scan, *scan.alternatives)),
            ]
            for domain, scans in self.scans.domains.items()
            for scan in scans
        ]
        return digest(
            name,
            PREPROCESSING_VERSION,
            self.settings.recipe.model_dump(),
            self.settings.grid,
            scans,
            self._files[self._listing],
            *normalization(self.settings.normalization).key(()),
            *self._brain_extraction(),
            *self._bias_correction(),
            *sorted(tool_failures),
        )

    def scan_key(self, prepared: PreparedScan, standard: Standard) -> str:
        """Hash everything that a prepared image depends on.

        Parameters
        ----------
        prepared
            The scan. The voxels of one that is registered to a partner depend on both scans.
        standard
            The standard of a learned normalisation, or `()`.
        """
        content = (prepared.content, prepared.partner_content)
        return digest(
            "scan",
            PREPROCESSING_VERSION,
            self.settings.grid,
            *(part for part in content if part is not None),
            *normalization(self.settings.normalization).key(standard),
            *self._bias_correction(),
        )

    def label_key(self, scan: Scan) -> str:
        """Hash the label file of a scan, and the meaning of its values."""
        labels = None if scan.labels is None else self._files[scan.labels]
        return digest("labels", self.settings.tissues, labels)

    def brain_source(self, scan: Scan) -> BrainSource:
        """Return the files that the brain of a scan is cropped from, with their digest."""
        extractor, heads = self.settings.extractor, self.settings.options.heads
        return BrainSource.of(scan.path, scan.mask, self._files, extractor, heads=heads)

    def identical(self, scan: Scan, other: Scan) -> bool:
        """Whether two scans have one and the same image file."""
        content = self._files[scan.path]
        return content is not None and content == self._files[other.path]

    def _of_files(self, scan: Scan) -> list[str | None]:
        return [None if path is None else self._files[path] for path in _input_files(scan)]

    def _brain_extraction(self) -> list[str]:
        """Return what to hash; nothing if no scan needs a tool, so that keys do not change."""
        if self.settings.options.heads:
            return ["heads"]
        extractor = self.settings.extractor
        if extractor is not None and any(scan.mask is None for scan in self.scans.files):
            return [extractor.title]
        return []

    def _bias_correction(self) -> list[str]:
        return [digest("n4", bias_field.VERSION)] if self.settings.options.n4 else []


def _input_files(scan: Scan) -> list[Path | None]:
    """Return the volume, the labels and the sidecar of a scan, its mask and other sidecars."""
    sidecar = own_sidecar(scan.path)
    masks = [] if scan.mask is None else [scan.mask]
    return [scan.path, scan.labels, sidecar if sidecar.exists() else None, *masks, *scan.inherited]
