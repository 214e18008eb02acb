"""Write a bundle of the results of a home."""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harmbench.bundles.archive import ENDING, entry_of, write_archive
from harmbench.bundles.manifest import RESULTS, BoardEntry, Manifest
from harmbench.bundles.pseudonyms import pseudonyms_of
from harmbench.bundles.record_privacy import PHANTOM, OpenRecords, PrivateRecords
from harmbench.errors import UserError
from harmbench.plugins import matching
from harmbench.store.columns import BOARD_AXES
from harmbench.store.record import Record
from harmbench.store.result_table import RecordedRuns
from harmbench.store.results import ResultsStore
from harmbench.util.hashing import bytes_digest
from harmbench.util.npz import read_npz


@dataclass(frozen=True, kw_only=True)
class Publication:
    """What to publish, and how.

    Attributes
    ----------
    methods, tasks, cohorts
        Names or globs of the results to publish; all if empty.
    author, note
        Author or authors, and a free text, for the manifest.
    names
        Whether to publish the names of subjects, users and paths, instead of pseudonyms.
    pictures
        Whether to publish slices of harmonised scans.
    """

    methods: Sequence[str] = ()
    tasks: Sequence[str] = ()
    cohorts: Sequence[str] = ()
    author: str = ""
    note: str = ""
    names: bool = False
    pictures: bool = False


@dataclass(frozen=True, kw_only=True)
class WrittenBundle:
    """A bundle that was written.

    Attributes
    ----------
    path, size
        The file, and its size in bytes.
    manifest
        Its manifest.
    pictures_of_persons
        Number of results with pictures of real scans.
    """

    path: Path
    size: int
    manifest: Manifest
    pictures_of_persons: int


def publish(home: Path, path: Path, publication: Publication) -> WrittenBundle:
    """Write the results of a home as a bundle.

    Of each cell the newest complete result is published. Imported results are left out: their own
    bundle has them.

    Parameters
    ----------
    home
        The home folder.
    path
        File to write; its name ends in `.harmbench.zip`.
    publication
        What to publish.

    Raises
    ------
    UserError
        If no result matches, a cohort is not prepared here, so that no pseudonyms are known, or
        the file cannot be written.
    """
    if not path.name.endswith(ENDING) or path.name == ENDING:
        raise UserError(f"'{path}' is no name for a bundle: it must end in {ENDING}")
    store = ResultsStore(home / "results")
    runs = _selected(RecordedRuns(store.table()).runs([]), publication)
    private = _private(home, runs, publication)
    chosen = {*runs["run_id"]}
    records = {record.id: record for record in store.records() if record.id in chosen}
    ordered = sorted(records.values(), key=lambda record: (record.started, record.id))
    lines = [private[_cohort(record)].record(record).to_line() for record in ordered]
    files = {RESULTS: b"".join(lines), **_sources(home, ordered)}
    pictures = _pictures(home, ordered, private) if publication.pictures else {}
    manifest = Manifest(
        title=path.name.removesuffix(ENDING),
        author=publication.author,
        note=publication.note,
        date=time.strftime("%Y-%m-%d", time.gmtime(ordered[-1].started / 1000)),
        harmbench=version("harmbench"),
        subjects="names" if publication.names else "pseudonyms",
        pictures=bool(pictures),
        results=len(ordered),
        boards=_boards(runs),
        files={name: entry_of(content) for name, content in sorted((files | pictures).items())},
    )
    write_archive(path, manifest, files | pictures)
    persons = {record.id for record in ordered if record.head["kind"] != PHANTOM}
    return WrittenBundle(
        path=path,
        size=path.stat().st_size,
        manifest=manifest,
        pictures_of_persons=sum(_picture_name(key) in pictures for key in persons),
    )


def _selected(runs: pd.DataFrame, publication: Publication) -> pd.DataFrame:
    """Return the runs to publish."""
    if runs.empty:
        raise UserError("nothing is recorded yet; see `harmbench run --help`")
    filters = {
        "label": ("recorded method", publication.methods),
        "task": ("recorded task", publication.tasks),
        "cohort": ("recorded cohort", publication.cohorts),
    }
    for column, (noun, patterns) in filters.items():
        if patterns:
            # A method's name selects its variants, too.
            present = {*runs[column], *(runs["method"] if column == "label" else ())}
            names = matching(noun, patterns, sorted(present))
            fits = runs[column].isin(names)
            runs = runs[fits | runs["method"].isin(names) if column == "label" else fits]
            if runs.empty:
                raise UserError(
                    f"no recorded result has the {noun.removeprefix('recorded ')} "
                    f"{', '.join(patterns)} with the other filters; see `harmbench leaderboard`"
                )
    return runs


def _private(
    home: Path, runs: pd.DataFrame, publication: Publication
) -> Mapping[str, PrivateRecords | OpenRecords]:
    """Return what makes the records of each cohort private, by the key of the cohort.

    Raises
    ------
    UserError
        If a cohort is not prepared in this home.
    """
    kinds = dict(zip(runs["cohort_key"], runs["kind"], strict=True))
    if publication.names:
        return {key: OpenRecords() for key in kinds}
    persons = [key for key, kind in kinds.items() if kind != PHANTOM]
    known = pseudonyms_of(home, persons)
    missing = [key for key in persons if key not in known]
    if missing:
        cohort = str(runs.loc[runs["cohort_key"] == missing[0], "cohort"].iloc[0])
        raise UserError(
            f"the pseudonyms of the cohort {cohort} ({missing[0][:8]}) are a hash of its scans, "
            "and this home has not prepared it: prepare it with `harmbench data show`, leave it "
            "out with --cohort, or publish the names of subjects with --names"
        )
    return {key: PrivateRecords(known.get(key)) for key in kinds}


def _cohort(record: Record) -> str:
    return str(record.head["cohort_key"])


def _sources(home: Path, records: Iterable[Record]) -> dict[str, bytes]:
    """Return the sources of the single-file plugins that computed the results, each once."""
    sources = {}
    for record in records:
        for path in (home / "cells" / record.head["cell"]).glob("plugin_*"):
            content = path.read_bytes()
            name = path.name.removeprefix("plugin_")
            sources[f"plugin_{bytes_digest(content)[:8]}_{name}"] = content
    return sources


def _picture_name(key: str) -> str:
    return f"slices_{key}.npz"


def _pictures(
    home: Path, records: Iterable[Record], private: Mapping[str, PrivateRecords | OpenRecords]
) -> dict[str, bytes]:
    """Return the slices of the results, with the published names of their subjects."""
    pictures = {}
    for record in records:
        path = home / "cells" / record.head["cell"] / "slices.npz"
        if not path.exists():
            continue
        try:
            arrays: dict[str, Any] = read_npz(path)
        except ValueError as error:
            raise UserError(
                f"{error}: remove its cell by `harmbench store prune --damaged`, and run it again, "
                "or publish without --pictures"
            ) from error
        cohort = private[_cohort(record)]
        arrays["subjects"] = np.array([cohort.scan(str(name)) for name in arrays["subjects"]])
        stream = io.BytesIO()
        np.savez_compressed(stream, **arrays)
        pictures[_picture_name(record.id)] = stream.getvalue()
    return pictures


def _boards(runs: pd.DataFrame) -> list[BoardEntry]:
    return [
        BoardEntry(
            **{name: str(value) for name, value in zip(BOARD_AXES, values, strict=True)},
            methods=sorted({*cells["label"]}),
            questions={
                str(task): sorted({*of_task["question"]}) for task, of_task in cells.groupby("task")
            },
            fits=sorted({*cells["fit"]} - {""}),
        )
        for values, cells in runs.groupby(list(BOARD_AXES))
    ]
