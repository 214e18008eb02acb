"""The manifest of a bundle: its schema, its contents and their checksums."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from harmbench.errors import UserError

MANIFEST = "manifest.json"
RESULTS = "results.jsonl"
# Raised when the meaning of a bundle changes; documented in docs/share.md.
SCHEMA: Literal[1] = 1
_FORMAT: Literal["harmbench bundle"] = "harmbench bundle"

Subjects = Literal["pseudonyms", "names"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FileEntry(_Part):
    """Size in bytes and SHA-256 of a file of the bundle."""

    bytes: int
    sha256: str


class BoardEntry(_Part):
    """The results of a bundle that share a board.

    Attributes
    ----------
    cohort, cohort_key, fit_cohort, fit_cohort_key, kind, preset, split, normalization
        Common to all results of a board; see `harmbench.store.columns.BOARD_AXES`.
    methods
        Labels of the methods.
    questions
        Digests of the questions, by task: results with the same digest are comparable.
    fits
        Keys of the fits.
    """

    cohort: str
    cohort_key: str
    fit_cohort: str = ""
    fit_cohort_key: str = ""
    kind: str
    preset: str
    split: str
    normalization: str
    methods: list[str]
    questions: dict[str, list[str]]
    fits: list[str]


class Manifest(_Part):
    """The description of a bundle.

    Attributes
    ----------
    title, author, note
        Title of the bundle, its author or authors, and a free text; may be empty except the title.
    date
        Date of the newest result, as `YYYY-MM-DD`.
    harmbench
        Version of harmbench that wrote the bundle.
    subjects
        Whether the results name subjects by pseudonyms or by the names of the study.
    pictures
        Whether the bundle contains pictures of scans.
    results
        Number of results.
    boards
        The results, by board.
    files
        All other files of the bundle.
    """

    format: Literal["harmbench bundle"] = _FORMAT
    schema_version: Literal[1] = SCHEMA
    title: str
    author: str = ""
    note: str = ""
    date: str
    harmbench: str
    subjects: Subjects
    pictures: bool
    results: int
    boards: list[BoardEntry]
    files: dict[str, FileEntry]

    def to_bytes(self) -> bytes:
        """Return the manifest as JSON; equal manifests are equal bytes."""
        return (self.model_dump_json(indent=1) + "\n").encode()

    @property
    def origin(self) -> str:
        """Title, author and date in one line."""
        return ", ".join(text for text in (self.title, self.author, self.date) if text)


def read_manifest(content: bytes, name: str) -> Manifest:
    """Read the manifest of the bundle `name`.

    Raises
    ------
    UserError
        If it is not the manifest of a bundle, or of another schema.
    """
    try:
        values = json.loads(content)
    except ValueError:
        raise UserError(f"{name} is no bundle: its {MANIFEST} is not JSON") from None
    if not isinstance(values, Mapping) or values.get("format") != _FORMAT:
        raise UserError(f"{name} is no bundle of harmbench: its {MANIFEST} has another format")
    schema = values.get("schema_version")
    if isinstance(schema, int) and schema > SCHEMA:
        raise UserError(
            f"{name} has schema {schema}, and this version of harmbench reads {SCHEMA}: upgrade "
            "harmbench"
        )
    try:
        return Manifest.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UserError(f"{name} is damaged: {MANIFEST}, {place}: {first['msg']}") from None
