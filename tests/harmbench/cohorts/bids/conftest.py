"""BIDS folders of empty files: enough where no volume is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harmbench.cohorts.bids.layout import read_layout
from harmbench.cohorts.bids.matching import match
from harmbench.cohorts.bids.recipe import Recipe

SITES = {"a": "north", "b": "north", "c": "south", "d": "south"}


class EmptyStudy:
    """Subjects a and b in the north, c and d in the south, each with one empty T1w file."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for subject in SITES:
            self.add(f"sub-{subject}/anat/sub-{subject}_T1w.nii.gz")
        self.write_table("".join(f"sub-{name}\t{site}\n" for name, site in SITES.items()))

    def add(self, path: str, **sidecar: object) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        if sidecar:
            file.with_name(file.name.replace(".nii.gz", ".json")).write_text(json.dumps(sidecar))
        return file

    def write_table(self, rows: str, columns: str = "participant_id\tsite") -> None:
        (self.root / "participants.tsv").write_text(f"{columns}\n{rows}")

    def layout(self):
        return read_layout(self.root)

    def match(self, **recipe: object):
        by_site = {name: {"participants": {"site": name}} for name in ("north", "south")}
        content = {"name": "study", "target": "north", "domains": by_site, **recipe}
        return match(Recipe.checked(content, "recipe"), self.layout())

    def matched(self, **recipe: object) -> dict[str, list[str]]:
        """Return the names of the files of each domain."""
        domains = self.match(**recipe).domains
        return {name: [scan.path.name for scan in scans] for name, scans in domains.items()}


@pytest.fixture
def empty_study(tmp_path: Path) -> EmptyStudy:
    """A study of empty files."""
    return EmptyStudy(tmp_path / "study")
