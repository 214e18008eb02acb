"""A frozen edition lists bundles by their digests, and notices a change."""

from __future__ import annotations

import pytest
from cffconvert.cli.create_citation import create_citation

from harmbench.bundles.edition import (
    bundles_of,
    edition_names,
    freeze,
    read_edition,
    repository_bundles,
)
from harmbench.errors import UserError


@pytest.fixture
def repository(bundle, tmp_path):
    """A repository with two bundles."""
    folder = tmp_path / "repository"
    (folder / "bundles").mkdir(parents=True)
    for name in ("one", "two"):
        path = bundle(name, value=len(name) + ord(name[0]), author=f'{name} "of" us')
        path.rename(folder / "bundles" / path.name)
    return folder


def test_an_edition_is_read_as_it_was_frozen(repository):
    assert read_edition(repository, "2026-11") is None
    edition = freeze(repository, "2026-11", repository_bundles(repository))
    assert read_edition(repository, "2026-11") == edition
    assert edition_names(repository) == ["2026-11"]
    assert [bundle.path for bundle in edition.bundles] == [
        "bundles/one.harmbench.zip",
        "bundles/two.harmbench.zip",
    ]


def test_its_citation_file_is_valid(repository):
    freeze(repository, "2026-11", repository_bundles(repository))
    path = repository / "editions" / "2026-11" / "CITATION.cff"
    citation = create_citation(str(path), None)
    citation.validate()
    assert 'one "of" us' in citation.as_apalike()


def test_later_bundles_are_not_in_it(repository, bundle):
    edition = freeze(repository, "2026-11", repository_bundles(repository))
    bundle("three", value=9.0).rename(repository / "three.harmbench.zip")
    later = repository_bundles(repository)
    assert len(later) == 3
    assert [bundle.path for bundle in bundles_of(edition, later)] == [
        bundle.path for bundle in edition.bundles
    ]
    assert freeze(repository, "2026-12", later).digest != edition.digest


def test_a_changed_bundle_is_named(repository, bundle):
    edition = freeze(repository, "2026-11", repository_bundles(repository))
    bundle("changed", value=9.0).rename(repository / "bundles" / "two.harmbench.zip")
    with pytest.raises(UserError, match=r"bundles/two\.harmbench\.zip"):
        bundles_of(edition, repository_bundles(repository))


def test_names_and_pseudonyms_do_not_mix(repository, bundle):
    bundle("named", names=True).rename(repository / "bundles" / "named.harmbench.zip")
    with pytest.raises(UserError, match=r"named\.harmbench\.zip without --names"):
        repository_bundles(repository)


@pytest.mark.parametrize("name", ["../2026", "", ".hidden", "a/b"])
def test_an_edition_needs_a_plain_name(repository, name):
    with pytest.raises(UserError, match="no name for an edition"):
        read_edition(repository, name)


def test_a_folder_without_bundles_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "missing"):
        with pytest.raises(UserError, match=folder):
            repository_bundles(tmp_path / folder)
