"""The command, part by part, at reduced size on the CPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from gpu import run_parts

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


def gpu(folder, *arguments):
    command = [
        sys.executable,
        "-m",
        "gpu.run_parts",
        "--device",
        "cpu",
        "--folder",
        folder,
        *arguments,
    ]
    done = subprocess.run(command, cwd=BENCHMARKS, capture_output=True, text=True, check=False)
    return done, json.loads((folder / "results.json").read_text())["parts"]


def test_a_measured_part_is_not_repeated_and_the_page_is_written(tmp_path, monkeypatch, capsys):
    arguments = ("run_parts", "--device", "cpu", "--folder", tmp_path, "--only", "machine")
    monkeypatch.setattr(sys, "argv", [*map(str, arguments), "--page", str(tmp_path / "page.md")])
    results = tmp_path / "results.json"
    with pytest.raises(SystemExit, match="0"):
        run_parts.main()
    parts = json.loads(results.read_text())["parts"]
    assert parts["machine"]["result"]["torch"]
    capsys.readouterr()
    with pytest.raises(SystemExit, match="0"):
        run_parts.main()
    assert json.loads(results.read_text())["parts"] == parts
    assert "machine: measured already" in capsys.readouterr().out
    assert "## Machine" in (tmp_path / "page.md").read_text()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "part", ["agreement", "throughput", "sharing", "out_of_memory", "flow_variants"]
)
def test_every_part_runs_on_a_cpu(tmp_path, part):
    done, parts = gpu(tmp_path, "--only", part)
    assert done.returncode == 0, parts[part]
    if part == "agreement":
        compared = parts[part]["result"]["methods"]
        assert {"blindharmony", "unet"} <= set(compared)
        assert all(value.get("largest") == 0 for value in compared.values())
    if part == "out_of_memory":
        assert parts[part]["result"]["parts"] > 1


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_training_continues_in_the_next_call(tmp_path):
    def trained(minutes):
        return gpu(tmp_path, "--only", "training", "--minutes", minutes)[1]["training"]["result"]

    first = trained("2")
    # A machine under load needs longer until the first checkpoint.
    while not first["finished"] and not first["step"]:
        first = trained("2")
    second = trained("0.5")
    if not first["finished"]:
        assert second["resumed at"] == first["step"] > 0
