"""Frozen editions of a results repository: a list of bundles by their digests."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from harmbench.bundles.archive import Archive, read_archive
from harmbench.bundles.importing import bundle_files
from harmbench.errors import UserError
from harmbench.util.files import atomic_write_bytes
from harmbench.util.hashing import digest

_FOLDER = "editions"
_MANIFEST = "edition.json"
_CITATION = "CITATION.cff"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class EditionBundle(BaseModel):
    """A bundle of an edition: its path in the repository, its digest, and its description."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    key: str
    title: str
    author: str
    date: str
    results: int


class Edition(BaseModel):
    """A frozen list of bundles.

    Attributes
    ----------
    edition
        Its name, such as `2026-11`.
    digest
        Content hash of all bundles, for citations.
    bundles
        The bundles, ordered by path.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    edition: str
    digest: str
    bundles: list[EditionBundle]


@dataclass(frozen=True)
class RepositoryBundle:
    """A verified bundle of a repository, and its path in it."""

    path: str
    archive: Archive = field(repr=False)

    @property
    def entry(self) -> EditionBundle:
        """The entry of the bundle in an edition."""
        manifest = self.archive.manifest
        return EditionBundle(
            path=self.path,
            key=self.archive.key,
            title=manifest.title,
            author=manifest.author,
            date=manifest.date,
            results=manifest.results,
        )


def repository_bundles(repository: Path) -> list[RepositoryBundle]:
    """Return all bundles of a repository, each content once.

    Raises
    ------
    UserError
        If there is none, one is damaged, or one has names of subjects where another has
        pseudonyms.
    """
    if not repository.is_dir():
        raise UserError(f"no folder '{repository}' with bundles")
    bundles: dict[str, RepositoryBundle] = {}
    for path in bundle_files(repository):
        archive = read_archive(path)
        name = path.relative_to(repository).as_posix()
        bundles.setdefault(archive.key, RepositoryBundle(name, archive))
    _check_subjects(list(bundles.values()))
    return list(bundles.values())


def _check_subjects(bundles: Sequence[RepositoryBundle]) -> None:
    """Check that all bundles of a cohort name its subjects in the same way."""
    first: dict[str, RepositoryBundle] = {}
    for bundle in bundles:
        for board in bundle.archive.manifest.boards:
            other = first.setdefault(board.cohort_key, bundle)
            named, hidden = bundle, other
            if named.archive.manifest.subjects == "pseudonyms":
                named, hidden = other, bundle
            if named.archive.manifest.subjects != hidden.archive.manifest.subjects:
                raise UserError(
                    f"{named.path} has names of subjects of the cohort {board.cohort}, and "
                    f"{hidden.path} has pseudonyms, so they cannot be compared: publish "
                    f"{named.path} without --names"
                )


def read_edition(repository: Path, name: str) -> Edition | None:
    """Return a frozen edition of a repository; None if it does not exist.

    Raises
    ------
    UserError
        If its name or its manifest is not valid.
    """
    if not _NAME.fullmatch(name):
        raise UserError(
            f"'{name}' is no name for an edition: use letters, digits, dots and hyphens"
        )
    path = repository / _FOLDER / name / _MANIFEST
    try:
        return Edition.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError):
        raise UserError(
            f"{path} is damaged; restore it from the history of the repository"
        ) from None


def edition_names(repository: Path) -> list[str]:
    """Return the names of the frozen editions of a repository."""
    return sorted(path.parent.name for path in (repository / _FOLDER).glob(f"*/{_MANIFEST}"))


def freeze(repository: Path, name: str, bundles: Sequence[RepositoryBundle]) -> Edition:
    """Write an edition of all bundles of a repository, with a citation file.

    Raises
    ------
    UserError
        If it cannot be written.
    """
    entries = sorted((bundle.entry for bundle in bundles), key=lambda entry: entry.path)
    edition = Edition(
        edition=name, digest=digest(sorted(entry.key for entry in entries)), bundles=entries
    )
    folder = repository / _FOLDER / name
    try:
        citation = _citation(repository.resolve().name, edition).encode()
        atomic_write_bytes(folder / _CITATION, citation)
        atomic_write_bytes(folder / _MANIFEST, (edition.model_dump_json(indent=1) + "\n").encode())
    except OSError as error:
        raise UserError(f"'{folder}' cannot be written: {error.strerror}") from None
    return edition


def bundles_of(edition: Edition, bundles: Sequence[RepositoryBundle]) -> list[RepositoryBundle]:
    """Return the bundles of an edition.

    Raises
    ------
    UserError
        If a bundle was changed or removed after the edition was frozen.
    """
    by_key = {bundle.archive.key: bundle for bundle in bundles}
    for entry in edition.bundles:
        if entry.key not in by_key:
            raise UserError(
                f"the edition {edition.edition} is frozen, and its bundle {entry.path} was changed "
                "or removed; restore it from the history of the repository"
            )
    return [by_key[entry.key] for entry in edition.bundles]


def _citation(title: str, edition: Edition) -> str:
    """Return the citation file of an edition; strings are JSON, which is YAML, too."""
    authors = dict.fromkeys(bundle.author for bundle in edition.bundles if bundle.author)
    names = list(authors) or [f"contributors to {title}"]
    text = json.dumps(f"{title}, edition {edition.edition}", ensure_ascii=False)
    lines = [
        "cff-version: 1.2.0",
        'message: "If you use these results, please cite this edition."',
        f"title: {text}",
        "type: dataset",
        "authors:",
        *(f"  - name: {json.dumps(name, ensure_ascii=False)}" for name in names),
        f"version: {json.dumps(edition.edition)}",
        f'date-released: "{max(bundle.date for bundle in edition.bundles)}"',
        "identifiers:",
        "  - type: other",
        f'    value: "{edition.digest}"',
        '    description: "Digest of the bundles of the edition"',
    ]
    return "\n".join(lines) + "\n"
