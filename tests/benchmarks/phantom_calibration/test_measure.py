import json
import os
import subprocess
import sys

import numpy as np
import pytest
from phantom_calibration import measure
from phantom_calibration.rows import ROWS

from helpers import ROOT


def test_floats_are_rounded_to_four_digits_and_nothing_else():
    value = {"a": {"b": 0.123456, "n": 12345}, "c": ["x"]}
    assert measure.rounded(value) == {"a": {"b": 0.1235, "n": 12345}, "c": ["x"]}


def test_only_bids_cohorts_have_volumes(tmp_path):
    assert measure.volume_folder(f"bids:{tmp_path}") == tmp_path
    assert measure.volume_folder("phantom:4") is None


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_row_of_the_table_is_measured_on_the_phantom(tmp_path):
    output = tmp_path / "phantom.json"
    command = [sys.executable, "-m", "phantom_calibration.measure", "phantom:4", str(output)]
    subprocess.run(
        [*command, "--domains", "target", "domain2"],
        cwd=ROOT / "benchmarks",
        env={**os.environ, "HARMBENCH_HOME": str(tmp_path / "home")},
        check=True,
    )
    sites = json.loads(output.read_text())["sites"]
    assert list(sites) == ["target", "domain2"]
    for site in sites.values():
        assert (site["scans"], site["subjects"]) == (4, 4)
        values = [row.value(site) for row in ROWS if "repeat" not in row.quantity]
        assert np.isfinite(np.array(values, dtype=float)).all()
        assert site["mean"]["label_white_dice"] > 0.7
