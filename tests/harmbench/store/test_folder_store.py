"""A store of folders by key."""

from __future__ import annotations

import pytest

from harmbench.store.folder_store import CHECKSUMS, HeldError, Store, checksums


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    with store.lock("key"), store.writing("key") as folder:
        (folder / "file").write_text("old")
    return store


def test_the_checksums_are_those_of_the_files(store):
    lines = (store.path("key") / CHECKSUMS).read_text().splitlines()
    assert lines == [f"{value}  {name}" for name, value in checksums(store.path("key")).items()]
    assert len(lines) == 1


def test_who_locks_a_key_finds_the_entry_that_a_killed_process_moved_away(store):
    # As between the two renames of `folders.replacing`.
    store.path("key").rename(store.root / ".key.old")
    assert not store.has("key")
    with store.lock("key"):
        assert (store.path("key") / "file").read_text() == "old"


def test_a_key_is_held_once(store):
    with store.lock("key"):
        with pytest.raises(HeldError), Store(store.root).lock("key", wait=False):
            pass
        with store.lock("other", wait=False):
            pass
