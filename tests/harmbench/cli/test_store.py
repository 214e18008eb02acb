"""`harmbench store`, as a user calls it."""

from __future__ import annotations

from harmbench.store.folder_store import Store


def test_damaged_entries_are_listed_and_removed(inside, tmp_path):
    code, out, _ = inside("store", "verify")
    assert (code, out) == (0, "0 entries\n")
    with Store(tmp_path / "home" / "fits").writing("k") as folder:
        (folder / "fit.json").write_text('{"method": "unet", "domain": "d", "seed": 0}')
    (tmp_path / "home" / "fits" / "k" / "fit.json").write_text("{}")
    code, out, _ = inside("store", "verify")
    assert code == 1
    assert "fit k (damaged): fit.json is damaged" in out
    assert "1 entry, 1 failed its checksum" in out
    assert "fit              1" in inside("store")[1]
    assert "fit         k" in inside("store", "list")[1]
    assert "would be removed" in inside("store", "prune", "--damaged", "--dry-run")[1]
    assert "removed" in inside("store", "prune", "--damaged", "--yes")[1]
    assert inside("store", "verify")[0] == 0


def test_pruning_needs_a_condition(mistake):
    assert "nothing selected" in mistake("store", "prune")
