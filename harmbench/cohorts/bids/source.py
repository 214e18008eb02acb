"""A cohort from a BIDS folder, by a recipe."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from harmbench.cohorts.bids.dataset_description import says_simulated
from harmbench.cohorts.bids.layout import Layout, read_layout
from harmbench.cohorts.bids.matching import match
from harmbench.cohorts.bids.recipe import SHIPPED, load_recipe
from harmbench.cohorts.bids.scan import Scan
from harmbench.cohorts.study.scans import StudyScans
from harmbench.cohorts.study.source import Study
from harmbench.errors import UserError
from harmbench.preprocessing.file_names import with_ending
from harmbench.util.name_list import first_names


class Bids(Study):
    """Scans of a BIDS folder, heads or brains; domains by a recipe.

    Of several T1w files of a session that meet the criteria of a domain, the preferred one is
    taken, and the next one if it is damaged.

    Attributes
    ----------
    shipped
        Name of the recipe that ships with harmbench, for a study that is known; the user's
        recipe then says what is different.
    """

    name = "bids"
    summary = "the scans of a BIDS folder, heads or brains; domains by --recipe"

    shipped: ClassVar[str | None] = None

    def __init__(
        self, argument: str | None = None, recipe: Path | None = None, **preparation: Any
    ) -> None:
        super().__init__(argument, recipe, **preparation)
        name, shipped = self.name, self.shipped
        if not argument:
            raise UserError(
                f"the cohort '{name}' needs the folder of a study: --cohort {name}:PATH"
            )
        if recipe is None and shipped is None:
            raise UserError(
                f"the cohort 'bids:{argument}' needs a recipe: --recipe FILE "
                f"(`harmbench data recipe {argument}` drafts one)"
            )
        self.root = Path(argument).expanduser()
        if not self.root.is_dir():
            raise UserError(f"there is no folder {self.root}")
        if recipe is None:
            self.recipe = load_recipe(SHIPPED / f"{shipped}.toml")
        else:
            self.recipe = load_recipe(Path(recipe), base=shipped)
        if self.recipe.scanners is not None and self.recipe.scanners.each:
            counts = Counter(scan.scanner for scan in self._layout.scans if scan.scanner)
            self.recipe = self.recipe.with_each_scanner(counts)
        if says_simulated(self.root):
            self.recipe = self.recipe.model_copy(update={"simulated": True})
        self.target = self.recipe.target
        self.sources = self.recipe.sources

    @property
    def title(self) -> str:
        """`bids:` and the recipe's name; `oasis3` by its own recipe."""
        return self.name if self.recipe.name == self.shipped else f"{self.name}:{self.recipe.name}"

    @property
    def listing(self) -> Path:
        """`participants.tsv`, which may be missing."""
        return self.root / "participants.tsv"

    def find(self) -> StudyScans:
        """Match the scans of the folder to the domains of the recipe."""
        self._check_labels()
        layout, unknown = self._with_subjects(self._layout)
        matched = match(self.recipe, layout)
        left_out = {self.relative(scan.path): reason for scan, reason in matched.left_out}
        return StudyScans(
            domains={
                domain: tuple(map(self._labelled, scans))
                for domain, scans in matched.domains.items()
            },
            left_out={**layout.left_out, **left_out},
            unassigned={self.relative(scan.path): reason for scan, reason in matched.unassigned},
            notes=(*layout.notes, *unknown),
        )

    @cached_property
    def _layout(self) -> Layout:
        """The files of the folder, with scanners and visits as the recipe says."""
        layout, scanners = read_layout(self.root), self.recipe.scanners
        if scanners is None:
            return layout
        sessions = [part for session in layout.sessions for part in scanners.sessions(session)]
        return replace(layout, sessions=tuple(sessions))

    def _with_subjects(self, layout: Layout) -> tuple[Layout, list[str]]:
        """Name the subjects as the recipe does; also return a line on labels that are not there."""
        subject_of = self.recipe.subject_of
        sessions = tuple(
            tuple(
                scan.renamed(subject_of.get(scan.label, scan.subject), scan.session)
                for scan in session
            )
            for session in layout.sessions
        )
        missing = sorted(subject_of.keys() - {scan.label for scan in layout.scans})
        note = f"the recipe's table subjects has labels without a scan: {first_names(missing)}"
        return replace(layout, sessions=sessions), [note] if missing else []

    def _check_labels(self) -> None:
        labels = self.recipe.labels
        folder = self.root / "derivatives"
        if labels is not None and not (folder / labels.derivative).is_dir():
            folders = [path.name for path in folder.glob("*") if path.is_dir()]
            raise UserError.unknown(f"derivative in {folder}", labels.derivative, folders)

    def _labelled(self, scan: Scan) -> Scan:
        """Return a scan and its alternatives with their label volumes."""
        alternatives = tuple(map(self._labelled, scan.alternatives))
        return replace(scan, labels=self._labels(scan), alternatives=alternatives)

    def _labels(self, scan: Scan) -> Path | None:
        labels = self.recipe.labels
        if labels is None:
            return None
        folder = self.root / "derivatives" / labels.derivative / self.relative(scan.path.parent)
        stem = with_ending(scan.path, "").name.removesuffix("T1w")
        names = (folder / f"{stem}{labels.suffix}{end}" for end in (".nii.gz", ".nii"))
        return next((path for path in names if path.exists() or path.is_symlink()), None)


class Oasis3(Bids):
    """OASIS-3 as it is distributed, by the recipe that ships with harmbench."""

    name = "oasis3"
    summary = "OASIS-3 as distributed (oasis3:PATH), its scanners as the paper's five domains"
    shipped = "oasis3"
