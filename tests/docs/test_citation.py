"""The citation file is valid, and is of this version."""

from __future__ import annotations

from importlib.metadata import version

from cffconvert.cli.create_citation import create_citation

from helpers import ROOT


def test_the_citation_file_is_valid():
    citation = create_citation(str(ROOT / "CITATION.cff"), None)
    citation.validate()
    text = citation.as_apalike()
    assert "harmbench developers" in text
    assert version("harmbench") in text
