"""Scans are prepared by as many processes as the memory is enough for."""

from __future__ import annotations

import pytest

from harmbench.cohorts.study.jobs import begin_domains
from harmbench.cohorts.study.preparation import check_subjects, prepare_scans
from harmbench.data.cohort_writer import CohortWriter
from harmbench.errors import UserError
from harmbench.util import available_memory
from harmbench.util.progress import Silent


class Log(Silent):
    def __init__(self):
        self.lines = []

    def log(self, text):
        self.lines.append(text)


def test_a_smaller_number_of_processes_is_stated(digests_of, study, tmp_path, monkeypatch):
    digests = digests_of()
    writer = CohortWriter(tmp_path / "cohort", digests.settings.grid)
    folders = begin_domains(study.scans, writer)
    scans = list(study.scans)
    for scan in scans:
        scan.path.write_bytes(b"no scan")
    monkeypatch.setattr(available_memory, "available_memory", lambda: 2**29)
    monkeypatch.setattr("harmbench.cohorts.study.preparation.processors", lambda: 4)
    log = Log()
    result = prepare_scans(digests, folders, lambda path: path.name, log)
    assert len(result.left_out) == len(scans) == 4
    assert "note: 1 instead of 4 processes" in log.lines[0]
    with pytest.raises(UserError, match="left with 0 of the two subjects that a split needs, s"):
        check_subjects(result, lambda path: path.name, fewest_subjects=2)
    with pytest.raises(UserError, match="'here' is left without a subject, since .* cannot be"):
        check_subjects(result, lambda path: path.name, fewest_subjects=1)
