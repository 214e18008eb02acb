"""Results of two homes on one board of a third, once each and with the same numbers."""

from __future__ import annotations

import os

import pytest

from harmbench.bundles.importing import bundle_files, import_bundle
from harmbench.bundles.imports import ImportedBundles
from harmbench.bundles.publication import Publication, publish
from harmbench.errors import UserError
from harmbench.leaderboard.measure import measures
from harmbench.leaderboard.table import boards
from harmbench.leaderboard.tidy import tidy
from harmbench.store.results import ResultsStore
from harmbench.tracking.reader import read
from helpers.bundles import BASE, record, values
from helpers.scored_cells import cell, scored

# What tells of where a number is from.
ORIGIN = ["imported_from"]


def board(home):
    """The board of PSNR as a tidy table."""
    runs = read(home).runs()
    (shown,) = boards(runs, [measures(runs, {})["psnr"]])
    return tidy(shown).sort_values(["method", "task"], ignore_index=True)


@pytest.fixture
def cells(real):
    """Results by method; two of them are computed in both homes."""
    methods = ("identity", "a", "b", "c", "d", "e")
    return {
        label: (real(label, "domain1"), scored(psnr=values(i))) for i, label in enumerate(methods)
    }


@pytest.fixture
def shared(cells, prepared, tmp_path):
    """Two bundles with overlapping results, and a home with all of them."""
    for name, labels in {"one": "identity a b c", "two": "identity c d e"}.items():
        home = prepared(name)
        record(home, *(cells[label] for label in labels.split()))
        publish(home, tmp_path / f"{name}.harmbench.zip", Publication(author=name.upper()))
    everything = prepared("all")
    record(everything, *cells.values())
    return everything


def test_two_homes_make_one_board_in_a_third(shared, prepared, tmp_path):
    third = prepared("third")
    first = import_bundle(third, tmp_path / "one.harmbench.zip")
    assert (first.overlap.new, first.overlap.equal) == (4, 0)
    second = import_bundle(third, tmp_path / "two.harmbench.zip")
    assert (second.overlap.new, second.overlap.equal) == (2, 2)
    assert second.boards[0].shared == ("domain1",)
    merged, expected = board(third), board(shared)
    # To the last digit: values, intervals, letters and ranks.
    assert merged.drop(columns=ORIGIN).equals(expected.drop(columns=ORIGIN))
    origins = dict(zip(merged["method"], merged["imported_from"], strict=True))
    assert origins["a"].startswith("one, ONE, ")
    assert origins["e"].startswith("two, TWO, ")
    assert not expected["imported_from"].any()


def test_without_the_scans_the_values_are_the_same_under_pseudonyms(shared, prepared, tmp_path):
    third = prepared("third", scans=False)
    for name in ("one", "two"):
        import_bundle(third, tmp_path / f"{name}.harmbench.zip")
    merged, expected = board(third), board(shared)
    assert merged["method"].tolist() == expected["method"].tolist()
    assert merged["value"].tolist() == pytest.approx(expected["value"].tolist(), rel=1e-14)
    assert merged["subjects"].tolist() == [8] * 6
    runs, known = read(third).runs(), read(shared).runs()
    values = (dict(zip(table["label"], table["psnr"], strict=True)) for table in (runs, known))
    assert next(values) == next(values)
    assert not runs["subjects"].str.contains('"p0"').any()


def test_names_of_the_phantom_give_the_same_board_everywhere(tmp_path):
    results = [(cell(label, "t"), scored(psnr=values(i))) for i, label in enumerate("abc")]
    record(tmp_path / "one", *results)
    publish(tmp_path / "one", tmp_path / "one.harmbench.zip", Publication())
    import_bundle(tmp_path / "third", tmp_path / "one.harmbench.zip")
    merged, expected = board(tmp_path / "third"), board(tmp_path / "one")
    assert merged.drop(columns=ORIGIN).equals(expected.drop(columns=ORIGIN))


def test_the_own_result_is_shown_and_other_numbers_are_reported(bundle, prepared, real):
    home = prepared("home")
    record(home, (real("unet", "domain1"), scored(psnr=BASE)))
    report = import_bundle(home, bundle(value=3.0))
    assert report.overlap.different == ("unet on domain1, seed 0: psnr 26.5, here 23.5",)
    assert read(home).runs()["psnr"].tolist() == [23.5]


def test_names_and_pseudonyms_are_reported_where_they_cannot_be_paired(bundle, prepared, real):
    home = prepared("home", scans=False)
    record(home, (real("a", "domain1"), scored(psnr=BASE)))
    report = import_bundle(home, bundle())
    assert report.boards[0].unpaired == ("domain1",)
    assert "pseudonyms" in report.boards[0].lines[-1]


def test_importing_twice_changes_nothing(bundle, prepared):
    home, path = prepared("home"), bundle()
    assert not import_bundle(home, path).known
    before = sorted(home.rglob("*"))
    assert import_bundle(home, path).known
    assert sorted(home.rglob("*")) == before


def test_imported_results_are_not_published_again(bundle, prepared, tmp_path):
    home = prepared("home")
    import_bundle(home, bundle())
    with pytest.raises(UserError, match="nothing is recorded"):
        publish(home, tmp_path / "again.harmbench.zip", Publication())


def test_a_removed_bundle_leaves_the_board(bundle, prepared):
    home = prepared("home")
    import_bundle(home, bundle("one"))
    import_bundle(home, bundle("two"))
    bundles = ImportedBundles(home)
    with pytest.raises(UserError, match="three"):
        bundles.remove("three")
    bundles.remove("one")
    assert [bundle.manifest.title for bundle in bundles.all()] == ["two"]
    bundles.remove(bundles.all()[0].key[:8])
    assert read(home).runs().empty


@pytest.mark.parametrize(
    ("interruption", "expected"),
    [(KeyboardInterrupt(), KeyboardInterrupt), (OSError(28, "No space left"), UserError)],
)
def test_an_interrupted_import_leaves_nothing(
    bundle, prepared, monkeypatch, interruption, expected
):
    home, path = prepared("home"), bundle()
    written = []

    def interrupted(descriptor):
        (folder,) = (home / "imports").glob(".*.building")
        written.extend(file.name for file in folder.iterdir())
        raise interruption

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupted)
        with pytest.raises(expected):
            import_bundle(home, path)
    assert "results.jsonl" in written
    assert [file.suffix for file in (home / "imports").iterdir()] == [".lock"]
    assert read(home).runs().empty
    import_bundle(home, path)
    assert len(read(home).runs()) == 1


def test_nothing_is_imported_from_a_damaged_bundle(bundle, prepared):
    home, path = prepared("home"), bundle()
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(UserError, match=r"lab\.harmbench\.zip"):
        import_bundle(home, path)
    assert not (home / "imports").exists()


def test_all_bundles_of_a_checkout_are_listed_without_its_hidden_files(tmp_path):
    for name in ("bundles/a.harmbench.zip", "b.harmbench.zip", ".git/c.harmbench.zip", "d.zip"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [path.relative_to(tmp_path).as_posix() for path in bundle_files(tmp_path)]
    assert names == ["b.harmbench.zip", "bundles/a.harmbench.zip"]
    for folder in (tmp_path / "none", tmp_path / ".git" / "none"):
        with pytest.raises(UserError, match="none"):
            bundle_files(folder)


def test_a_new_own_result_replaces_the_imported_one(bundle, prepared, real):
    home = prepared("home")
    import_bundle(home, bundle(value=3.0))
    record(home, (real("unet", "domain1"), scored(psnr=BASE)))
    assert read(home).runs()["psnr"].tolist() == [23.5]
    assert len(ResultsStore(home / "results").table()) == 1


def test_reference_values_have_the_names_of_subjects_again(prepared, real, tmp_path):
    home, third, path = prepared("home"), prepared("third"), tmp_path / "lab.harmbench.zip"
    result = scored(psnr=BASE)
    number = {"mean": 9.0, "low": 8.0, "high": 10.0, "n": 2, "subjects": {"p0": 8.5, "p4": 9.5}}
    result.facts["bounds"] = {"repeat": {"psnr": number}}
    record(home, (real("a", "domain1"), result))
    publish(home, path, Publication())
    import_bundle(third, path)
    (bounds,) = read(third).runs()["bounds"]
    assert bounds == {"repeat": {"psnr": number}}
