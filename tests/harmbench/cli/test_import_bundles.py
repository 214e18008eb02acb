"""`harmbench publish`, `import` and `verify`, as a user calls them."""

from __future__ import annotations

import pytest

from harmbench.bundles.archive import entry_of, read_archive, write_archive
from harmbench.bundles.manifest import RESULTS
from helpers import TINY_COHORT

# MLflow's imports raise deprecation warnings.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def published(ran, inside, tmp_path):
    """A bundle of the results of `ran`."""
    code, out, _ = inside("publish", "-o", "lab.harmbench.zip", "--author", "A. Author")
    assert code == 0
    assert "6 results on 1 board, with pseudonyms" in out
    return tmp_path / "lab.harmbench.zip"


def test_a_bundle_is_imported_shown_and_removed(published, inside, tmp_path):
    other = str(tmp_path / "other")
    code, out, _ = inside("import", published, HARMBENCH_HOME=other)
    assert code == 0
    assert "new on the board: domain1" in out
    assert "was imported before" in inside("import", published)[1]
    _, shown, _ = inside("leaderboard", "--metric", "psnr")
    assert "histogram ¶" in shown
    assert "imported from lab, A. Author, " in shown
    code, out, _ = inside("report", "-o", "site")
    assert code == 0
    pages = [path.read_text() for path in (tmp_path / "site").rglob("*.html")]
    assert any("imported from lab, A. Author" in page for page in pages)
    assert "lab, A. Author" in inside("import")[1]
    assert "removed lab" in inside("import", "--remove", "lab")[1]
    code, _, _ = inside("leaderboard")
    assert code == 2


def test_a_folder_with_a_damaged_bundle_imports_the_others(published, inside, tmp_path):
    folder = tmp_path / "repository" / "bundles"
    folder.mkdir(parents=True)
    published.rename(folder / "good.harmbench.zip")
    (folder / "bad.harmbench.zip").write_text("no zip file")
    code, out, errors = inside("import", "repository", HARMBENCH_HOME=str(tmp_path / "other"))
    assert code == 1
    assert "good.harmbench.zip: imported" in out
    (line,) = errors.splitlines()
    assert "bad.harmbench.zip is no bundle" in line


def test_a_mistake_has_one_line(mistake, tmp_path):
    (tmp_path / "foreign.zip").write_text("text")
    assert "foreign.zip" in mistake("import", tmp_path / "foreign.zip")
    assert "nothing.zip" in mistake("import", tmp_path / "nothing.zip")
    assert "nothing is recorded" in mistake("publish", "-o", tmp_path / "a.harmbench.zip")
    assert "no imported bundle 'lab'" in mistake("import", "--remove", "lab")


def test_results_are_confirmed_by_recomputing_them(published, inside, tmp_path):
    code, out, _ = inside(
        "verify", published, "-m", "histogram", *TINY_COHORT, HARMBENCH_HOME=str(tmp_path / "new")
    )
    assert code == 0, out
    assert "all numbers are equal; values of 2 subjects compared" in out
    assert "2 of 2 results confirmed; " in out
    # Neither the fits nor the cells of a verification are kept.
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["cohorts"]


def test_another_cohort_confirms_nothing(published, inside):
    code, _, errors = inside("verify", published, "-m", "identity", "-t", "domain1")
    assert (code, len(errors.splitlines())) == (2, 1)
    assert "of the cohort tiny" in errors
    code, out, _ = inside("verify", published, "-m", "identity", *TINY_COHORT[:-1], "tiny:12")
    assert code == 1
    assert "NOT RECOMPUTED" in out
    assert "0 of 2 results confirmed" in out


def test_a_changed_number_is_found(published, inside, tmp_path):
    archive = read_archive(published)
    changed = archive.results.replace(b'"mean": 1', b'"mean": 9')
    assert changed != archive.results
    files = archive.manifest.files | {RESULTS: entry_of(changed)}
    manifest = archive.manifest.model_copy(update={"files": files})
    write_archive(tmp_path / "changed.harmbench.zip", manifest, {RESULTS: changed})
    options = ("-m", "identity", "-t", "domain1", *TINY_COHORT)
    code, out, _ = inside("verify", "changed.harmbench.zip", *options)
    assert code == 1
    assert "DIFFERS" in out
    assert "0 of 1 result confirmed" in out
