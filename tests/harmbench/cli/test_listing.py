"""`harmbench list`: what each listing shows, in the width of a terminal."""

from __future__ import annotations

from helpers import PLUGINS


def test_metrics_are_listed_with_direction_unit_and_purpose(inside, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = inside("list", "metrics")
    assert code == 0
    rows = {line.split()[0]: line for line in out.splitlines() if line and line[0].isalpha()}
    assert rows["psnr"].split()[1:4] == ["higher", "dB", "ranking"]
    assert rows["psnr_slices"].split()[1:4] == ["higher", "dB", "published"]
    assert rows["wasserstein"].split()[1:3] == ["lower", "diagnostic"]
    assert "mean squared error" in rows["psnr"]


def test_tasks_are_listed_with_the_target(inside):
    tiny = ("--plugin", PLUGINS / "tiny_cohort.py", "--cohort", "tiny")
    _, out, _ = inside("list", "tasks", *tiny, "--target", "domain1")
    assert "site-goal@domain1" in out
    assert "domain1 " not in {line.split()[0] for line in out.splitlines() if line.strip()}
    code, _, errors = inside("list", "methods", "--target", "domain1")
    assert code == 2
    assert "--target" in errors


def test_plugins_are_named_where_one_is_not_built_in(inside, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    _, built_in, _ = inside("list", "methods")
    assert "plugin" not in built_in
    _, both, _ = inside("list", "methods", "--plugin", PLUGINS / "ablated_methods.py")
    (row,) = (line for line in both.splitlines() if line.startswith("curved"))
    assert "ablated_methods" in row
    assert "plugin" in both.splitlines()[0]


def test_references_leave_the_summaries_their_space_in_a_narrow_terminal(inside, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    _, narrow, _ = inside("list", "methods")
    assert "doi:" not in narrow
    assert "leaves scans as they are" in narrow
    monkeypatch.setenv("COLUMNS", "160")
    _, wide, _ = inside("list", "methods")
    assert "doi:10.1109/42.836373" in wide
