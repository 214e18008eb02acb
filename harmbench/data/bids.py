"""A cohort from a BIDS folder, by a recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from harmbench.data.cohort import CohortSource, CohortWriter, ScanRecord, split_people
from harmbench.data.digests import remembered_digests
from harmbench.data.recipe import load_recipe
from harmbench.data.tree import Scan, beside, find_scans, match
from harmbench.errors import UserError
from harmbench.hashing import digest
from harmbench.home import home
from harmbench.progress import Progress

if TYPE_CHECKING:
    from harmbench.data.job import Job, Outcome, Tissues
    from harmbench.scans import Grid


class Bids(CohortSource):
    """Scans of a BIDS folder that are brain-extracted, with domains matched by a recipe.

    Of several runs in a session the first is taken.
    """

    name = "bids"
    summary = "the scans of a BIDS folder, brain-extracted; domains by --recipe"

    def __init__(self, argument: str | None = None, recipe: Path | None = None) -> None:
        if not argument:
            raise UserError("the cohort 'bids' needs the folder of a study: --cohort bids:PATH")
        if recipe is None:
            raise UserError(f"the cohort 'bids:{argument}' needs a recipe: --recipe FILE")
        self.root = Path(argument).expanduser()
        if not self.root.is_dir():
            raise UserError(f"there is no folder {self.root}")
        self.recipe = load_recipe(Path(recipe))
        self.target = self.recipe.target
        self.sources = self.recipe.sources

    @property
    def title(self) -> str:
        """`bids:` and the recipe's name."""
        return f"{self.name}:{self.recipe.name}"

    def key(self, grid: Grid) -> str:
        """Hash the recipe, the grid, how scans are prepared, and every file's content."""
        from harmbench.data.prepare import VERSION

        names = [
            [domain, scan.person, scan.session, self._files(scan)]
            for domain, scans in self._matched.items()
            for scan in scans
        ]
        table = self._digests.get(self.root / "participants.tsv")
        return digest("bids", VERSION, self.recipe, grid, names, table)

    def prepare(self, grid: Grid, writer: CohortWriter, progress: Progress) -> None:
        """Prepare every scan that a domain of the recipe matches.

        Raises
        ------
        UserError
            If a domain is left with fewer than two people.
        """
        from harmbench.data.job import run_job
        from harmbench.data.pool import in_processes

        key = self.key(grid)
        jobs = self._jobs(grid, writer)
        left_out = dict(self._found[1])
        for name, reason in left_out.items():
            progress.log(f"left out {name}: {reason}")
        done: list[tuple[str, Scan, Job, Outcome]] = []
        finished = in_processes(run_job, list(jobs))
        for job, outcome in progress.track(finished, "preparing scans", len(jobs)):
            domain, scan = jobs[job]
            where = self._relative(scan.path)
            if outcome.error is not None:
                left_out[where] = outcome.error
                progress.log(f"left out {where}: {outcome.error}")
                continue
            if outcome.label_error is not None:
                progress.log(f"left unlabelled {where}: {outcome.label_error}")
            if outcome.details["doubtful"]:
                found = outcome.details["correlation"]
                progress.log(f"look at {where}: correlation {found:.2f} with the template is low")
            done.append((domain, scan, job, outcome))
        writer.finish(
            name=self.recipe.name,
            key=key,
            kind="real",
            target=self.target,
            sources=self.sources,
            records=self._records(grid, done, left_out),
            left_out=dict(sorted(left_out.items())),
        )

    def _jobs(self, grid: Grid, writer: CohortWriter) -> dict[Job, tuple[str, Scan]]:
        """Make room for every scan, and list what there is to do."""
        from harmbench.data.job import Job

        jobs: dict[Job, tuple[str, Scan]] = {}
        for domain, scans in self._matched.items():
            labelled = any(self._labels(scan) is not None for scan in scans)
            folder = writer.begin_domain(domain, len(scans), labelled=labelled)
            for row, scan in enumerate(scans):
                job = Job(
                    path=scan.path,
                    content=self._digests[scan.path],
                    labels=self._labels(scan),
                    tissues=self._tissues,
                    folder=folder,
                    row=row,
                    grid=grid,
                    home=home(),
                )
                jobs[job] = (domain, scan)
        return jobs

    def _records(
        self,
        grid: Grid,
        done: Sequence[tuple[str, Scan, Job, Outcome]],
        left_out: Mapping[str, str],
    ) -> list[ScanRecord]:
        """Split the people and describe every scan that was prepared well."""
        from harmbench.data.prepare import VERSION

        people: dict[str, set[str]] = {domain: set() for domain in self._matched}
        for domain, scan, _, _ in done:
            people[domain].add(scan.person)
        for domain, names in people.items():
            if len(names) < 2:
                lost = [self._relative(scan.path) for scan in self._matched[domain]]
                reasons = [left_out[where] for where in lost if where in left_out]
                more = f" and {len(reasons) - 3} more" if len(reasons) > 3 else ""
                raise UserError(
                    f"domain '{domain}' is left with {len(names)} of the two people that a split "
                    f"needs, since these scans cannot be used: {'; '.join(reasons[:3])}{more}"
                )
        fractions = self.recipe.split
        splits = split_people(people, validation=fractions.validation, test=fractions.test)
        elsewhere = set().union(*(people[source] for source in self.sources))
        records = []
        for domain, scan, job, outcome in sorted(done, key=lambda item: (item[0], item[2].row)):
            others = elsewhere if domain == self.target else people[self.target]
            records.append(
                ScanRecord(
                    domain=domain,
                    person=scan.person,
                    session=scan.session,
                    row=job.row,
                    key=digest("scan", VERSION, grid, self._files(scan)[0]),
                    label_key=digest("labels", self._tissues, self._files(scan)[1]),
                    split=splits[scan.person],
                    labelled=outcome.labelled,
                    paired=scan.person in others,
                    details={
                        "path": self._relative(scan.path),
                        **outcome.details,
                        "labels": outcome.label_error
                        or (self._relative(job.labels) if job.labels else None),
                    },
                )
            )
        return records

    @cached_property
    def _found(self) -> tuple[list[Scan], dict[str, str]]:
        return find_scans(self.root)

    @cached_property
    def _matched(self) -> dict[str, tuple[Scan, ...]]:
        self._check_labels()
        return match(self.recipe, self._found[0])

    def _check_labels(self) -> None:
        labels = self.recipe.labels
        folder = self.root / "derivatives"
        if labels is not None and not (folder / labels.derivative).is_dir():
            known = [path.name for path in folder.glob("*") if path.is_dir()]
            raise UserError.unknown(f"derivative in {folder}", labels.derivative, known)

    @property
    def _tissues(self) -> Tissues | None:
        labels = self.recipe.labels
        return None if labels is None else (labels.csf, labels.grey_matter, labels.white_matter)

    @cached_property
    def _digests(self) -> dict[Path, str | None]:
        paths = [self.root / "participants.tsv"]
        for scans in self._matched.values():
            for scan in scans:
                paths += [path for path in self._inputs(scan) if path is not None]
        return remembered_digests(paths, home())

    def _inputs(self, scan: Scan) -> tuple[Path, Path | None, Path | None]:
        sidecar = beside(scan.path, ".json")
        return scan.path, self._labels(scan), sidecar if sidecar.exists() else None

    def _files(self, scan: Scan) -> list[str | None]:
        """Digests of the scan's volume, its labels and its sidecar."""
        return [None if path is None else self._digests[path] for path in self._inputs(scan)]

    def _labels(self, scan: Scan) -> Path | None:
        labels = self.recipe.labels
        if labels is None:
            return None
        folder = self.root / "derivatives" / labels.derivative / self._relative(scan.path.parent)
        stem = beside(scan.path, "").name.removesuffix("T1w")
        names = (folder / f"{stem}{labels.suffix}{end}" for end in (".nii.gz", ".nii"))
        return next((path for path in names if path.exists()), None)

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()
