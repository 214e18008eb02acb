"""A folder is harmonised by as many processes as the memory is enough for."""

from __future__ import annotations

from harmbench.util import available_memory
from helpers.command_line import inside

__all__ = ["inside"]


def test_a_smaller_number_of_processes_is_stated(inside, tmp_path, monkeypatch):
    (tmp_path / "scans").mkdir()
    for name in "ab":
        (tmp_path / "scans" / f"{name}.nii").write_text("no scan")
    monkeypatch.setattr(available_memory, "available_memory", lambda: 2**29)
    arguments = (
        "scans",
        "-o",
        "out",
        "-m",
        "identity",
        "--jobs",
        "2",
        "--brain-extraction",
        "none",
    )
    code, out, err = inside("harmonize", *arguments)
    assert (code, "2 left out" in out) == (1, True)
    assert "note: 1 instead of 2 processes" in err
