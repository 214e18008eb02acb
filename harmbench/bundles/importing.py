"""Import bundles: one file, or all bundles of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harmbench.bundles.archive import ENDING, read_archive
from harmbench.bundles.comparability import BoardMatch, Overlap, board_matches, overlap
from harmbench.bundles.imports import ImportedBundles, parsed
from harmbench.bundles.manifest import Manifest
from harmbench.errors import UserError
from harmbench.store.result_table import RecordedRuns
from harmbench.store.results import ResultsStore


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """A bundle that was imported, or was imported before.

    Attributes
    ----------
    manifest
        Its manifest.
    known
        Whether the home had it already; nothing was changed then.
    overlap, boards
        Its results against those that the home had before.
    """

    manifest: Manifest
    known: bool
    overlap: Overlap
    boards: Sequence[BoardMatch]


def bundle_files(path: Path) -> list[Path]:
    """Return the bundles that a path names: a file, or all in a folder such as a git checkout.

    Raises
    ------
    UserError
        If there is none.
    """
    if not path.is_dir():
        if not path.exists():
            raise UserError(f"no file or folder '{path}' to import")
        return [path]
    files = sorted(
        file
        for file in path.rglob(f"*{ENDING}")
        if not any(part.startswith(".") for part in file.relative_to(path).parts)
    )
    if not files:
        raise UserError(f"no bundle (*{ENDING}) in the folder '{path}'")
    return files


def import_bundle(home: Path, path: Path) -> ImportReport:
    """Verify a bundle and store its results next to those of the home.

    Raises
    ------
    UserError
        If the file is no bundle, is damaged, or is of another version; nothing is stored then.
    """
    archive = read_archive(path)
    bundles = ImportedBundles(home)
    imported = RecordedRuns(*bundles.named([parsed(archive, path)]))
    present = RecordedRuns(ResultsStore(home / "results").table(), *bundles.tables())
    runs, others = imported.runs(), present.runs()
    report = ImportReport(
        manifest=archive.manifest,
        known=bundles.has(archive.key),
        overlap=overlap(runs, others, imported.metrics),
        boards=board_matches(runs, others),
    )
    if not report.known:
        try:
            bundles.add(archive)
        except OSError as error:
            raise UserError(
                f"{path} cannot be imported into {home}: {error.strerror}; free some space, and "
                "run the same command again"
            ) from None
    return report
