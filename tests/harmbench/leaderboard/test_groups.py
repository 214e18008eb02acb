"""Groups of boards, and the names of their files."""

from __future__ import annotations

import re

from harmbench.leaderboard.groups import Slugs


def test_files_of_like_names_are_kept_apart():
    slugs = Slugs()
    names = [slugs(name) for name in ("Sim A", "sim-a", "../../etc", "", "..")]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name) for name in names)
