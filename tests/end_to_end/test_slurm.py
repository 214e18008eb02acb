"""A real Slurm cluster of one node, on loopback: Debian's slurm-wlm, started by the test."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time

import pytest

from helpers import PLUGINS, words

NEEDED = ("slurmctld", "slurmd", "munged", "sbatch")

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        any(shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None for name in NEEDED)
        or os.geteuid() != 0,
        reason="needs Debian's slurm-wlm and munge, and root to start them",
    ),
]

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld}
SlurmdPort={slurmd}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
KillWait=5
PreemptMode=REQUEUE
PreemptType=preempt/partition_prio
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=1000 State=UNKNOWN
PartitionName=low Nodes={host} Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=high Nodes={host} MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""


def free_port():
    with socket.socket() as result:
        result.bind(("127.0.0.1", 0))
        return result.getsockname()[1]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Start munge and Slurm's two daemons; return what to add to the environment."""
    folder = tmp_path_factory.mktemp("slurm")
    for path in (folder, *list(folder.parents)[:2]):
        path.chmod(0o755)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o600)
    configuration = folder / "slurm.conf"
    configuration.write_text(
        CONFIGURATION.format(
            host=socket.gethostname().split(".")[0],
            ctld=free_port(),
            slurmd=free_port(),
            folder=folder,
            cores=os.cpu_count(),
        )
    )
    environment = {
        **os.environ,
        "SLURM_CONF": str(configuration),
        "PATH": f"{os.environ['PATH']}:/usr/sbin",
    }
    munge = [
        *words("munged --foreground --force"),
        f"--key-file={key}",
        f"--socket={folder / 'munge.socket'}",
        f"--pid-file={folder / 'munged.pid'}",
        f"--log-file={folder / 'munged.log'}",
        f"--seed-file={folder / 'seed'}",
    ]
    with contextlib.ExitStack() as stack:
        for command in (munge, ["slurmctld", "-D", "-c"], ["slurmd", "-D", "-c"]):
            daemon = subprocess.Popen(
                command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            stack.callback(daemon.wait)
            stack.callback(daemon.terminate)
            time.sleep(1)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            state = subprocess.run(
                ["sinfo", "-h", "-o", "%T"],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            ).stdout.split()
            if state and set(state) == {"idle"}:
                break
            time.sleep(0.5)
        else:
            pytest.fail(f"the cluster did not come up: {state}")
        yield {"SLURM_CONF": environment["SLURM_CONF"], "PATH": environment["PATH"]}


def arguments(*methods, task="domain1"):
    plugins = [f"--plugin={PLUGINS / name}" for name in ("tiny_cohort.py", "odd_methods.py")]
    return (
        "run",
        *(f"--method={name}" for name in methods),
        f"--task={task}",
        *words("--cohort tiny --executor slurm --gpus 0 --cpus 1 --partition low"),
        *plugins,
    )


def test_a_matrix_runs_as_job_arrays(cluster, command, tmp_path):
    done = command(
        *arguments("identity", "counts", "fails"), COUNTS_LOG=str(tmp_path / "fits.log"), **cluster
    )
    assert done.returncode == 1, done.stderr
    assert "1 failed" in done.stdout
    assert "2 done" in done.stdout
    assert "1 fit made" in done.stdout
    assert "this method always fails" in done.stderr
    assert (tmp_path / "fits.log").read_text() == "seed 0\n"
    scripts = list((tmp_path / "home").glob("runs/*/logs/jobs/*_submission.sh"))
    assert any("--array" in path.read_text() for path in scripts)
    shown = command("leaderboard", "--format", "csv").stdout
    assert "identity" in shown


def test_short_cells_share_a_job(cluster, command, tmp_path):
    tasks = words("--task=sim-exp --task=sim-log --task=sim-bias --cells-per-job 2")
    done = command(*arguments("identity", "fails"), *tasks, **cluster)
    assert done.returncode == 1, done.stderr
    assert "4 done" in done.stdout
    assert "4 failed" in done.stdout  # and took no other cell of their jobs with them
    jobs = (tmp_path / "home").glob("runs/*/logs/jobs/*_submitted.pkl")
    assert len(list(jobs)) == 4


def test_a_preempted_job_resumes_later(cluster, start, tmp_path):
    hangs = tmp_path / "hangs"
    hangs.write_text("")
    process = start(*arguments("hangs"), HANGS_WHILE=str(hangs), **cluster)
    until = time.monotonic() + 300
    while hangs.read_text() != "hanging":
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.2)
    hangs.write_text("")
    first = ["sbatch", "-p", "high", "--exclusive", "--wait", "-o", "/dev/null", "--wrap", "true"]
    subprocess.run(first, env=os.environ | cluster, check=True, stdout=subprocess.DEVNULL)
    hangs.unlink()  # now that the other one has had its place
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert "1 done" in out
    (log,) = (tmp_path / "home").glob("runs/*/logs/hangs-on-domain1*.log")
    assert log.read_text().count("hangs on domain1, seed 0: on ") == 2  # begun twice
