"""Write the scans that an external method needs: test inputs, and scans for training."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from harmbench.contracts.task_data import TaskData
from harmbench.data.cohort import Cohort
from harmbench.data.covariates import covariate_table
from harmbench.data.scan_set import ScanSet
from harmbench.data.volumes import OpenVolume, VolumeSpace
from harmbench.errors import UserError
from harmbench.external.image_names import TEST, TRAIN, image_path, inputs_name
from harmbench.preprocessing.nifti_create import nifti_file
from harmbench.util.files import atomic_write_bytes
from harmbench.util.progress import Progress

_MASK = "desc-brain_mask"
_README = """# Inputs for a method outside harmbench

cohort {cohort}, {grid} grid, tasks: {tasks}

- `test/INPUTS/` has the scans to harmonise. INPUTS is the source domain, or the task if its scans
  have a simulated shift. {tasks_by_inputs}
- `train/DOMAIN/` has the scans that a method may learn from{fits}. The target domain is `{target}`.
- `split.tsv` lists every file with subject, session, domain, {split} and the known covariates.
- `*_{mask}.nii.gz` is the brain of a scan. Only these voxels are scored.
- {space}

Rules: harmonise every test scan by itself. Learn from the scans in `train/` only{fold_rule}: an
input of one task may be the truth of another.{unseen}

Write the results with the same names, shapes and affines into a folder `harmonised`, such as
`harmonised/{example}`.
Then score them:

    {command}
"""


class ExportSpace(StrEnum):
    """The voxels of exported scans.

    Attributes
    ----------
    ACQUIRED
        The whole scan on its own voxels, as a volume method receives it.
    GRID
        The prepared slices on the scoring grid.
    """

    ACQUIRED = "acquired"
    GRID = "grid"


@dataclass(frozen=True, kw_only=True)
class TaskInputs:
    """The data of one task in one fold.

    Attributes
    ----------
    task
        Name of the task.
    fold
        Number of the fold; 0 without folds.
    data
        The data that the task chose.
    """

    task: str
    fold: int
    data: TaskData


@dataclass(frozen=True, kw_only=True)
class _File:
    """A scan to export."""

    scans: ScanSet = field(repr=False)
    place: int

    @property
    def names(self) -> tuple[str, str]:
        scan = self.scans.scans[self.place]
        return scan.subject, scan.session


@dataclass(frozen=True, kw_only=True)
class Export:
    """The scans to write for external methods.

    Attributes
    ----------
    cohort
        The cohort, with the splits of the request.
    inputs
        The data of every task and fold.
    folds
        Fold of each subject; empty without folds.
    fit_cohort
        The cohort that all fits are made on; None for `cohort`.
    space, head
        The voxels to write, and whether to write whole heads.
    """

    cohort: Cohort
    inputs: Sequence[TaskInputs]
    folds: Mapping[str, int]
    space: ExportSpace
    fit_cohort: Cohort | None = None
    head: bool = False

    def write(self, folder: Path, command: str, progress: Progress, *, force: bool) -> int:
        """Write scans, masks, `split.tsv` and `README.md`, and return the number of scans.

        Parameters
        ----------
        folder
            The folder; it is created.
        command
            The next command, for the README.
        progress
            Shows how many scans are written.
        force
            Whether files of the same name are replaced.

        Raises
        ------
        UserError
            If the folder has files and `force` is False, two scans have one name, a scan has
            no volume in the space, or a file cannot be written.
        """
        if not force and folder.exists() and any(folder.iterdir()):
            raise UserError(f"'{folder}' has files; choose another folder, or give --force")
        files = self._files()
        self._require_volumes(files)
        try:
            for path, file in progress.track(files.items(), "writing scans", len(files)):
                self._write_scan(folder / path, file)
            table = self._table(files).to_csv(
                sep="\t", index=False, lineterminator="\n", na_rep="n/a"
            )
            atomic_write_bytes(folder / "split.tsv", table.encode())
            atomic_write_bytes(folder / "dataset_description.json", self._description())
            atomic_write_bytes(folder / "README.md", self._readme(files, command).encode())
        except OSError as error:
            raise UserError(f"'{folder}' cannot be written to: {error.strerror}") from None
        return len(files)

    def _files(self) -> dict[Path, _File]:
        """Return all scans by path: test scans first."""
        files: dict[Path, _File] = {}
        for use, name, scans in [*self._tests(), *self._training()]:
            for place, scan in enumerate(scans.scans):
                path = Path(use, name) / image_path(scan.subject, scan.session)
                file = _File(scans=scans, place=place)
                other = files.setdefault(path, file)
                if other.names != file.names:
                    raise UserError(
                        f"the scans {'/'.join(other.names)} and {'/'.join(file.names)} of "
                        f"'{scans.domain}' would both be written to {path}; rename a subject"
                    )
        return files

    def _tests(self) -> Iterator[tuple[str, str, ScanSet]]:
        for part in self.inputs:
            yield TEST, inputs_name(part.data.test, part.task), part.data.test

    def _training(self) -> Iterator[tuple[str, str, ScanSet]]:
        for part in self.inputs:
            data = part.data
            sets = [data.target, data.validation, *(data.sites or {}).values()]
            if not data.unseen:
                sets += [scans for scans in (data.source, *(data.pairs or ())) if scans is not None]
            for scans in sets:
                name = inputs_name(scans, part.task)
                # The parameters of a shift may differ between folds.
                fold = f"-fold{part.fold}" if part.fold and scans.is_shifted else ""
                yield TRAIN, f"{name}{fold}", scans

    def _require_volumes(self, files: Mapping[Path, _File]) -> None:
        if self.space is ExportSpace.GRID and self.head:
            raise UserError("--head needs --space acquired: the grid has brains only")
        for path, file in files.items() if self.space is ExportSpace.ACQUIRED else ():
            reason = file.scans.no_volumes(VolumeSpace(head=self.head))
            if reason is not None:
                advice = "leave out --head" if self.head else "export them with --space grid"
                raise UserError(f"the scans of '{path.parts[1]}' {reason}; {advice}")

    def _write_scan(self, path: Path, file: _File) -> None:
        volume, in_mni = self._read(file)
        atomic_write_bytes(path, nifti_file(volume.image, volume.affine, in_mni=in_mni))
        mask = path.parent / image_path(*file.names, suffix=_MASK).name
        content = nifti_file(volume.mask, volume.affine, in_mni=in_mni)
        atomic_write_bytes(mask, content)

    def _read(self, file: _File) -> tuple[OpenVolume, bool]:
        """Return a volume, and whether it lies in MNI152."""
        space = VolumeSpace(head=self.head)
        if self.space is ExportSpace.ACQUIRED:
            acquired = file.scans.acquired_volume(file.place)
            if acquired is not None:
                return acquired.open(space), False
        return file.scans.prepared_volume(file.place).open(space), True

    def _table(self, files: Mapping[Path, _File]) -> pd.DataFrame:
        scans = self.cohort.table
        if self.fit_cohort is not None:
            learnt = self.fit_cohort.table
            learnt = learnt[learnt["split"] != "test"]
            scans = pd.concat([scans.assign(split="test"), learnt], ignore_index=True)
        scans = scans.drop_duplicates("key")
        splits = scans.set_index("key")["split"]
        known = covariate_table(scans).set_index(scans["key"])
        rows = []
        for path, file in files.items():
            subject, session = file.names
            key = file.scans.scans[file.place].key
            part = self.folds[subject] if self.folds else splits.at[key]
            rows.append(
                (path.as_posix(), subject, session, file.scans.domain, part, *known.loc[key])
            )
        columns = ["file", "subject", "session", "domain", "fold" if self.folds else "split"]
        return pd.DataFrame(rows, columns=[*columns, *known.columns])

    def _description(self) -> bytes:
        content = {
            "Name": f"Inputs of harmbench, cohort {self.cohort.name}",
            "BIDSVersion": "1.10.0",
            "DatasetType": "derivative",
            "GeneratedBy": [{"Name": "harmbench", "Version": version("harmbench")}],
        }
        return json.dumps(content, indent=1).encode()

    def _unseen_rules(self) -> Iterator[str]:
        """Yield the rule of each task that tests a site that no method may learn from."""
        domains = {part.task: part.data.domain for part in self.inputs if part.data.unseen}
        for task, domain in domains.items():
            yield f"\nFor {task}, do not learn from `train/{domain}/`."

    def _readme(self, files: Mapping[Path, _File], command: str) -> str:
        by_inputs: dict[str, dict[str, None]] = {}
        for part in self.inputs:
            name = inputs_name(part.data.test, part.task)
            by_inputs.setdefault(name, {})[part.task] = None
        example = next(iter(files)).relative_to(TEST)
        fits = self.fit_cohort
        return _README.format(
            cohort=self.cohort.name,
            grid=self.cohort.grid.name,
            tasks=", ".join(dict.fromkeys(part.task for part in self.inputs)),
            tasks_by_inputs=" ".join(
                f"`test/{name}/` is for {', '.join(tasks)}." for name, tasks in by_inputs.items()
            ),
            target=", ".join(dict.fromkeys(part.data.target.domain for part in self.inputs)),
            fits="" if fits is None else f", all of cohort {fits.name}",
            split="fold" if self.folds else "split",
            fold_rule=", and for the test scans of a fold from the other folds only"
            if self.folds
            else "",
            unseen="".join(self._unseen_rules()),
            mask=_MASK,
            space=_SPACES[self.space],
            example=example.as_posix(),
            command=command,
        )


_SPACES = {
    ExportSpace.ACQUIRED: "Scans are on their own voxels, with axes to right, anterior and "
    "superior. Scans of a cohort without volumes on disk are the stacks of their prepared slices.",
    ExportSpace.GRID: "Scans are on the scoring grid in MNI152, with intensities in [0, 1]. "
    "Results must be in [0, 1] as well.",
}
