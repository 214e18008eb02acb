"""Scans are prepared by as many processes as the memory is enough for."""

from __future__ import annotations

import pytest

from harmbench.cohorts.study.jobs import begin_domains
from harmbench.cohorts.study.preparation import StudyResult, check_subjects, prepare_scans
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


@pytest.mark.parametrize(
    ("test_only", "message"),
    [
        (False, "is left with 0 of the two subjects that a split needs, since"),
        (True, "is left without a subject, since"),
    ],
)
def test_a_domain_without_enough_subjects_is_an_error(digests_of, study, test_only, message):
    scans = digests_of().scans
    reasons = {scan.path.name: f"{scan.path.name} is damaged" for scan in study.scans}
    result = StudyResult(
        scans=scans,
        usable=(),
        left_out=reasons,
        heads=frozenset(),
        tool_failures=frozenset(),
    )
    with pytest.raises(UserError, match=message) as error:
        check_subjects(result, lambda path: path.name, test_only=test_only)
    assert "is damaged" in str(error.value)
