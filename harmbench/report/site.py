"""The site of a results repository: a report of all its bundles, or of a frozen edition."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from harmbench.bundles.edition import (
    Edition,
    RepositoryBundle,
    bundles_of,
    edition_names,
    freeze,
    read_edition,
    repository_bundles,
)
from harmbench.bundles.imports import ImportedBundles, parsed
from harmbench.plugins import Registry
from harmbench.report.board_view import Extra
from harmbench.report.report import WrittenReport, replacing, write_pages, written_report
from harmbench.util.progress import Progress

_EDITIONS = "editions"  # folder of the site


@dataclass(frozen=True, kw_only=True)
class Site:
    """The bundles that a site shows.

    Attributes
    ----------
    title
        Name of the repository.
    bundles
        Its bundles.
    edition
        The frozen edition that is shown; None for all bundles of the repository.
    frozen_now
        Whether the edition was frozen for this site.
    editions
        Sites of the frozen editions, where all bundles are shown.
    """

    title: str
    bundles: tuple[RepositoryBundle, ...] = field(repr=False)
    edition: Edition | None = None
    frozen_now: bool = False
    editions: tuple[Site, ...] = ()


def site_of(repository: Path, edition: str | None) -> Site:
    """Return the bundles of a repository, or those of an edition; a new edition is frozen.

    Raises
    ------
    UserError
        If there is no bundle, one is damaged, or a bundle of an edition was changed.
    """
    bundles = repository_bundles(repository)
    for bundle in bundles:
        parsed(bundle.archive, repository / bundle.path)
    title = repository.resolve().name
    if edition is not None:
        return _frozen(repository, title, edition, bundles)
    return Site(
        title=title,
        bundles=tuple(bundles),
        editions=tuple(
            _frozen(repository, title, name, bundles) for name in edition_names(repository)
        ),
    )


def _frozen(repository: Path, title: str, name: str, bundles: Sequence[RepositoryBundle]) -> Site:
    known = read_edition(repository, name)
    edition = freeze(repository, name, bundles) if known is None else known
    return Site(
        title=title,
        bundles=tuple(bundles_of(edition, bundles)),
        edition=edition,
        frozen_now=known is None,
    )


def write_site(
    folder: Path,
    site: Site,
    registry: Registry,
    progress: Progress,
    extra: Callable[[pd.DataFrame], Extra] | None = None,
) -> WrittenReport:
    """Write the report of the bundles of a site, without the results of any home.

    The editions of the site are written into its folder `editions`, before it takes its place.

    Parameters
    ----------
    folder
        As of `replacing`.
    site
        The bundles.
    registry, progress, extra
        As of `write_pages`.

    Raises
    ------
    UserError
        If the folder holds other files.
    """
    with replacing(folder) as building:
        pages = _write_pages(building, site, registry, progress, extra)
    return written_report(folder, pages)


def _write_pages(
    folder: Path,
    site: Site,
    registry: Registry,
    progress: Progress,
    extra: Callable[[pd.DataFrame], Extra] | None,
) -> int:
    """Write the pages of a site and of its editions into an empty folder; return their number."""
    with tempfile.TemporaryDirectory(prefix="harmbench-site-") as home:
        imported = ImportedBundles(Path(home))
        for bundle in site.bundles:
            imported.add(bundle.archive)
        count = write_pages(folder, Path(home), registry, progress, extra, front=_front_of(site))
    for edition in site.editions:
        assert edition.edition is not None
        path = folder / _EDITIONS / edition.edition.edition
        path.mkdir(parents=True)
        count += _write_pages(path, edition, registry, progress, extra)
    return count


def _front_of(site: Site) -> dict[str, object]:
    """Return what the front page shows of the bundles."""
    edition = site.edition
    frozen = [each.edition for each in site.editions if each.edition is not None]
    return {
        "title": site.title if edition is None else f"{site.title}, edition {edition.edition}",
        "digest": "" if edition is None else edition.digest,
        "bundles": [bundle.archive.manifest for bundle in site.bundles],
        "editions": [
            {"name": each.edition, "path": f"{_EDITIONS}/{each.edition}/index.html"}
            for each in frozen
        ],
    }
