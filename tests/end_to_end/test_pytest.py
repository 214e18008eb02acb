"""The suite in the tests of a plugin's author: parametrised, with fixtures, and with costs."""

from __future__ import annotations

import os
import subprocess
import sys

from helpers import PLUGINS, words

TESTS = """
from harmbench.testing import parametrize_with_checks
from broken_methods import Excused, Sound

@parametrize_with_checks("histogram", Sound, Excused)
def test_methods(check):
    check()

def test_fixtures(harmbench_cohort, harmbench_scans):
    assert harmbench_cohort.sources == ("domain1", "north")
    assert harmbench_scans.images.shape == (2, 6, 32, 48)
    assert harmbench_scans.labels is None

@parametrize_with_checks(type("Doubles", (Sound,), {"forward": lambda self, scans:
                         scans.with_images(scans.images * 2)}))
def test_broken(check):
    check()
"""


def run(tmp_path, *arguments):
    (tmp_path / "test_mine.py").write_text(TESTS)
    # By hand, as it is not known whether the entry point was installed since it was added.
    plugin = ("-p", "no:harmbench", "-p", "harmbench.testing.plugin")
    return subprocess.run(
        [
            sys.executable,
            *words("-m pytest -q -rA -p no:cacheprovider"),
            *plugin,
            *arguments,
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(PLUGINS), "OMP_NUM_THREADS": "1"},
    )


def test_checks_are_tests(tmp_path):
    out = run(tmp_path, "-k", "not broken").stdout
    assert "PASSED test_mine.py::test_methods[histogram-registration]" in out
    assert "PASSED test_mine.py::test_methods[Sound-range]" in out
    assert "XFAIL test_mine.py::test_methods[Excused-range] - to have one" in out
    assert "PASSED test_mine.py::test_fixtures" in out
    assert "keeps no checkpoints" in out
    assert " failed" not in out
    assert "costs on the tiny cohort of harmbench" in out
    (line,) = [line for line in out.splitlines() if line.startswith("histogram: ")]
    assert "s a scan" in line


def test_a_failure_is_shown_with_its_fix(tmp_path):
    out = run(tmp_path, "-k", "broken and range").stdout
    assert "1 failed" in out
    assert "check 'range'" in out
    assert "fix       end `forward` with images.clamp(0, 1)" in out
