"""Find the images of a submission, in a BIDS derivative or a CSV file, and match them to scans."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from harmbench.errors import UserError
from harmbench.external.image_names import TEST, entities, label

_COLUMNS = ("subject", "session", "path")
_ENTITIES = ("sub", "ses")


@dataclass(frozen=True, kw_only=True)
class _Image:
    """An image, and what its name says."""

    path: Path
    # Folder above the subject's folder, relative to the submission; of a CSV file: its task.
    place: str
    subject: str
    session: str
    others: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ImageIndex:
    """The images of a submission, by place, subject and session.

    Attributes
    ----------
    origin
        The folder or CSV file.
    """

    origin: Path
    _images: Sequence[_Image] = field(repr=False)

    @classmethod
    def read(cls, origin: Path) -> ImageIndex:
        """List the images of a folder or CSV file.

        Raises
        ------
        UserError
            If there is no image, or the CSV file cannot be read.
        """
        if origin.is_dir():
            images = list(_in_folder(origin))
            if not images:
                raise UserError(
                    f"'{origin}' has no image named as sub-01_ses-1_T1w.nii.gz; name the images as "
                    "`harmbench data export-inputs` does, or list them in a CSV file with columns "
                    f"{', '.join(_COLUMNS)}"
                )
            return cls(origin, images)
        if not origin.exists():
            raise UserError(f"there is no folder or CSV file '{origin}'")
        return cls(origin, list(_in_table(origin)))

    def find(
        self, places: Sequence[str], subject: str, session: str, file_name: str
    ) -> Path | None:
        """Return the image of a scan; None if it is missing.

        Parameters
        ----------
        places
            Folders to look in: the first one with an image of the scan counts.
        subject, session
            Names of the scan.
        file_name
            Name of the scan's own file, which distinguishes runs; empty if unknown.

        Raises
        ------
        UserError
            If several images match.
        """
        for place in places:
            found = [
                image
                for image in self._images
                if image.place == place
                and image.subject == label(subject)
                and image.session == label(session)
            ]
            own = entities(file_name) or {}
            if len(found) > 1:
                found = [
                    image
                    for image in found
                    if all(own.get(key) == value for key, value in image.others.items())
                ]
            if len(found) > 1:
                first, second = (image.path.relative_to(self._root) for image in found[:2])
                raise UserError(
                    f"'{self.origin}' has several images of sub-{label(subject)} "
                    f"ses-{label(session)}: {first}, {second}; leave one"
                )
            if found:
                return found[0].path
        return None

    @property
    def _root(self) -> Path:
        return self.origin if self.origin.is_dir() else Path("/")


def places_of(task: str, inputs: str) -> tuple[str, ...]:
    """Return the folders that may have the images of a task, the most specific first.

    Parameters
    ----------
    task
        Name of the task.
    inputs
        Name of its input scans, `image_names.inputs_name`.
    """
    names = dict.fromkeys((task, inputs))
    return (*(place for name in names for place in (f"{TEST}/{name}", name)), TEST, "")


def _in_folder(folder: Path) -> Iterator[_Image]:
    for path in sorted(folder.rglob("sub-*_T1w.nii*")):
        found = entities(path.name)
        if found is None:
            continue
        parents = path.relative_to(folder).parts[:-1]
        above = next((i for i, part in enumerate(parents) if part.startswith("sub-")), len(parents))
        yield _Image(
            path=path,
            place="/".join(parents[:above]),
            subject=found["sub"],
            session=found.get("ses", "1"),
            others={key: value for key, value in found.items() if key not in _ENTITIES},
        )


def _in_table(file: Path) -> Iterator[_Image]:
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"'{file}' cannot be read as CSV: {reason}") from None
    missing = [name for name in _COLUMNS if name not in table.columns]
    if missing:
        raise UserError(
            f"'{file}' lacks the column {missing[0]}; it needs {', '.join(_COLUMNS)}, and task "
            "where tasks have different inputs"
        )
    tasks = table["task"] if "task" in table.columns else [""] * len(table)
    for subject, session, name, task in zip(
        *(table[name] for name in _COLUMNS), tasks, strict=True
    ):
        path = (file.parent / name.strip()).absolute()
        if not path.is_file():
            raise UserError(
                f"'{file}': there is no file {path}; leave out the rows of missing images"
            )
        yield _Image(
            path=path,
            place=task.strip(),
            subject=label(subject.strip().removeprefix("sub-")),
            session=label(session.strip().removeprefix("ses-") or "1"),
        )
