"""Cohorts prepared from volumes on disk, however the study lists them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harmbench.cohorts.bids.layout import Scan, own_sidecar
from harmbench.cohorts.bids.pairs import Pair, pair_up
from harmbench.cohorts.bids.published_split import split_as_published
from harmbench.cohorts.bids.recipe import Recipe
from harmbench.data.cohort_source import CohortSource
from harmbench.data.cohort_writer import CohortWriter, ScanRecord
from harmbench.data.splits import split_subjects
from harmbench.errors import UserError
from harmbench.preprocessing.brain_tools import Extractor, find_extractor
from harmbench.preprocessing.masking import BrainSource
from harmbench.util.file_digests import remembered_digests
from harmbench.util.hashing import digest
from harmbench.util.home import home
from harmbench.util.progress import Progress

if TYPE_CHECKING:
    from harmbench.data.scans import Grid
    from harmbench.preprocessing.normalization.base import Standard
    from harmbench.preprocessing.scan_job import PreparedScan, ScanJob, Tissues

# Sidecar fields that describe the scanner, as in the paper's Table 1.
SCANNER_FIELDS = (
    "Manufacturer",
    "ManufacturersModelName",
    "MagneticFieldStrength",
    "DeviceSerialNumber",
    "RepetitionTime",
    "InversionTime",
    "EchoTime",
    "FlipAngle",
)


@dataclass(frozen=True)
class Found:
    """What a study holds.

    Attributes
    ----------
    domains
        The scans of each domain, the target domain first.
    left_out
        Why other scans cannot be used, by their name.
    elsewhere
        How many scans are of no domain.
    """

    domains: Mapping[str, tuple[Scan, ...]]
    left_out: Mapping[str, str]
    elsewhere: int = 0


@dataclass(frozen=True, eq=False, kw_only=True)
class _Done:
    """A scan that was prepared well."""

    domain: str
    scan: Scan
    job: ScanJob
    outcome: PreparedScan
    pair: Pair | None


class Study(CohortSource):
    """A cohort of volumes on disk; what is common to every way of listing them.

    Attributes
    ----------
    root
        The folder that file names are relative to.
    recipe
        How the study becomes a cohort.
    """

    normalizations = ("minmax", "percentile", "zscore", "whitestripe", "nyul")
    from_volumes = True
    root: Path
    recipe: Recipe

    @abstractmethod
    def find(self) -> Found:
        """Find the scans of every domain; nothing but their names and sidecars is read."""

    @property
    @abstractmethod
    def listing(self) -> Path:
        """Return the table that describes the scans; its content is part of the key."""

    @cached_property
    def found(self) -> Found:
        """What the study holds, looked for once."""
        return self.find()

    def key(self, grid: Grid) -> str:
        """Hash the recipe, the grid, how scans are prepared, and every file's content."""
        from harmbench.preprocessing.normalization import normalization
        from harmbench.preprocessing.version import PREPROCESSING_VERSION

        names = [
            [domain, scan.subject, scan.session, self._files(scan)]
            for domain, scans in self.found.domains.items()
            for scan in scans
        ]
        table = self._digests.get(self.listing)
        chosen = normalization(self.normalization).key(())
        return digest(
            self.name,
            PREPROCESSING_VERSION,
            self.recipe.model_dump(),
            grid,
            names,
            table,
            *chosen,
            *self._prepared_by(),
        )

    def prepare(self, grid: Grid, writer: CohortWriter, progress: Progress) -> None:
        """Prepare every scan of a domain.

        Raises
        ------
        UserError
            If a domain is left with fewer than two subjects.
        """
        from harmbench.preprocessing.scan_job import run_job
        from harmbench.util.processes import in_processes

        key = self.key(grid)
        left_out = dict(self.found.left_out)
        heads: list[str] = []
        for name, reason in left_out.items():
            progress.log(f"left out {name}: {reason}")
        if self.found.elsewhere:
            progress.log(f"{self.found.elsewhere} scans are of no domain of '{self.recipe.name}'")
        jobs = self._jobs(grid, writer)
        done: list[_Done] = []
        finished = in_processes(run_job, list(jobs))
        for job, outcome in progress.track(finished, "preparing scans", len(jobs)):
            domain, scan, pair = jobs[job]
            where = self.relative(scan.path)
            if outcome.error is not None:
                left_out[where] = outcome.error
                if outcome.head:
                    heads.append(where)
                progress.log(f"left out {where}: {outcome.error}")
                continue
            if outcome.label_error is not None:
                progress.log(f"left unlabelled {where}: {outcome.label_error}")
            if outcome.pair_error is not None:
                progress.log(f"left unpaired {where}: {outcome.pair_error}")
                pair = None
            if outcome.details["doubtful"]:
                found = outcome.details["correlation"]
                progress.log(f"look at {where}: correlation {found:.2f} with the template is low")
            done.append(_Done(domain=domain, scan=scan, job=job, outcome=outcome, pair=pair))
        done.sort(key=lambda one: (one.domain, one.job.row))
        self._check_subjects(done, left_out, heads)
        splits = self._splits(grid, done)
        standard = self._normalized(done, splits, progress)
        writer.finish(
            name=self.recipe.name,
            key=key,
            kind="real",
            target=self.target,
            sources=self.sources,
            records=self._records(grid, done, splits, standard),
            left_out=dict(sorted(left_out.items())),
            normalization=self.normalization,
            facts=self._facts(standard),
        )

    def relative(self, path: Path) -> str:
        """Return what a file is called: its path in the folder, if it lies there."""
        inside = path.is_relative_to(self.root)
        return (path.relative_to(self.root) if inside else path).as_posix()

    def _jobs(
        self, grid: Grid, writer: CohortWriter
    ) -> dict[ScanJob, tuple[str, Scan, Pair | None]]:
        """Make room for every scan, and list what there is to do."""
        from harmbench.preprocessing.scan_job import ScanJob

        domains = self.found.domains
        pairs = {} if self.recipe.pairs is None else pair_up(domains, self.recipe.pairs)
        jobs: dict[ScanJob, tuple[str, Scan, Pair | None]] = {}
        for domain, scans in domains.items():
            labelled = any(scan.labels is not None for scan in scans)
            folder = writer.begin_domain(domain, len(scans), labelled=labelled)
            for row, scan in enumerate(scans):
                pair = pairs.get(scan.path)
                job = ScanJob(
                    source=self._source(scan),
                    labels=scan.labels,
                    tissues=self._tissues,
                    folder=folder,
                    row=row,
                    grid=grid,
                    home=home(),
                    normalization=self.normalization,
                    partner=None if pair is None else self._source(pair.partner),
                    n4=self.prepare_options.n4,
                )
                jobs[job] = (domain, scan, pair)
        return jobs

    def _check_subjects(
        self, done: Sequence[_Done], left_out: Mapping[str, str], heads: Sequence[str]
    ) -> None:
        for domain, scans in self.found.domains.items():
            names = {one.scan.subject for one in done if one.domain == domain}
            if len(names) < 2:
                lost = [self.relative(scan.path) for scan in scans]
                # Of heads the one says what the other does, and at length.
                same = [where for where in lost if where in heads][1:]
                reasons = [left_out[where] for where in lost if where in left_out.keys() - same]
                if same:
                    reasons.append(f"and {len(same)} more like it")
                more = f" and {len(reasons) - 3} more" if len(reasons) > 3 else ""
                raise UserError(
                    f"domain '{domain}' is left with {len(names)} of the two subjects that a split "
                    f"needs, since these scans cannot be used: {'; '.join(reasons[:3])}{more}"
                )

    def _splits(self, grid: Grid, done: Sequence[_Done]) -> dict[str, str]:
        """Assign every subject to one split."""
        split = self.recipe.split
        subjects: dict[str, list[str]] = {domain: [] for domain in self.found.domains}
        paired: dict[str, list[str]] = {domain: [] for domain in self.sources}
        for one in done:
            subjects[one.domain].append(one.scan.subject)
            if one.pair is not None:
                paired[one.domain].append(one.scan.subject)
        if split.published:
            return split_as_published(subjects, paired, split, grid.shape[0])
        return split_subjects(subjects, validation=split.validation, test=split.test)

    def _normalized(
        self, done: Sequence[_Done], splits: Mapping[str, str], progress: Progress
    ) -> Standard:
        """Normalise what was left unscaled, by what the target's training scans teach."""
        from harmbench.preprocessing.normalization import normalization
        from harmbench.preprocessing.normalize_rows import normalize_rows

        way = normalization(self.normalization)
        training = [
            one.outcome.landmarks
            for one in done
            if one.domain == self.target and splits[one.scan.subject] == "train"
        ]
        places = [(one.job.folder, one.job.row) for one in done]
        return normalize_rows(way, training, places, progress)

    def _records(
        self,
        grid: Grid,
        done: Sequence[_Done],
        splits: Mapping[str, str],
        standard: Standard,
    ) -> list[ScanRecord]:
        """Describe every scan that was prepared well."""
        from harmbench.preprocessing.normalization import normalization
        from harmbench.preprocessing.version import PREPROCESSING_VERSION

        chosen = [*normalization(self.normalization).key(standard), *self._corrected_by()]
        partners = {one.pair.partner.path for one in done if one.pair is not None}
        subjects: dict[str, set[str]] = {domain: set() for domain in self.found.domains}
        for one in done:
            subjects[one.domain].add(one.scan.subject)
        elsewhere = set().union(*(subjects[source] for source in self.sources))
        records = []
        for one in done:
            domain, scan, job, outcome, pair = (
                one.domain,
                one.scan,
                one.job,
                one.outcome,
                one.pair,
            )
            if self.recipe.pairs is not None:
                paired = pair is not None or scan.path in partners
            else:
                others = elsewhere if domain == self.target else subjects[self.target]
                paired = scan.subject in others
            # Of what was registered to a partner, the voxels depend on that scan, too.
            partner = [] if pair is None else [outcome.partner_content]
            records.append(
                ScanRecord(
                    domain=domain,
                    subject=scan.subject,
                    session=scan.session,
                    row=job.row,
                    key=digest(
                        "scan", PREPROCESSING_VERSION, grid, outcome.content, *partner, *chosen
                    ),
                    label_key=digest("labels", self._tissues, self._files(scan)[1]),
                    split=splits[scan.subject],
                    labelled=outcome.labelled,
                    paired=paired,
                    partner="" if pair is None else pair.partner.session,
                    gap_days=None if pair is None else pair.gap_days,
                    details={
                        "path": self.relative(scan.path),
                        **outcome.details,
                        "labels": outcome.label_error
                        or (self.relative(job.labels) if job.labels else None),
                        "pair": outcome.pair_error
                        or (self.relative(pair.partner.path) if pair else None),
                        "scanner": _scanner(scan),
                    },
                )
            )
        return records

    def _facts(self, standard: Standard) -> dict[str, Any]:
        facts: dict[str, Any] = {"elsewhere": self.found.elsewhere}
        if standard:
            facts["standard"] = list(standard)
        if self.recipe.pairs is not None:
            facts["maximum_gap_days"] = self.recipe.pairs.maximum_gap_days
        if self.recipe.split.published:
            facts["published_slices"] = {
                domain: sizes.model_dump() for domain, sizes in self.recipe.split.published.items()
            }
        return facts

    @property
    def _tissues(self) -> Tissues | None:
        labels = self.recipe.labels
        return None if labels is None else (labels.csf, labels.grey_matter, labels.white_matter)

    @cached_property
    def _digests(self) -> dict[Path, str | None]:
        paths = [self.listing]
        for scans in self.found.domains.values():
            for scan in scans:
                paths += [path for path in self._inputs(scan) if path is not None]
        return remembered_digests(paths, home())

    def _inputs(self, scan: Scan) -> list[Path | None]:
        sidecar = own_sidecar(scan.path)
        masks = [] if scan.mask is None else [scan.mask]
        own = sidecar if sidecar.exists() else None
        return [scan.path, scan.labels, own, *masks, *scan.inherited]

    def _files(self, scan: Scan) -> list[str | None]:
        """Digests of the scan's volume, labels and own sidecar, its mask and other sidecars."""
        return [None if path is None else self._digests[path] for path in self._inputs(scan)]

    def _source(self, scan: Scan) -> BrainSource:
        """Return what the scan's brain is cut out of."""
        heads = self.prepare_options.heads
        return BrainSource.of(scan.path, scan.mask, self._digests, self._extractor, heads=heads)

    @cached_property
    def _extractor(self) -> Extractor | None:
        """The tool that cuts brains out, looked for once."""
        return find_extractor(self.prepare_options.brain_extraction)

    def _prepared_by(self) -> list[str]:
        """What is to be hashed of how scans are prepared; nothing for what is the default."""
        scans = [scan for found in self.found.domains.values() for scan in found]
        if self.prepare_options.heads:
            return ["heads", *self._corrected_by()]
        if self._extractor is not None and any(scan.mask is None for scan in scans):
            return [self._extractor.title, *self._corrected_by()]
        return self._corrected_by()

    def _corrected_by(self) -> list[str]:
        from harmbench.preprocessing.bias_field import VERSION

        return [digest("n4", VERSION)] if self.prepare_options.n4 else []


def _scanner(scan: Scan) -> dict[str, Any]:
    sidecar = scan.sidecar or {}
    return {field: sidecar[field] for field in SCANNER_FIELDS if field in sidecar}
