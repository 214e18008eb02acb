"""The packages under examples/, installed as a user would and run as plugins."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from helpers import ROOT, words

EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/pyproject.toml"))
METHODS = {
    "combat-voxel": {"combat-voxel", "combat-voxel-age"},
    "harmonizing-flows": {"harmonizing-flows", "harmonizing-flows-domain"},
    "nyul": {"nyul"},
    "ssimh": {"ssimh"},
}
# Of flows and networks that are fitted in seconds.
FLOW = {"steps": 1, "hidden": 8, "blocks": 1, "training_steps": 2, "validation_slices": 4}
SMALL = FLOW | {"width": 4, "harmonizer_steps": 2, "bits_scans": 2, "adapt_steps": 1}


def settings(method: str, values: dict[str, int]) -> list[str]:
    return [part for name in values for part in ("--set", f"{method}.{name}={values[name]}")]


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """A folder with all examples installed; building leaves nothing in the repository."""
    folder = tmp_path_factory.mktemp("examples")
    copies = [
        shutil.copytree(path, folder / path.name, ignore=shutil.ignore_patterns("__pycache__"))
        for path in EXAMPLES
    ]
    subprocess.run(
        [
            sys.executable,
            *words("-m pip install --quiet --no-deps --no-index --no-build-isolation"),
            *words("--disable-pip-version-check"),
            "--target",
            folder / "site",
            *copies,
        ],
        check=True,
    )
    return folder / "site"


@pytest.fixture(scope="session")
def environment(site, tmp_path_factory):
    return {
        **os.environ,
        "PYTHONPATH": str(site),
        "HARMBENCH_HOME": str(tmp_path_factory.mktemp("home")),
        "HARMBENCH_STRICT_PLUGINS": "1",
        "COLUMNS": "200",
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture(scope="session")
def command(environment):
    """Run `harmbench ...` with the examples installed, and return what it printed."""

    def run(*arguments: object) -> str:
        done = subprocess.run(
            [Path(sys.executable).with_name("harmbench"), *map(str, arguments)],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def recorded(command):
    """The leaderboard of all methods of the examples, on blobs that are there in a moment."""
    methods = [name for names in METHODS.values() for name in sorted(names)]
    command(
        "run",
        "--plugin",
        ROOT / "tests" / "plugins" / "tiny_cohort.py",
        *words("--cohort tiny:14-whole -t domain1 -m identity -m blindharmony"),
        *(part for name in methods for part in ("-m", name)),
        *settings("blindharmony", FLOW | {"iterations": 1}),
        *settings("harmonizing-flows", SMALL),
        *settings("harmonizing-flows-domain", SMALL | {"domain_steps": 1}),
    )
    return list(
        csv.DictReader(
            io.StringIO(command("leaderboard", *words("--metric psnr --metric ssim --format csv")))
        )
    )


def test_every_example_is_tested_here():
    assert [path.name for path in EXAMPLES] == sorted(METHODS)


def test_they_are_listed_with_their_distributions(command):
    methods, plugins = command("list", "methods"), command("plugins")
    for name, provided in METHODS.items():
        assert f"harmbench-{name} 1.0.0" in plugins
        assert all(method in methods for method in provided)


@pytest.mark.parametrize("name", METHODS)
def test_they_run_and_are_recorded(recorded, name):
    for method in METHODS[name]:
        rows = [row for row in recorded if row["method"].partition("[")[0] == method]
        assert {row["metric"] for row in rows} >= {"psnr", "ssim"}
        assert {row["status"] for row in rows} == {"done"}
        assert all(math.isfinite(float(row["value"])) for row in rows)


def test_the_flow_of_blindharmony_is_fitted_once_for_all(recorded, environment):
    fits = Path(environment["HARMBENCH_HOME"], "fits").glob("*/fit.json")
    fitted = Counter(json.loads(path.read_text())["method"] for path in fits)
    assert {name: fitted[name] for name in ("blindharmony", *METHODS["harmonizing-flows"])} == {
        "blindharmony": 1,
        "harmonizing-flows": 1,
        "harmonizing-flows-domain": 1,
    }


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_their_own_tests_pass(environment, path):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", path / "tests"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
