"""`harmbench cite`: two files next to whatever else has their name."""

from __future__ import annotations

import pytest

# MLflow's imports raise deprecation warnings.
pytestmark = pytest.mark.filterwarnings("default")


def test_the_paragraph_and_its_references_are_written_next_to_a_folder_of_their_name(
    ran, inside, tmp_path
):
    (tmp_path / "methods").mkdir()
    code, out, errors = inside("cite", "-o", "methods")
    assert (code, out) == (0, "wrote methods.tex\nwrote methods.bib\n"), errors
    assert "histogram" in (tmp_path / "methods.tex").read_text()
    assert "@" in (tmp_path / "methods.bib").read_text()
