"""The site of a results repository shows its bundles and editions, and nothing of a home."""

from __future__ import annotations

import pytest

from harmbench.bundles.archive import ENDING
from harmbench.bundles.publication import Publication, publish
from harmbench.errors import UserError
from harmbench.plugins import Registry
from harmbench.report.site import site_of, write_site
from harmbench.util.progress import Silent
from helpers.bundles import record, values
from helpers.scored_cells import cell, scored

# MLflow's imports raise deprecation warnings.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def repository(tmp_path):
    """A repository with the bundles of three laboratories."""
    for index, name in enumerate(("one", "two", "three")):
        labels = ("identity", f"method-{name}")
        pairs = [(cell(label, "t"), scored(psnr=values(index))) for label in labels]
        record(tmp_path / name, *pairs)
        path = tmp_path / "repository" / "bundles" / f"{name}{ENDING}"
        path.parent.mkdir(parents=True, exist_ok=True)
        publish(tmp_path / name, path, Publication(author=f"<b>{name}</b>", note="a & b"))
    return tmp_path / "repository"


def test_the_site_shows_all_bundles_and_its_editions(repository, tmp_path, monkeypatch):
    # An unreachable server: the site must not ask it.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert site_of(repository, "2026-11").frozen_now
    assert not site_of(repository, "2026-11").frozen_now
    (repository / "bundles" / f"four{ENDING}").write_bytes(
        (repository / "bundles" / f"one{ENDING}").read_bytes()
    )
    written = write_site(
        tmp_path / "site", site_of(repository, None), Registry.discover(), Silent()
    )
    text = written.index.read_text()
    for name in ("one", "two", "three"):
        assert f"method-<wbr>{name}" in text
        assert f"&lt;b&gt;{name}&lt;/b&gt;" in text
    assert "from 3 bundles" in text
    assert 'href="editions/2026-11/index.html"' in text
    edition = (tmp_path / "site" / "editions" / "2026-11" / "index.html").read_text()
    assert "repository, edition 2026-11" in edition
    assert "This edition is frozen" in edition
    assert written.pages == len(list((tmp_path / "site").rglob("*.html")))


def test_a_site_that_is_interrupted_keeps_the_older_one_with_its_editions(repository, tmp_path):
    site_of(repository, "2026-11")
    site = site_of(repository, None)
    folder = tmp_path / "site"
    write_site(folder, site, Registry.discover(), Silent())
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    written = []

    def interrupted(runs):
        written.append(runs)
        if len(written) == 2:  # of the edition
            raise KeyboardInterrupt
        return {}

    with pytest.raises(KeyboardInterrupt):
        write_site(folder, site, Registry.discover(), Silent(), interrupted)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    # Nothing is left next to it.
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith(".")} == set()


def test_a_damaged_bundle_is_named(repository):
    path = repository / "bundles" / f"one{ENDING}"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match="one"):
        site_of(repository, None)
