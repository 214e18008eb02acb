"""OASIS-3 as it is distributed, in small: written from phantom volumes, run as the phantom is."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from harmbench.cohorts.bids.source import Oasis3
from harmbench.cohorts.phantom.scanning import scan_subject
from harmbench.cohorts.phantom.template import load_template
from harmbench.data.cohort import Cohort
from harmbench.data.scans import GRIDS, Grid
from harmbench.errors import UserError
from harmbench.preprocessing.normalization.base import unscaled
from harmbench.util.progress import Silent

WHOLE = Grid("whole", (36, 40, 48), (4.0, 4.0, 4.0), (0.0, -17.0, 8.0))
SIDECARS = {
    "target": ("TrioTim", 3, "35177"),
    "domain1": ("MAGNETOM_Vida", 3, "175614"),
    "domain2": ("Vision", 1.494, "1"),
    "domain3": ("Biograph_mMR", 3, "51010"),
    "domain4": ("TrioTim", 3, 35248),
}
# Days of the sessions of each subject; the second and third are seen on all scanners.
DAYS = {
    "target": (0, 400),
    "domain1": (90,),
    "domain2": (380,),
    "domain3": (1200,),
    "domain4": (410,),
}
SUBJECTS = ("OAS30001", "OAS30002", "OAS30003")


def pose(domain: str) -> np.ndarray:
    """Where the head lies on a scanner: a rigid transform of its own."""
    turns = {"target": 0.0, "domain1": 6.0, "domain2": -8.0, "domain3": 3.0, "domain4": 10.0}
    c, s = np.cos(np.radians(turns[domain])), np.sin(np.radians(turns[domain]))
    matrix = np.array([[1, 0, 0, 3], [0, c, -s, turns[domain]], [0, s, c, -5], [0, 0, 0, 1]])
    return matrix.astype(float)


def write(root: Path, subject: str, day: int, image: np.ndarray, domain: str, run: int = 1) -> Path:
    stem = f"sub-{subject}_ses-d{day:04d}_run-{run:02d}_T1w"
    path = root / f"sub-{subject}" / f"ses-d{day:04d}" / "anat" / f"{stem}.nii.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = pose(domain) @ WHOLE.affine
    nib.save(nib.Nifti1Image((image * 60000).astype(np.int16), affine), path)
    model, tesla, serial = SIDECARS[domain]
    fields = {
        "Manufacturer": "Siemens",
        "ManufacturersModelName": model,
        "MagneticFieldStrength": tesla,
        "DeviceSerialNumber": serial,
    }
    path.with_name(f"{stem}.json").write_text(json.dumps(fields))
    return path


@pytest.fixture(scope="module")
def oasis3(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The tree and a home, shared by all tests of this file."""
    root, home = tmp_path_factory.mktemp("OASIS3"), tmp_path_factory.mktemp("home")
    template = load_template()
    for subject in SUBJECTS:
        images = scan_subject(subject, template, WHOLE, unscaled).images
        for domain, days in DAYS.items():
            if domain != "target" and subject == SUBJECTS[0]:
                continue
            for day in days if subject == SUBJECTS[1] else days[-1:]:
                write(root, subject, day, images[domain].numpy(), domain)
    # A second run, and one whose first run has no sidecar; a session without; another scanner.
    last = images["target"].numpy()
    write(root, SUBJECTS[2], 400, last, "target", run=2)
    lone = write(root, SUBJECTS[2], 2000, last, "target")
    lone.with_suffix("").with_suffix(".json").unlink()
    other = write(root, SUBJECTS[0], 3000, last, "target")
    sidecar = other.with_suffix("").with_suffix(".json")
    sidecar.write_text(sidecar.read_text().replace("TrioTim", "Sonata"))
    return root, home


def test_domains_run_by_the_same_commands_as_the_phantom(command, oasis3) -> None:
    root, home = oasis3
    cohort = ("--cohort", f"oasis3:{root}")
    tasks = [part for n in range(1, 5) for part in ("-t", f"domain{n}")]
    done = command(
        "run", "-m", "identity", "-m", "histogram", *tasks, *cohort, HARMBENCH_HOME=str(home)
    )
    assert done.returncode == 0, done.stderr
    assert "8 cells: 8 done" in done.stdout
    lone = "sub-OAS30003/ses-d2000/anat/sub-OAS30003_ses-d2000_run-01_T1w.nii.gz"
    assert f"left out {lone}: it has no sidecar, so its scanner is not known" in done.stderr
    other = "sub-OAS30001/ses-d3000/anat/sub-OAS30001_ses-d3000_run-01_T1w.nii.gz"
    line = f"of no domain of 'oasis3': {other} (ManufacturersModelName is 'Sonata'"
    assert line in done.stderr
    board = command("leaderboard", "--format", "csv", HARMBENCH_HOME=str(home))
    rows = list(csv.DictReader(io.StringIO(board.stdout)))
    # Paired within 365 days: there PSNR is known. The mMR's session is too far away.
    having = {row["task"] for row in rows if row["metric"] == "psnr" and row["value"]}
    assert having == {"domain1", "domain2", "domain4"}
    ssim = {
        (row["method"], row["task"]): float(row["value"])
        for row in rows
        if row["metric"] == "ssim" and row["value"]
    }
    assert all(value > 0.8 for value in ssim.values())

    shown = command("data", "show", *cohort, "-o", "contact.png", HARMBENCH_HOME=str(home))
    assert shown.returncode == 0, shown.stderr
    assert "75240" in shown.stdout
    assert "Pairs lie at most 365 days apart" in shown.stdout
    assert lone in shown.stdout


def test_pairs_are_the_nearest_sessions_rigidly_registered(oasis3, monkeypatch) -> None:
    root, home = oasis3
    monkeypatch.setenv("HARMBENCH_HOME", str(home))
    cohort = Cohort.open(Oasis3(str(root)), GRIDS["quick"], home, Silent())
    table = cohort.table.set_index(["domain", "subject", "session"])
    gaps = {
        key[:2]: (row["partner"], row["gap_days"])
        for key, row in table.iterrows()
        if row["partner"]
    }
    two, three = SUBJECTS[1:]
    assert gaps == {
        ("domain1", two): ("d0000", 90),
        ("domain1", three): ("d0400", 310),
        ("domain2", two): ("d0400", 20),
        ("domain2", three): ("d0400", 20),
        ("domain4", two): ("d0400", 10),
        ("domain4", three): ("d0400", 10),
    }
    assert not table.loc["domain3", "paired"].any()
    # No subject is in two splits, and every domain has subjects in each.
    assert (cohort.table.groupby("subject")["split"].nunique() == 1).all()
    for domain in ("target", "domain1", "domain2", "domain3", "domain4"):
        assert {"train", "test"} <= set(cohort.table[cohort.table["domain"] == domain]["split"])
    # Both went to the template by one affine transform; between them lies the true motion, up
    # to the brain masks of the two scanners, which differ by more than a millimetre.
    for (domain, subject), (session, _) in gaps.items():
        source = np.array(table.loc[domain, subject]["details"].iloc[0]["mni_to_scan"])
        target = np.array(table.loc["target", subject, session]["details"]["mni_to_scan"])
        moved = source @ np.linalg.inv(target)
        corners = np.array([[x, y, z, 1] for x in (-60, 60) for y in (-90, 50) for z in (-30, 60)])
        true = pose(domain) @ np.linalg.inv(pose("target"))
        assert np.linalg.norm((moved - true) @ corners.T, axis=0).max() < 2
        np.testing.assert_allclose(moved[:3, :3] @ moved[:3, :3].T, np.eye(3), atol=1e-6)
    pairs = cohort.pairs("domain1", "test")
    assert pairs is not None
    assert pairs[0].subjects == pairs[1].subjects


def test_a_second_recipe_changes_the_first(oasis3, tmp_path) -> None:
    root, _ = oasis3
    mine = tmp_path / "mine.toml"
    mine.write_text(
        '[domains]\ndomain3 = false\n[domains.domain1.sidecar]\nDeviceSerialNumber = "9"\n'
        "[pairs]\nmaximum_gap_days = 15\n"
    )
    changed = Oasis3(str(root), mine)
    assert changed.sources == ("domain1", "domain2", "domain4")
    assert changed.recipe.pairs.maximum_gap_days == 15
    assert changed.recipe.domains[changed.sources[0]].sidecar["MagneticFieldStrength"] == (3,)
    with pytest.raises(UserError, match=r"DeviceSerialNumber is never 9, there are: 1, 175614"):
        _ = changed.scans
