"""The bundles that were imported into a home."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from harmbench.bundles.archive import Archive
from harmbench.bundles.bound_subjects import renamed
from harmbench.bundles.manifest import MANIFEST, Manifest, read_manifest
from harmbench.bundles.pseudonyms import pseudonyms_of
from harmbench.errors import UserError
from harmbench.statistics.subjects import decode
from harmbench.store.folder_store import Store
from harmbench.store.record import Record, UnknownSchemaError
from harmbench.store.result_table import to_table
from harmbench.store.results import ResultsStore

_FEWEST = 4  # characters of a key


@dataclass(frozen=True)
class Imported:
    """An imported bundle.

    Attributes
    ----------
    key
        Content hash of the bundle.
    manifest
        Its manifest.
    """

    key: str
    manifest: Manifest = field(repr=False)


class ImportedBundles:
    """The imported bundles of a home, a folder each.

    A folder takes its name when all files are on disk, so an interrupted import leaves no bundle.

    Parameters
    ----------
    home
        The home folder.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._store = Store(home / "imports")

    def all(self) -> list[Imported]:
        """Return the imported bundles, ordered by title."""
        bundles = [
            Imported(path.parent.name, read_manifest(path.read_bytes(), str(path)))
            for path in self._store.root.glob(f"[!.]*/{MANIFEST}")
        ]
        return sorted(bundles, key=lambda bundle: (bundle.manifest.title, bundle.key))

    def has(self, key: str) -> bool:
        """Whether a bundle was imported."""
        return self._store.has(key)

    def add(self, archive: Archive) -> None:
        """Store a verified bundle."""
        with self._store.lock(archive.key), self._store.writing(archive.key) as folder:
            for name, content in archive.files.items():
                (folder / name).write_bytes(content)

    def remove(self, name: str) -> Imported:
        """Remove the bundle with a title, or with a key that begins with `name`.

        Raises
        ------
        UserError
            If no bundle or several bundles match.
        """
        bundles = self.all()
        matches = [
            bundle
            for bundle in bundles
            if bundle.manifest.title == name
            or (len(name) >= _FEWEST and bundle.key.startswith(name))
        ]
        if not matches:
            titles = [bundle.manifest.title for bundle in bundles]
            raise UserError.unknown("imported bundle", name, titles)
        if len(matches) > 1:
            keys = ", ".join(bundle.key[:8] for bundle in matches)
            raise UserError(
                f"{len(matches)} imported bundles are named '{name}'; give a key: {keys}"
            )
        with self._store.lock(matches[0].key):
            self._store.remove(matches[0].key)
        return matches[0]

    def tables(self) -> list[pa.Table]:
        """Return the records of each bundle, with its origin in the column `bundle`.

        Pseudonyms of subjects whose scans this home has are translated back.
        """
        tables = []
        for bundle in self.all():
            table = ResultsStore(self._store.path(bundle.key)).table()
            index = table.column_names.index("bundle")
            origin = pa.repeat(bundle.manifest.origin, len(table))
            tables.append(table.set_column(index, "bundle", origin))
        return self.named(tables)

    def named(self, tables: Sequence[pa.Table]) -> list[pa.Table]:
        """Return tables with the names of subjects in place of pseudonyms that are known here."""
        keys = {key for table in tables for key in pc.unique(table["cohort_key"]).to_pylist()}
        cohorts = pseudonyms_of(self._home, keys).values()
        names = {alias: name for cohort in cohorts for alias, name in cohort.names.items()}
        return [_named(table, names) for table in tables]

    def picture(self, run_id: str) -> Path | None:
        """Return the slices of an imported result; None if its bundle has none."""
        return next(self._store.root.glob(f"[!.]*/slices_{run_id}.npz"), None)


def parsed(archive: Archive, path: Path) -> pa.Table:
    """Return the records of a bundle as a table.

    Raises
    ------
    UserError
        If a record is damaged, or was written by another version of harmbench.
    """
    records = []
    for number, line in enumerate(archive.results.split(b"\n")[:-1], start=1):
        try:
            record = Record.from_line(line)
            _check_values(record)
            to_table([record])
        except UnknownSchemaError as error:
            raise UserError(
                f"{path}: its results have schema {error}, which this version of harmbench does "
                "not read; upgrade harmbench, or publish them again"
            ) from None
        except (ValueError, KeyError, TypeError, pa.ArrowException) as error:
            raise UserError(
                f"{path} is damaged: result {number} cannot be read ({error})"
            ) from None
        records.append(record)
    if len(records) != archive.manifest.results:
        raise UserError(
            f"{path} is damaged: it has {len(records)} results instead of "
            f"{archive.manifest.results}"
        )
    return to_table(records)


def _check_values(record: Record) -> None:
    """Check that every metric has a value of each subject, or none.

    Raises
    ------
    ValueError
        If a metric has not.
    """
    for name, values in record.metrics.items():
        if values.subjects and not len(decode(record.subjects, values.subjects)[0]):
            raise ValueError(f"the values of {name} do not belong to the subjects")


def _named(table: pa.Table, names: Mapping[str, str]) -> pa.Table:
    """Replace the pseudonyms of subjects by their names."""
    if not names:
        return table
    texts = {
        text: json.dumps([names.get(alias, alias) for alias in json.loads(text)])
        for text in pc.unique(table["subjects"]).to_pylist()
        if text
    }
    texts |= {
        text: json.dumps(renamed(json.loads(text), lambda alias: names.get(alias, alias)))
        for text in pc.unique(table["bounds"]).to_pylist()
        if text
    }
    for column in ("subjects", "bounds"):
        translated = [texts.get(text, text) for text in table[column].to_pylist()]
        index = table.column_names.index(column)
        table = table.set_column(index, column, pa.array(translated, pa.string()))
    return table
