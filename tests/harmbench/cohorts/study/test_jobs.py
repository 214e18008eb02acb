"""Jobs of a study: one for each scan, in the row of its domain's arrays."""

from __future__ import annotations

from harmbench.cohorts.study.jobs import begin_domains, plan_jobs
from harmbench.data.cohort_writer import CohortWriter, array_path


def test_each_scan_has_a_job_and_a_row(digests_of, study, tmp_path):
    digests = digests_of()
    writer = CohortWriter(tmp_path / "cohort", digests.settings.grid)
    jobs = plan_jobs(study.scans, digests, begin_domains(study.scans, writer))
    assert [(job.domain, job.scan.subject, job.job.row) for job in jobs] == [
        ("here", "A", 0),
        ("here", "B", 1),
        ("there", "C", 0),
        ("there", "D", 1),
    ]
    for job in jobs:
        assert job.pair is None
        assert job.job.folder == tmp_path / "cohort" / job.domain
        assert array_path(job.job.folder, "images", job.job.row).exists()
        # Only a domain with labels has room for them.
        labels = array_path(job.job.folder, "labels", job.job.row)
        assert labels.exists() == (job.domain == "here")
    assert [job.job.labels is not None for job in jobs] == [True, False, False, False]
