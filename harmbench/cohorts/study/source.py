"""A cohort source for volumes on disk; subclasses list the scans of a study."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from harmbench.cohorts.bids.recipe import Recipe
from harmbench.cohorts.study.scans import StudyScans
from harmbench.data.cohort import TOOL_FAILURES
from harmbench.data.cohort_source import CohortSource
from harmbench.errors import UserError
from harmbench.preprocessing.brain_tools import find_extractor
from harmbench.util.name_list import by_reason

if TYPE_CHECKING:
    from harmbench.cohorts.study.digests import StudyDigests
    from harmbench.cohorts.study.preparation import UsableScan
    from harmbench.data.cohort_writer import CohortWriter, ScanRecord
    from harmbench.data.scans import Grid
    from harmbench.data.volumes import VolumeSource
    from harmbench.preprocessing.normalization.base import Standard
    from harmbench.util.progress import Progress


class Study(CohortSource):
    """A cohort of volumes on disk: the part that all ways of listing them share.

    Attributes
    ----------
    root
        The folder that file names are relative to.
    recipe
        Domains, labels, pairs and splits of the study.
    splits, folds
        Split and fold by subject, if the listing names them.
    """

    normalizations = ("minmax", "percentile", "zscore", "whitestripe", "nyul")
    from_volumes = True
    root: Path
    recipe: Recipe
    splits: Mapping[str, str] = MappingProxyType({})
    folds: Mapping[str, int] = MappingProxyType({})

    @abstractmethod
    def find(self) -> StudyScans:
        """Find the scans of every domain; only file names and sidecars are read."""

    @property
    @abstractmethod
    def listing(self) -> Path:
        """Return the table that describes the scans; its content is part of the key."""

    @cached_property
    def scans(self) -> StudyScans:
        """The scans of the study, searched once."""
        return self.find()

    def key(self, grid: Grid, home: Path) -> str:
        """Hash the recipe, the grid, the preparation, and the content of every file."""
        return self._digests(grid, home).cohort_key(self.name)

    def prepare(self, grid: Grid, home: Path, writer: CohortWriter, progress: Progress) -> None:
        """Prepare every scan of a domain.

        Raises
        ------
        UserError
            If a domain has fewer usable subjects than the split needs, or the normalisation
            learns from training scans of the target and there is none.
        """
        from harmbench.cohorts.study.jobs import begin_domains
        from harmbench.cohorts.study.preparation import check_subjects, prepare_scans
        from harmbench.cohorts.study.records import (
            assign_splits,
            cohort_facts,
            scan_records,
            splits_by_subject,
        )
        from harmbench.cohorts.study.scan_pairs import measured, pair_doubts, scan_pairs

        digests = self._digests(grid, home)
        splits = splits_by_subject(self.splits, digests.subject_of, "split")
        folds = splits_by_subject(self.folds, digests.subject_of, "fold")
        self._log_unused(digests.scans, progress)
        folders = begin_domains(digests.scans, writer)
        result = prepare_scans(digests, folders, self.relative, progress)
        check_subjects(result, self.relative, fewest_subjects=self.recipe.split.fewest_subjects)
        splits = splits or assign_splits(
            result.usable, list(result.scans.domains), self.recipe, grid
        )
        training = [
            scan
            for scan in result.usable
            if scan.domain == self.target and splits[scan.scan.subject] == "train"
        ]
        standard = self._normalize(result.usable, training, progress)
        pairs = measured(scan_pairs(result.usable, digests), grid, progress)
        doubts = pair_doubts(pairs, self.relative)
        writer.finish(
            name=self.recipe.name,
            key=digests.cohort_key(self.name, result.tool_failures),
            kind="simulated" if self.recipe.simulated else "real",
            target=self.target,
            sources=self.sources,
            records=scan_records(
                result.usable, pairs, digests, splits, folds, standard, self.relative
            ),
            left_out=dict(sorted({**self.scans.left_out, **result.left_out}.items())),
            normalization=self.normalization,
            facts=cohort_facts(self.recipe, result.scans, doubts, standard)
            | ({TOOL_FAILURES: sorted(result.tool_failures)} if result.tool_failures else {}),
        )

    def volume(
        self, scan: ScanRecord, standard: Sequence[float], grid: Grid, home: Path
    ) -> VolumeSource | None:
        """Return a whole scan; see `CohortSource.volume`."""
        from harmbench.preprocessing.acquired_volume import AcquiredVolume
        from harmbench.preprocessing.registration import Registration

        digests = self._digests(grid, home)
        (found,) = [
            file
            for each in digests.scans.domains[scan.domain]
            if (each.subject, each.session) == (scan.subject, scan.session)
            for file in (each, *each.alternatives)
            if self.relative(file.path) == scan.details["path"]
        ]
        matrix = tuple(tuple(row) for row in scan.details["mni_to_scan"])
        return AcquiredVolume(
            source=digests.brain_source(found),
            registration=Registration(matrix, scan.details["correlation"]),
            grid=grid,
            home=home,
            normalization=self.normalization,
            standard=tuple(standard),
            n4=self.prepare_options.n4,
            stripped=not scan.details["has_head"],
        )

    def relative(self, path: Path) -> str:
        """Return the name of a file: its path relative to `root` if it lies there."""
        inside = path.is_relative_to(self.root)
        return (path.relative_to(self.root) if inside else path).as_posix()

    def _digests(self, grid: Grid, home: Path) -> StudyDigests:
        """Return the digests, computed once: the key must belong to the scans prepared later."""
        # Importing these takes seconds, and commands that list cohorts need no digest.
        from harmbench.cohorts.study.digests import StudyDigests
        from harmbench.cohorts.study.settings import StudySettings

        if (grid, home) not in self._digests_cache:
            settings = StudySettings(
                recipe=self.recipe,
                grid=grid,
                home=home,
                normalization=self.normalization,
                options=self.prepare_options,
                extractor=find_extractor(self.prepare_options.brain_extraction),
            )
            digests = StudyDigests(self.scans, self.listing, settings)
            self._digests_cache[grid, home] = digests
        return self._digests_cache[grid, home]

    @cached_property
    def _digests_cache(self) -> dict[tuple[Grid, Path], StudyDigests]:
        return {}

    def _log_unused(self, scans: StudyScans, progress: Progress) -> None:
        """Log what the tables of the study lack, and the scans that are not prepared."""
        for note in scans.notes:
            progress.log(note)
        for name, reason in scans.left_out.items():
            progress.log(f"left out {name}: {reason}")
        for line in by_reason(scans.unassigned):
            progress.log(f"of no domain of '{self.recipe.name}': {line}")

    def _normalize(
        self, usable: Sequence[UsableScan], training: Sequence[UsableScan], progress: Progress
    ) -> Standard:
        """Apply a learned normalisation, learned from the target's training scans."""
        from harmbench.preprocessing.normalization import normalization
        from harmbench.preprocessing.normalize_rows import normalize_rows

        method = normalization(self.normalization)
        if method.learns and not training:
            raise UserError(
                f"the normalisation '{self.normalization}' learns from training scans of the "
                f"target, and '{self.target}' of '{self.recipe.name}' has none: choose another "
                "--normalize"
            )
        return normalize_rows(
            method,
            [scan.prepared.landmarks for scan in training],
            [(scan.job.folder, scan.job.row) for scan in usable],
            progress,
        )
